"""Sparse markers beside a box on every slice, on the five real gliomas: user actions and Dice of the whole tumour.

    python benchmarks/sparse_markers.py [--model medsam-compact] [--every 5] [--jitter 0.05] [--markdown FILE]

Protocol: axial slices of FLAIR; each side of a box is moved by a uniform share of its length (seeded by case and slice,
so that both ways draw the same box on the same slice). Markers are boxes, or a long and a short axis, on one slice in
--every and on the last; edges between them are interpolated. A box is one action, two axes are two. No correction.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np

from oncoprompt.evaluation import dice
from oncoprompt.experiments.interaction_drawing import Annotator
from oncoprompt.experiments.interaction_workflows import Workflow, box_on_every_slice, sparse_axes, sparse_boxes
from oncoprompt.experiments.slice_answers import AnsweredOnce
from oncoprompt.experiments.slice_targets import SliceTarget, slice_cases_of
from oncoprompt.methods.medsam.slice_model import SliceModel
from oncoprompt.methods.registry import load_slice_model

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "brats2021"


def scored(
    model: SliceModel, target: SliceTarget, ways: tuple[Workflow, ...], jitter: float
) -> list[tuple[int, float]]:
    """Actions and Dice of each way."""
    once = AnsweredOnce(model, target.slices)
    annotator = Annotator(target.truth, jitter, zlib.crc32(target.name.encode()))
    steps = (next(way.steps(once, annotator)) for way in ways)
    return [(actions, dice(answer, target.truth)) for actions, answer in steps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="medsam-compact")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--jitter", type=float, default=0.05)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"The real cases are missing: {options.data}.")
    model = load_slice_model(options.model)
    ways = (box_on_every_slice(), sparse_boxes(options.every), sparse_axes(options.every))
    lines = [
        f"Model {options.model} ({model.weights_sha256[:12]}). Actions / Dice of WT on FLAIR slices; sides "
        f"of boxes and ends of axes moved by up to {options.jitter:.0%} of their length.",
        "",
        f"| case | {' | '.join(way.name for way in ways)} |",
        "|" + "---|" * (1 + len(ways)),
    ]
    found = []
    for case in slice_cases_of(options.data, "brats2021", 0, 0, "WT", "t2f"):
        (target,) = case.read()
        found.append(scored(model, target, ways, options.jitter))
        lines.append(row(case.name, found[-1]))
        print(lines[-1], flush=True)
    means = np.mean(found, axis=0)
    lines.append(row("mean", means.tolist()))
    saved = 1 - means[:, 0] / means[0, 0]
    lines += ["", "Actions saved: " + ", ".join(f"{w.name} {s:.0%}" for w, s in zip(ways, saved, strict=True)) + "."]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


def row(name: str, scores: list[tuple[float, float]]) -> str:
    return f"| {name} | {' | '.join(f'{actions:g} / {score:.3f}' for actions, score in scores)} |"


if __name__ == "__main__":
    main()
