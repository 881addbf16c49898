"""Seconds and memory of one training step of full-size TAGS on 128^3 voxels, and what an accelerator would need.

    python benchmarks/tags_training_memory.py [--threads 2] [--sides 64 128] [--taken 64 128] [--half-taken 64]
        [--markdown FILE]

Weights and volume are random, which changes the answers but not the work. A step is what a run takes: the crop encoded
with its blocks computed again in the backward pass, the loss of the answer and that of the alignment with words,
gradients, AdamW. Each case runs in a process of its own, so that its peak memory is its own. Beside it stands the count
of the bytes of all tensors that are alive at once, which needs no computing: the same step runs on tensors that have
shapes and no values. The count in bfloat16 is the estimate of what an accelerator needs.
"""

import argparse
import json
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import in_a_process, load, peak_mib, processor

LIMIT_GB = 24.0
RESERVE_GB = 2.0
GB, MIB = 1e9, 2.0**20


def build(model: str) -> Any:
    """The network of a name, as a run has it before its first step."""
    from oncoprompt.methods.tags.models import tags_config
    from oncoprompt.methods.tags.network import TagsNetwork

    network = TagsNetwork(tags_config(model)).train()
    network.encoder.checkpointing = True
    return network


def optimiser_of(network: Any) -> Any:
    """AdamW of what is trained."""
    import torch

    return torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], lr=1e-4)


def random_item(side: int, width: int) -> Any:
    """A crop with a tumour in it, ten clicks and words."""
    import torch

    from oncoprompt.training.tags_volume_items import VolumeItem

    tumour = torch.zeros(1, side, side, side, dtype=torch.uint8)
    tumour[:, side // 3 : side // 2, side // 3 : side // 2, side // 3 : side // 2] = 1
    text = torch.nn.functional.normalize(torch.randn(2, width), dim=1)
    clicks, labels = torch.rand(10, 3) * (side - 1), torch.ones(10, dtype=torch.long)
    return VolumeItem(torch.randn(3, side, side, side), tumour, clicks, labels, None, text, True, "liver")


def step(network: Any, optimiser: Any, item: Any, half: bool) -> None:
    """One training step; without corrections, whose first answer keeps nothing."""
    import torch

    from oncoprompt.training.tags_loss import VolumeLoss
    from oncoprompt.training.tags_volume_items import VolumeItemConfig

    loss_of = VolumeLoss(replace(VolumeItemConfig.plus(), corrections=0))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        loss = loss_of(network, item).total
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()


def measured(side: int, half: bool, model: str, threads: int) -> dict[str, float]:
    """Seconds and peak memory of a step of this process."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = build(model)
    optimiser, item = optimiser_of(network), random_item(side, network.config.width)
    before, wall, busy = peak_mib(), time.perf_counter(), time.process_time()
    step(network, optimiser, item, half)
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    return {"seconds": wall, "processor": busy, "before_mib": before, "peak_mib": peak_mib()}


def counted(side: int, half: bool, model: str) -> float:
    """Bytes of the tensors alive at once in a run's second step, the first that has AdamW's moments."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.weak import WeakIdKeyDictionary

    class Count(TorchDispatchMode):
        """Adds the bytes of every new storage and takes off those of every one that goes."""

        def __init__(self) -> None:
            super().__init__()
            self.alive, self.now, self.peak = WeakIdKeyDictionary(), 0, 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            for value in tree_leaves(out):
                if isinstance(value, torch.Tensor) and value.untyped_storage() not in self.alive:
                    self._add(value.untyped_storage())
            return out

        def _add(self, storage: Any) -> None:
            size = storage.nbytes()
            self.alive[storage] = size
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._remove, size)

        def _remove(self, size: int) -> None:
            self.now -= size

    with torch.device("meta"):
        network = build(model)
    with FakeTensorMode(allow_non_fake_inputs=True), Count() as count:
        network = network.to_empty(device="cpu")
        optimiser, item = optimiser_of(network), random_item(side, network.config.width)
        step(network, optimiser, item, half)
        count.peak = count.now
        step(network, optimiser, item, half)
    return count.peak


def apart(what: str, side: int, half: bool, options: argparse.Namespace) -> Any:
    """`measured` or `counted` in a process of its own."""
    settings = ["--threads", options.threads, "--model", options.model]
    return in_a_process(__file__, [*settings, "--part", what, side, int(half)], options.threads)


def row(side: int, half: bool, count: float, options: argparse.Namespace) -> str:
    """A row of the table; only steps that are asked for are taken."""
    name = f"| {side}^3, {'bf16 autocast' if half else 'fp32'} | {count / MIB:.0f} |"
    if side not in (options.half_taken if half else options.taken):
        return f"{name} | | | |"
    found = apart("measured", side, half, options)
    return (
        f"{name} {found['peak_mib']:.0f} | {found['before_mib']:.0f} | {found['seconds']:.0f} "
        f"| {found['processor']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--taken", type=int, nargs="*", default=[64, 128], help="sides whose step is taken in fp32")
    parser.add_argument("--half-taken", type=int, nargs="*", default=[], help="sides whose step is taken in bf16")
    parser.add_argument("--model", default="tags-vit-b-plus")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        what, side, half = options.part[0], int(options.part[1]), bool(int(options.part[2]))
        counting = what == "counted"
        found = counted(side, half, options.model) if counting else measured(side, half, options.model, options.threads)
        print(json.dumps(found))
        return
    loads = [load()]
    cases = [(side, half) for half in (False, True) for side in options.sides]
    counts = {case: apart("counted", *case, options) for case in cases}
    rows = [row(*case, count, options) for case, count in counts.items()]
    loads.append(load())
    largest = max(options.sides)
    needed = counts[largest, True] / GB
    lines = [
        f"One training step of {options.model}, batch 1, gradient checkpointing, random weights; {options.threads} "
        f"threads; {processor()}. Load averages before and after: {loads[0]:.1f}, {loads[1]:.1f}; above "
        f"{options.threads} other programs took part of the cores.",
        "",
        "| crop | tensors alive at once (MiB) | peak memory (MiB) | before the step (MiB) | step (s) | processor (s) |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"An accelerator in bf16 autocast, on {largest}^3 voxels: {needed:.1f} GB of tensors, and {RESERVE_GB:g} GB "
        f"assumed for its library and workspaces, {needed + RESERVE_GB:.1f} GB; wanted are less than {LIMIT_GB:g}. "
        "This is an estimate: the tensors are counted, no accelerator was at hand.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
