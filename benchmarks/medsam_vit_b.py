"""Seconds and memory of MedSAM's ViT-B at 1024 pixels: encoding in fp32 and bf16, and a second box on the same image.

    python benchmarks/medsam_vit_b.py [--threads 2] [--repeats 3] [--boxes 20] [--half-side 256] [--markdown FILE]

The weights are random, which changes the answers but not the work: this measures time and memory, nothing else. A
processor without bfloat16 instructions takes a hundred times as long for them, so both precisions are also compared at
--half-side pixels. Each case runs in a process of its own, so that its peak memory is its own. Processor seconds are
given beside wall seconds: where other programs share the cores, the wall tells about them too.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from machine import in_a_process, load, load_sentence, peak_mib, processor

WANTED_S = 0.15
SIDE = 1024


def timed(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Median and least wall seconds, and median processor seconds, of a piece of work."""
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return {"median": statistics.median(walls), "least": min(walls), "processor": statistics.median(processors)}


def measured(side: int, half: bool, options: argparse.Namespace) -> dict[str, Any]:
    """Times of this process for a network of ``side`` pixels on a picture of that size."""
    import torch

    from oncoprompt.methods.medsam.sam import MedSAM
    from oncoprompt.methods.medsam.sam_network import build_sam, sam_config
    from oncoprompt.methods.medsam.slice_model import SlicePrompt

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = build_sam(sam_config("vit-b", side)).requires_grad_(False)
    model = MedSAM(network, "random", "", torch.device("cpu"), half=half)
    image = np.random.default_rng(0).random((side, side), dtype=np.float32)
    before, kept = peak_mib(), []
    encode = timed(lambda: kept.append(model.encode(image)), 1 if half else options.repeats)
    result = {"encode": encode, "weights_mib": before, "peak_mib": peak_mib()}
    if half or side != SIDE:
        return result
    first, second = (SlicePrompt(box=(x, 200.0, x + 300.0, 500.0)) for x in (100.0, 500.0))
    several = [SlicePrompt(box=(40.0 * n, 50.0, 40.0 * n + 200.0, 400.0)) for n in range(8)]
    model.decode(kept[0], [first])
    return result | {
        "second box": timed(lambda: model.decode(kept[0], [second]), options.boxes),
        "8 boxes at once": timed(lambda: model.decode(kept[0], several), max(3, options.boxes // 4)),
    }


def measured_apart(side: int, half: bool, options: argparse.Namespace) -> dict[str, Any]:
    """`measured` in a process of its own."""
    settings = [item for name in ("threads", "repeats", "boxes") for item in (f"--{name}", getattr(options, name))]
    found: dict[str, Any] = in_a_process(__file__, ["--measure", side, _precision(half), *settings], options.threads)
    return found


def _precision(half: bool) -> str:
    return "bf16" if half else "fp32"


def table(full: dict[str, Any], small: tuple[dict[str, Any], dict[str, Any]], options: argparse.Namespace) -> str:
    """The result as Markdown."""

    def row(what: str, times: dict[str, float], memory: float | None = None) -> str:
        cells = [f"{times[kind]:.2f}" for kind in ("median", "least", "processor")]
        return f"| {what} | {' | '.join(cells)} | {'' if memory is None else f'{memory:.0f}'} |"

    single, half = small
    box = full["second box"]
    times = half["encode"]["processor"] / single["encode"]["processor"]
    lines = [
        f"SAM ViT-B at {SIDE} x {SIDE} pixels, random weights (time and memory alone), {options.threads} threads; "
        f"{processor()}. Encoding: {options.repeats} runs (bf16: one); boxes: {options.boxes}.",
        "",
        "| what | median (s) | least (s) | processor (s) | peak memory (MiB) |",
        "|---|---|---|---|---|",
        row("encode, fp32", full["encode"], full["peak_mib"]),
        row("second box on the same image, mask at full size", box),
        row("8 boxes at once", full["8 boxes at once"]),
        row(f"encode {options.half_side} x {options.half_side}, fp32", single["encode"], single["peak_mib"]),
        row(f"encode {options.half_side} x {options.half_side}, bf16 autocast", half["encode"], half["peak_mib"]),
        "",
        f"Wanted of a second box: at most {WANTED_S} s. Its least wall time is {box['least']:.3f} s, its median "
        f"{box['median']:.3f} s, its processor time over {options.threads} threads {box['processor']:.3f} s.",
        f"bf16 takes {times:.1f} times the processor time of fp32 here. The process with its libraries and weights "
        f"takes {full['weights_mib']:.0f} MiB before it encodes.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--boxes", type=int, default=20)
    parser.add_argument("--half-side", type=int, default=256)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(int(options.measure[0]), options.measure[1] == "bf16", options)))
        return
    loads = [load()]
    full = measured_apart(SIDE, False, options)
    loads.append(load())
    small = measured_apart(options.half_side, False, options), measured_apart(options.half_side, True, options)
    loads.append(load())
    text = table(full, small, options)
    text += f"\n{load_sentence(loads, options.threads)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
