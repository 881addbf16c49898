"""CPU-seconds and memory of synthetic studies with truth, on one thread.

    python benchmarks/generator.py [--count 50] [--first-seed 0] [--markdown FILE]

Whole studies of 160 x 192 x 160 voxels come from `synthesize`, one tumour family after the other; crops of 128^3 at
1 mm and training items of 72^3 at 1.5 mm are drawn directly, each of a new person, about the middle of the head.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from machine import peak_mib
from oncoprompt.synthesis import FAMILIES, Subject, synthesize

CROPS = (("128^3 crop at 1 mm", 128, 1.0), ("72^3 training item at 1.5 mm", 72, 1.5))


def points_mm(n: int, spacing_mm: float) -> torch.Tensor:
    """Points ``[n, n, n, 3]`` (R, A, S) of a cube about the middle of the head."""
    x = (torch.arange(n) - (n - 1) / 2) * spacing_mm
    return torch.stack(torch.broadcast_tensors(x[None, None, :], x[None, :, None], x[:, None, None]), dim=-1)


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def crop(seed: int, family: str, n: int, spacing_mm: float) -> None:
    Subject.random(seed, family).picture(points_mm(n, spacing_mm), (spacing_mm,) * 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn = [(options.first_seed + n, FAMILIES[n % len(FAMILIES)]) for n in range(options.count)]
    before = peak_mib()
    first = cpu_seconds(partial(crop, options.first_seed, FAMILIES[0], 72, 1.5))
    lines = [
        f"{options.count} of each kind, families in turn, one thread, torch {torch.__version__}. CPU-seconds of each "
        f"with truth. The first one of a process, which reads the atlas, is not counted: {first:.2f} s.",
        "",
        "| what | mean | median | 90 % | longest | memory peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    by_family: dict[str, list[float]] = {family: [] for family in FAMILIES}
    # the small ones first: the peak of memory only grows
    for name, n, spacing in reversed(CROPS):
        lines.append(row(name, [cpu_seconds(partial(crop, s, f, n, spacing)) for s, f in drawn]))
    whole = []
    for seed, family in drawn:
        whole.append(cpu_seconds(partial(synthesize, seed, family)))
        by_family[family].append(whole[-1])
    lines.append(row("whole study 160 x 192 x 160", whole))
    lines += [
        "",
        f"Memory before the first: {before:.0f} MiB.",
        "",
        "| family | mean CPU-s of a whole study |",
        "|---|---|",
    ]
    lines += [f"| {family} | {np.mean(values):.2f} |" for family, values in by_family.items() if values]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


def row(name: str, seconds: list[float]) -> str:
    figures = (np.mean(seconds), np.median(seconds), np.quantile(seconds, 0.9), np.max(seconds))
    return f"| {name} | {' | '.join(f'{value:.3f}' for value in figures)} | {peak_mib():.0f} |"


if __name__ == "__main__":
    main()
