"""Seconds and memory of `oncoprompt segment` on a 240x240x155 study of four channels, and of a second prompt.

    python benchmarks/speed.py [--repeats 3] [--markdown FILE]

The study is synthetic, so the benchmark needs no data. The whole process is timed from outside (start of the
interpreter, imports, weights from disk, reading, segmenting, writing); its peak memory is what the system reports.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from machine import peak_mib, whole_run
from oncoprompt import Box, Click, Session, Study
from oncoprompt.geometry import Grid
from oncoprompt.study import write_nifti
from oncoprompt.synthesis import synthesize

SHAPE = (240, 240, 155)


def brats_like(seed: int) -> tuple[Study, np.ndarray]:
    """A synthetic study on the 240x240x155 LPS grid of BraTS 2021, and its label map."""
    made = synthesize(seed, "high-grade glioma")
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = [0.0, 239.0, 0.0]
    channels = {name: place(image) for name, image in made.study.channels.items()}
    return Study(channels, Grid(SHAPE, affine), f"speed-{seed}"), place(made.label_map)


def place(array: np.ndarray) -> np.ndarray:
    """An (160, 192, 160) RAS array in the middle of an LPS grid of SHAPE."""
    out = np.zeros(SHAPE, array.dtype)
    out[40:200, 24:216, :] = array[::-1, ::-1, :155]
    return out


def run_command(folder: Path, box: np.ndarray) -> tuple[float, float]:
    """Wall seconds and peak MiB of one whole run of the command."""
    return whole_run(["-i", folder, "-o", folder / "out.nii.gz", "-q", "--box", *(int(v) for v in box.ravel())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=990_001)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    study, labels = brats_like(options.seed)
    box = Box.around(labels > 0, study.grid)
    voxels = box.to_voxels(study.grid)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for channel, image in study.channels.items():
            write_nifti(folder / f"speed-{channel}.nii.gz", image, like=study)
        runs = [run_command(folder, voxels) for _ in range(options.repeats)]
    session = Session(study)
    session.segment(box)
    began = time.perf_counter()
    session.click(Click.at_voxel(np.argwhere(labels > 0)[0], study.grid))
    click_s = time.perf_counter() - began
    moved = voxels + np.array([[-3, 2], [1, -2], [0, 3]])
    began = time.perf_counter()
    session.segment(Box.from_voxels(np.clip(moved, 0, np.array(SHAPE)[:, None]), study.grid))
    box_s = time.perf_counter() - began
    side = "x".join(str(int(b - a)) for a, b in voxels)
    lines = [
        f"Box of {side} voxels on 240x240x155, four channels, {os.cpu_count()} cores; "
        f"medians of {options.repeats} runs.",
        "",
        "| what | seconds | peak memory (MiB) |",
        "|---|---|---|",
        f"| `oncoprompt segment --box`, whole process | {statistics.median(r[0] for r in runs):.2f} "
        f"| {statistics.median(r[1] for r in runs):.0f} |",
        f"| second prompt in a session: a click | {click_s:.2f} | |",
        f"| second prompt in a session: another box | {box_s:.2f} | {peak_mib():.0f} |",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
