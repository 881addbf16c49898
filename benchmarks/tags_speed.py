"""Seconds and memory of TAGS compact: a crop of 128^3 voxels, and whole runs of `oncoprompt segment`.

    python benchmarks/tags_speed.py [--model tags-compact] [--threads 2] [--repeats 3] [--data DIR] [--markdown FILE]

Crops run in a process of their own, whose peak memory the system reports; so do whole runs (start of the interpreter,
imports, weights from disk, reading, segmenting, writing).
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from machine import in_a_process, peak_mib, whole_run
from oncoprompt.experiments.table import markdown
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.tags.compact import CompactPrompt, CompactTags
from oncoprompt.prompts import random_clicks
from oncoprompt.study import read_label_map
from real_gliomas import DATA

SIDE = 128
CROPS = {"MRI, four channels": ("t1n", "t1c", "t2w", "t2f"), "CT": ("ct",)}


def crop(roles: tuple[str, ...], threads: int, repeats: int) -> dict[str, float]:
    """Median seconds of encoding and of decoding one crop, and the peak memory (MiB) of this process before and after.

    Weights are random: they change neither.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = CompactTags().eval()
    images = torch.randn(1, len(roles), SIDE, SIDE, SIDE)
    maps = torch.zeros(1, 3, SIDE, SIDE, SIDE)
    prompt = CompactPrompt(PromptMaps(maps[:, :1], maps[:, 1:]), maps[:, :1], torch.tensor([1]))
    before = peak_mib()
    encoded, decoded = [], []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            began = time.perf_counter()
            features = network.encode(images, roles)
            between = time.perf_counter()
            network.decode(features, prompt)
            encoded.append(between - began)
            decoded.append(time.perf_counter() - between)
    peak = peak_mib()
    return {
        # the first pass also pays for what torch sets up
        "encode": statistics.median(encoded[1:]),
        "decode": statistics.median(decoded[1:]),
        "first": encoded[0] + decoded[0],
        "before": before,
        "peak": peak,
    }


def runs(model: str, case: Path, threads: int, repeats: int) -> list[list[str]]:
    """Whole runs on a real study: a word alone, and three clicks with the word."""
    labels = read_label_map(case / f"{case.name}-seg.nii.gz", schema="brats2021").region_masks()["WT"]
    clicks = random_clicks(labels, 3, np.random.default_rng(0))
    asked = {
        "`segment --text glioma`": ["--text", "glioma"],
        "`segment --text glioma` with 3 clicks": [
            "--text", "glioma", *(word for click in clicks for word in ("--click", *map(str, click.tolist())))
        ],
    }  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory() as name:
        study = Path(name) / "study"
        study.mkdir()
        for path in case.iterdir():
            if not path.name.endswith("-seg.nii.gz"):
                (study / path.name).symlink_to(path.resolve())
        for what, words in asked.items():
            out = Path(name) / "out.nii.gz"
            command = ["-i", str(study), "--model", model, "-o", str(out), "-q", *words]
            found = []
            for _ in range(repeats):
                out.unlink(missing_ok=True)
                found.append(whole_run(command, threads))
            seconds, peak = (statistics.median(column) for column in zip(*found, strict=True))
            rows.append([what, "", "", f"{seconds:.2f}", f"{peak:.0f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tags-compact")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--crop", choices=list(CROPS), help=argparse.SUPPRESS)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.crop:
        print(json.dumps(crop(CROPS[options.crop], options.threads, options.repeats)))
        return
    rows = []
    for name in CROPS:
        settings = ["--crop", name, "--threads", options.threads, "--repeats", options.repeats]
        found = in_a_process(__file__, settings, options.threads)
        total = found["encode"] + found["decode"]
        cells = [f"{found['encode']:.2f}", f"{found['decode']:.2f}", f"{total:.2f}"]
        rows.append([f"crop of {SIDE}^3, {name}", *cells, f"{found['peak']:.0f} (from {found['before']:.0f})"])
    if options.data.is_dir():
        case = sorted(path for path in options.data.iterdir() if path.is_dir())[0]
        rows += runs(options.model, case, options.threads, options.repeats)
    size = sum(parameter.numel() for parameter in CompactTags().parameters())
    head = (
        f"{options.threads} threads, {os.cpu_count()} cores; medians of {options.repeats} runs. The network has "
        f"{size / 1e6:.2f} million parameters. Whole runs: a real study of 240x240x155 and four channels."
    )
    text = f"{head}\n\n{markdown(('what', 'encode (s)', 'decode (s)', 'all (s)', 'peak memory (MiB)'), rows)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
