"""Dice of a model on one real glioma for all 15 subsets of its four channels, with one box.

    python benchmarks/channel_subsets.py [--case BraTS2021_01660] [--jitter 0.1] [--markdown FILE]

The box is one seeded draw, each of its six sides moved by a uniform share of its length, the same for all subsets.
"""

import argparse
import zlib
from itertools import combinations
from pathlib import Path

import numpy as np

from oncoprompt import Box, Session, Study
from oncoprompt.evaluation import dice
from oncoprompt.methods.registry import load_model
from oncoprompt.prompts import jitter_box
from oncoprompt.study import REGIONS, read_label_map

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "brats2021"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="msm-seg-compact")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--case", default="BraTS2021_01660")
    parser.add_argument("--jitter", type=float, default=0.1)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    folder = options.data / options.case
    if not folder.is_dir():
        raise SystemExit(f"The real case is missing: {folder}.")
    study = Study.read(folder)
    truth = read_label_map(folder / f"{folder.name}-seg.nii.gz", schema="brats2021").region_masks()
    tight = Box.around(truth["WT"], study.grid).to_voxels(study.grid)
    rng = np.random.default_rng(zlib.crc32(folder.name.encode()))
    box = Box.from_voxels(jitter_box(tight, options.jitter, rng, study.grid.shape), study.grid)
    model = load_model(options.model)
    lines = [
        f"Case {options.case}, model {options.model} ({model.weights_sha256[:12]}). Box protocol: one 3-D box, each "
        f"side moved by uniform +-{options.jitter:.0%} of its length, the same draw for every subset.",
        "",
        "| t1n | t1c | t2w | t2f | WT | TC | ET |",
        "|---|---|---|---|---|---|---|",
    ]
    names = tuple(study.channels)
    for size in range(1, len(names) + 1):
        for subset in combinations(names, size):
            part = Study({name: study.channels[name] for name in subset}, study.grid, study.name, study.header)
            result = Session(part, model=model).segment(box)
            cells = [f"{dice(result.mask(region), truth[region]):.3f}" for region in REGIONS]
            marks = ["x" if name in subset else " " for name in ("t1n", "t1c", "t2w", "t2f")]
            lines.append(f"| {' | '.join([*marks, *cells])} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
