"""Scores of weights in training: real gliomas, whole heads, synthetic studies, studies without a tumour.

    python benchmarks/training_scores.py --weights NAME_OR_FILE [--csv FILE] [--draws 1] [--sets real raw ...]

Dice of WT, TC and ET. Protocols: one 3-D box around the whole tumour, each side moved by up to 10 % of its length
(`--draws` seeded draws), or no prompt. Sets: "real", the eleven BraTS 2021 cases; "raw", ten whole heads with
lower-grade gliomas, WT alone; "synthetic", two held-out studies of each family; "healthy", millilitres found without a
prompt where there is no tumour. With --csv a row is added and the curves are drawn beside it (.png).
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import matplotlib
import numpy as np
import torch

from oncoprompt import Session, Study
from oncoprompt.cli.demo import FIRST_UNSEEN_SEED
from oncoprompt.experiments.protocol import box_dice, boxless_dice
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import load_model
from oncoprompt.study import LabelMap, read_label_map, schemas
from oncoprompt.study.whole_file import write_whole
from oncoprompt.synthesis.case import SCHEMA
from oncoprompt.synthesis.generate import synthesize
from oncoprompt.synthesis.lesion import FAMILIES

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
SETS = ("real", "raw", "synthetic", "healthy")
JITTER = 0.1
Labelled = tuple[Study, LabelMap]


def labelled(folder: Path, schema: str) -> Iterator[Labelled]:
    """The cases of a folder, one folder each."""
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield Study.read(case), read_label_map(case / f"{case.name}-seg.nii.gz", schema=schema)


def synthetic() -> Iterator[Labelled]:
    """Two studies of each family with a tumour, of seeds that no training draws."""
    for number in range(2 * (len(FAMILIES) - 1)):
        made = synthesize(FIRST_UNSEEN_SEED + 100 + number, FAMILIES[number % (len(FAMILIES) - 1)])
        yield made.study, LabelMap(made.label_map, made.study.grid, schemas.get(SCHEMA))


def set_scores(
    model: Method, name: str, cases: Iterator[Labelled], draws: int, regions: tuple[str, ...]
) -> dict[str, float]:
    """Mean Dice over cases, by way of asking and region; a region without truth is left out."""
    rows: list[dict[str, float]] = []
    for study, truth in cases:
        boxed, searched = box_dice(model, study, truth, JITTER, draws) or {}, boxless_dice(model, study, truth)
        row = {f"{name} box {r}": boxed[r] for r in regions if r in boxed}
        rows.append(row | {f"{name} none {r}": searched[r] for r in regions if r in searched})
        print(study.name, *(f"{key.removeprefix(name)} {value:.3f}" for key, value in rows[-1].items()), flush=True)
    return {key: float(np.mean([row[key] for row in rows if key in row])) for row in rows for key in row}


def healthy_ml(model: Method) -> dict[str, float]:
    """Most and mean millilitres of whole tumour found where there is none."""
    folders = sorted(path for path in (SHARED / "negative_control").iterdir() if path.is_dir())
    studies = [Study.read(folder) for folder in folders]
    studies += [synthesize(FIRST_UNSEEN_SEED + 200 + number, "healthy").study for number in range(3)]
    found = [Session(study, model=model).segment().volume_ml("WT") for study in studies]
    print(*(f"{study.name} {ml:.1f} ml" for study, ml in zip(studies, found, strict=True)), flush=True)
    return {"healthy most ml": max(found), "healthy mean ml": float(np.mean(found))}


def scores(model: Method, sets: tuple[str, ...], draws: int) -> dict[str, float]:
    """All scores of the sets."""
    out: dict[str, float] = {}
    if "real" in sets:
        cases = labelled(SHARED / "brats2021", "brats2021")
        out |= set_scores(model, "real", cases, draws, ("WT", "TC", "ET"))
    if "raw" in sets:
        out |= set_scores(model, "raw", labelled(SHARED / "raw" / "lgg", "tumour"), draws, ("WT",))
    if "synthetic" in sets:
        out |= set_scores(model, "synthetic", synthetic(), draws, ("WT", "TC", "ET"))
    if "healthy" in sets:
        out |= healthy_ml(model)
    return out


def add_row(path: Path, row: Mapping[str, float | int | str]) -> None:
    """Add a row to a table, with new columns where there are any, and draw the table's curves."""
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    rows.append({key: f"{value:.4f}" if isinstance(value, float) else str(value) for key, value in row.items()})
    columns = list(dict.fromkeys(key for each in rows for key in each))
    lines = [",".join(columns), *(",".join(each.get(column, "") for column in columns) for each in rows)]
    write_whole(path, ("\n".join(lines) + "\n").encode())
    draw(path.with_suffix(".png"), rows)


def draw(path: Path, rows: list[dict[str, str]]) -> None:
    """Curves of Dice against hours of training."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4), sharey=True)
    for axis, name in zip(axes, ("real", "raw", "synthetic"), strict=True):
        for column in [column for column in rows[-1] if column.startswith(f"{name} ")]:
            points = [(float(row["hours"]), float(row[column])) for row in rows if row.get(column)]
            style = "-" if " box " in column else "--"
            axis.plot(*zip(*points, strict=True), style, marker=".", label=column.removeprefix(f"{name} "))
        axis.set(title=name, xlabel="hours of training", ylim=(0, 1))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("Dice")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    manifest_file = Path(options.weights).with_suffix(".json")
    manifest = json.loads(manifest_file.read_text()) if manifest_file.exists() else {}
    model = load_model(options.weights)
    began = time.monotonic()
    found = scores(model, tuple(options.sets), options.draws)
    row: dict[str, float | int | str] = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "weights": model.weights_sha256[:12],
        "steps": manifest.get("steps", 0),
        "items": manifest.get("items", 0),
        "hours": round(manifest.get("trained_minutes", 0.0) / 60, 2),
        **found,
        "scoring_minutes": round((time.monotonic() - began) / 60, 1),
    }
    print(json.dumps(row, indent=1))
    if options.csv is not None:
        options.csv.parent.mkdir(parents=True, exist_ok=True)
        add_row(options.csv, row)


if __name__ == "__main__":
    main()
