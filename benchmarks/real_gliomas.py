"""Dice of a model on the five real gliomas, beside Otsu's threshold of FLAIR in the same boxes.

    python benchmarks/real_gliomas.py [--model msm-seg-compact] [--jitter 0.1] [--repeats 3] [--markdown FILE]

Protocols: one 3-D box, each of its six sides moved by a uniform share of its length (seeded), or no box at all.
Nothing here has been trained on a real scan.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt import Study
from oncoprompt.evaluation import dice
from oncoprompt.experiments.protocol import boxless_dice, moved_box
from oncoprompt.methods.registry import load_model
from oncoprompt.study import REGIONS, read_label_map

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "brats2021"
Masks = dict[str, NDArray[np.bool_]]


def otsu_in_box(study: Study, box: NDArray[np.int64]) -> Masks:
    """The classical baseline: voxels of FLAIR in the box above Otsu's threshold of the box."""
    window = tuple(slice(low, high) for low, high in box)
    values = study.channel("t2f")[window]
    counts, edges = np.histogram(values[values > values.min()], bins=128)
    centres = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    mean_above = np.cumsum((counts * centres)[::-1])[::-1] / np.maximum(above, 1)
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    mask = np.zeros(study.grid.shape, dtype=bool)
    mask[window] = values > edges[int(np.argmax(between)) + 1]
    return {"WT": mask}


def scores(prediction: Masks, truth: Masks) -> dict[str, float]:
    """Dice a region; a region without truth is left out (its false positives are told by the millilitres)."""
    return {r: dice(prediction[r], truth[r]) for r in REGIONS if r in prediction and truth[r].any()}


def mean(rows: list[dict[str, float]], region: str) -> float:
    values = [row[region] for row in rows if region in row]
    return float(np.mean(values)) if values else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="msm-seg-compact")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--jitter", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"The real cases are missing: {options.data}.")
    model = load_model(options.model)
    boxed: list[dict[str, float]] = []
    unboxed: list[dict[str, float]] = []
    classical: list[dict[str, float]] = []
    lines = [
        f"Model {options.model} ({model.weights_sha256[:12]}). Box protocol: one 3-D box, each side moved by uniform "
        f"+-{options.jitter:.0%} of its length, {options.repeats} seeded draws a case.",
        "",
        "| case | WT | TC | ET | no box: WT | TC | ET | Otsu in box: WT |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for folder in sorted(p for p in options.data.iterdir() if p.is_dir()):
        study = Study.read(folder)
        labels = read_label_map(folder / f"{folder.name}-seg.nii.gz", schema="brats2021")
        truth = labels.region_masks()
        mine: list[dict[str, float]] = []
        theirs: list[dict[str, float]] = []
        for result in moved_box(options.jitter, options.repeats).answers(model, study, truth["WT"]):
            mine.append(scores({r: result.mask(r) for r in REGIONS}, truth))
            theirs.append(scores(otsu_in_box(study, result.provenance.prompts[0].to_voxels(study.grid)), truth))
        boxed.append({r: mean(mine, r) for r in mine[0]})
        classical.append({r: mean(theirs, r) for r in theirs[0]})
        unboxed.append(boxless_dice(model, study, labels))
        lines.append(row(folder.name, boxed[-1], unboxed[-1], classical[-1]))
    means = [{r: mean(rows, r) for r in REGIONS} for rows in (boxed, unboxed, classical)]
    lines.append(row("mean", *means))
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


def row(name: str, boxed: dict[str, float], unboxed: dict[str, float], classical: dict[str, float]) -> str:
    cells = [f"{rows.get(r, float('nan')):.3f}" for rows in (boxed, unboxed) for r in REGIONS]
    return f"| {name} | {' | '.join(cells)} | {classical['WT']:.3f} |"


if __name__ == "__main__":
    main()
