"""Seconds and memory of TAGS at the size of ViT-B: a crop encoded and decoded, with the patch embedding in two forms.

    python benchmarks/tags_vit_b.py [--side 128] [--half-side 32] [--threads 2] [--clicks 3] [--markdown FILE]

Folded is what the package does: interpolation, SAM's convolution and the one along the depth as one convolution of the
crop. Unfolded is the published order, by way of a volume of 64 times as many samples. The weights are random, which
changes the answers but not the work. A processor without bfloat16 instructions takes an hour for them at 128^3, so both
precisions are compared at --half-side (0: not at all). Each case runs in a process of its own, so that its peak memory
is its own. Processor seconds are given beside wall seconds: where other programs share the cores, the wall tells about
them too.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import in_a_process, load, load_sentence, peak_mib, processor

FORMS = ("folded", "unfolded")
PRECISIONS = ("fp32", "bf16")
STEPS = ("embed", "encode", "decode")


def measured(form: str, precision: str, side: int, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the steps in this process, its peak memory after each, and some numbers that both forms share."""
    import torch

    from oncoprompt.methods.tags.config import TagsConfig
    from oncoprompt.methods.tags.network import TagsNetwork
    from oncoprompt.methods.tags.tensors import POSITIVE, TagsPrompt

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = TagsNetwork(TagsConfig.faithful()).eval()
    volume = torch.randn(1, 3, side, side, side)
    clicks = torch.rand(1, options.clicks, 3) * (side - 1)
    prompt = TagsPrompt(clicks, torch.full((1, options.clicks), POSITIVE))
    encoder = network.encoder
    embed = encoder.patch_embedding if form == "folded" else encoder.patch_embedding.unfolded
    result: dict[str, Any] = {"before_mib": peak_mib()}

    def timed(step: str, work: Callable[[], Any]) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        answer = work()
        seconds = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
        result[step] = {**seconds, "peak_mib": peak_mib()}
        return answer

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        tokens = timed("embed", lambda: embed(volume))
        features = timed("encode", lambda: encoder.encode_tokens(tokens, volume[:, :1]))
        timed("decode", lambda: network.decode(features, prompt))
    return result | {"tokens": tokens[0, -1, -1, -1, :8].float().tolist()}


def measured_apart(form: str, precision: str, side: int, options: argparse.Namespace) -> dict[str, Any]:
    """`measured` in a process of its own."""
    settings = ["--threads", options.threads, "--clicks", options.clicks]
    found: dict[str, Any] = in_a_process(__file__, ["--measure", form, precision, side, *settings], options.threads)
    return found


def table(results: dict[tuple[str, str, int], dict[str, Any]], options: argparse.Namespace) -> str:
    """The result as Markdown."""
    lines = [
        f"TAGS with SAM's ViT-B on a cubic crop, {options.clicks} clicks, random weights (time and memory alone), "
        f"{options.threads} threads, one run each; {processor()}.",
        "",
        "Embed: the patch embedding. Encode: the rest of the encoder. Decode: prompt encoder and decoder. Seconds of "
        "each are processor time, of all threads together. Peak memory is the process's, with libraries and weights.",
        "",
        "| crop | precision | patch embedding | embed (s) | encode (s) | decode (s) | all (s) | wall (s) "
        "| peak, embed (MiB) | peak, all (MiB) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (form, precision, side), result in results.items():
        seconds = [*(result[step]["processor"] for step in STEPS), processor_seconds(result)]
        wall = sum(result[step]["wall"] for step in STEPS)
        cells = [f"{value:.1f}" for value in (*seconds, wall)]
        cells += [f"{result[step]['peak_mib']:.0f}" for step in ("embed", "decode")]
        lines.append(f"| {side}^3 | {precision} | {form} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *notes(results, options)]) + "\n"


def processor_seconds(result: dict[str, Any]) -> float:
    """Processor time of the three steps together."""
    return float(sum(result[step]["processor"] for step in STEPS))


def notes(results: dict[tuple[str, str, int], dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """What the table says, in sentences."""
    folded, unfolded = (results[form, "fp32", options.side] for form in FORMS)
    apart = max(abs(a - b) for a, b in zip(folded["tokens"], unfolded["tokens"], strict=True))
    saved = [unfolded[step]["peak_mib"] - folded[step]["peak_mib"] for step in ("embed", "decode")]
    lines = [
        f"At {options.side}^3 in fp32 folding saves {saved[0]:.0f} MiB of the embedding's peak and {saved[1]:.0f} MiB "
        f"of the whole's; tokens of both forms differ by at most {apart:.1e}. Folded, the process with its libraries "
        f"and weights takes {folded['before_mib']:.0f} MiB before it embeds."
    ]
    if not options.half_side:
        return [*lines, "bf16 was not measured."]
    single, half = (results["folded", precision, options.half_side] for precision in PRECISIONS)
    times = processor_seconds(half) / processor_seconds(single)
    lines.append(f"bf16 autocast takes {times:.1f} times the processor time of fp32 at {options.half_side}^3.")
    if options.half_side != options.side:
        volumes = (options.side / options.half_side) ** 3
        seconds = {form: volumes * processor_seconds(results[form, "bf16", options.half_side]) for form in FORMS}
        lines.append(
            f"All work is in proportion to the voxels, so {options.side}^3 in bf16 would take about "
            f"{seconds['folded']:.0f} processor seconds folded and {seconds['unfolded']:.0f} unfolded: an estimate; "
            f"--half-side {options.side} measures it."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--half-side", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clicks", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        form, precision, side = options.measure
        print(json.dumps(measured(form, precision, int(side), options)))
        return
    # a crop on which both precisions are measured is not measured twice
    halves = [(precision, options.half_side) for precision in PRECISIONS if options.half_side]
    cases = dict.fromkeys([("fp32", options.side), *halves])
    loads, results = [], {}
    for precision, side in cases:
        for form in FORMS:
            loads.append(load())
            results[form, precision, side] = measured_apart(form, precision, side, options)
    text = table(results, options)
    text += f"\n{load_sentence(loads, options.threads)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
