"""`oncoprompt demo`: a synthetic study that training never saw, one box, and how well the result fits the truth."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oncoprompt.cli.case_files import check_cases, check_room_for_cases, write_case
from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import check_device, check_model
from oncoprompt.cli.options import DEFAULT_MODEL, Device, Model, Overwrite, Quiet, Verbose
from oncoprompt.cli.prompting import described
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.evaluation import RegionScores
    from oncoprompt.inference import Segmentation
    from oncoprompt.prompts import Box
    from oncoprompt.synthesis import SyntheticStudy

EXAMPLE = "Example: oncoprompt demo -o demo/"
FIRST_UNSEEN_SEED = 2**48
"""Training draws its subjects' seeds below this one."""
JITTER = 0.1
_FILES = ("segmentation.nii.gz", "montage.png", "table.md", "summary.json")


def demo(
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything the demonstration makes.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Which of the studies that training never saw.")] = 0,
    family: Annotated[str, typer.Option(help="Kind of tumour.")] = "high-grade glioma",
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Make a synthetic study, segment it with one box whose sides are off by up to 10 %, and compare with the truth."""
    talk = Talk(quiet, verbose)
    with talk.errors_told(overwrite):
        check_model(model)
        check_device(device)
        if out.exists() and not out.is_dir():
            raise InputError(f"--output '{out}' is a file; give a folder.")
        check_room_for_cases(out, 1)
        check_cases(out, ["study"], [out / name for name in _FILES])
        table, seconds = run(out, seed, family, model, device, talk)
        if not quiet:
            say(f"{table}\nin {seconds:.0f} s: {out}/montage.png, segmentation.nii.gz, table.md, summary.json")


def run(out: Path, seed: int, family: str, model: str, device: str, talk: Talk) -> tuple[str, float]:
    """Leave study, label map, picture, table and summary in `out`; returns the table and the seconds it all took."""
    from oncoprompt.inference import Session
    from oncoprompt.methods.registry import load_model
    from oncoprompt.report.summary import summarise
    from oncoprompt.report.table import region_table
    from oncoprompt.study.output import write_output
    from oncoprompt.synthesis import synthesize
    from oncoprompt.synthesis.case import SCHEMA

    began = time.perf_counter()
    if family == "healthy":
        raise InputError("A healthy study has no tumour to put a box round. Give another --family, such as meningioma.")
    # Missing weights are better told before a study is made for them.
    load_model(model)
    with talk.step("Making a synthetic study"):
        synthetic = synthesize(FIRST_UNSEEN_SEED + seed, family)
        write_case(out, "study", synthetic.study, synthetic.label_map, SCHEMA, synthetic.record)
    box = _box(synthetic, seed)
    with talk.step("Segmenting"):
        result = Session(synthetic.study, model=model, device=device).segment(box)
    scores = _scores(synthetic, result)
    table = region_table(scores)
    summary = summarise(synthetic.study, result, [described(box, synthetic.study.grid)])
    with talk.step("Writing"):
        result.save(out / "segmentation.nii.gz", schema=SCHEMA)
        _draw(out / "montage.png", synthetic, result, box, scores)
        write_output(out / "table.md", table.encode())
        write_output(out / "summary.json", f"{json.dumps(summary, indent=2)}\n".encode())
    return table, time.perf_counter() - began


def _truth(synthetic: SyntheticStudy) -> dict[str, Any]:
    from oncoprompt.study import schemas
    from oncoprompt.synthesis.case import SCHEMA

    return dict(schemas.get(SCHEMA).region_masks(synthetic.label_map))


def _box(synthetic: SyntheticStudy, seed: int) -> Box:
    import numpy as np

    from oncoprompt.prompts import Box, jitter_box

    grid = synthetic.study.grid
    # as in training, round the tumour without the cavity of a resected one
    tight = Box.around(_truth(synthetic)["WT"], grid).to_voxels(grid)
    return Box.from_voxels(jitter_box(tight, JITTER, np.random.default_rng(seed), grid.shape), grid)


def _scores(synthetic: SyntheticStudy, result: Segmentation) -> dict[str, RegionScores]:
    from oncoprompt.evaluation import evaluate_regions

    truth = _truth(synthetic)
    masks = {region: result.mask(region) for region in truth}
    return evaluate_regions(masks, truth, synthetic.study.grid.spacing_mm)


def _draw(
    path: Path, synthetic: SyntheticStudy, result: Segmentation, box: Box, scores: dict[str, RegionScores]
) -> None:
    from oncoprompt.report.figure import draw_montage

    told = "   ".join(
        f"{region} {score.dice:.2f} ({score.volume_ml:.1f} of {score.truth_volume_ml:.1f} ml)"
        for region, score in scores.items()
    )
    truth = _truth(synthetic)
    masks = {region: result.mask(region) for region in truth}
    boxes = [box.to_voxels(synthetic.study.grid)]
    title = f"{synthetic.family}, synthetic, one box with sides moved by up to {JITTER:.0%}\nDice {told}"
    draw_montage(path, synthetic.study, masks, truth, boxes, title)
