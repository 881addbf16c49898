"""`oncoprompt segment`: a study and a prompt in, a label map on the study's grid out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oncoprompt.cli import segment_kinds, segment_targets
from oncoprompt.cli.console import Talk, say, say_json
from oncoprompt.cli.given import about
from oncoprompt.cli.options import DEFAULT_MODEL, AsJson, Device, Model, Overwrite, Quiet, Verbose
from oncoprompt.cli.outputs import Outputs
from oncoprompt.cli.prompting import Asked, described
from oncoprompt.cli.segment_request import Request, SliceOptions, source_of
from oncoprompt.errors import InputError
from oncoprompt.methods.tags.vocabulary import CONCEPTS

if TYPE_CHECKING:
    from oncoprompt.inference import Segmentation
    from oncoprompt.study import Study

EXAMPLE = "Example: oncoprompt segment -i BraTS2021_00006/ -o case-seg.nii.gz --box 91 166 38 109 44 112"
_KNOWN = ", ".join(CONCEPTS)


class Format(StrEnum):
    """File formats of the label map."""

    nifti = "nifti"
    dicom_seg = "dicom-seg"


def segment(
    out: Annotated[Path, typer.Option("--output", "-o", help="Label map to write (.nii, .nii.gz) or a folder for it.")],
    study: Annotated[
        list[Path] | None,
        typer.Option(
            "--input", "-i", help="Folder of a study or DICOM series, or one scan or picture; channels by file name."
        ),
    ] = None,
    channel: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="One channel and its file, instead of -i; repeatable.")
    ] = None,
    channel_order: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Channels of a file of several volumes in order, such as t2f,t1n,t1c,t2w."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="I0 I1 J0 J1 K0 K1",
            help="Box around a target in half-open voxel ranges, X0 Y0 X1 Y1 in pictures; repeatable. Voxels count "
            "from 0; ITK-SNAP counts from 1.",
        ),
    ] = None,
    click: Annotated[
        list[str] | None, typer.Option(metavar="I J K", help="Voxel inside the tumour, counted from 0; repeatable.")
    ] = None,
    no_click: Annotated[
        list[str] | None, typer.Option(metavar="I J K", help="Voxel outside the tumour; repeatable.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS",
            help=f"What to look for, for models that read; tags-compact knows {_KNOWN}. Several tell kinds apart.",
        ),
    ] = None,
    anatomy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mask of the organ that holds the tumour, for TAGS."),
    ] = None,
    model: Model = DEFAULT_MODEL,
    schema: Annotated[
        str | None,
        typer.Option(help="Label schema of the label map, such as brats2021.", show_default="brats2023; tumour for CT"),
    ] = None,
    file_format: Annotated[Format, typer.Option("--format", help="Format of the label map.")] = Format.nifti,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write a probability map of each region or target.")
    ] = False,
    overlay: Annotated[Path | None, typer.Option(help="Write a picture (.png) to judge the result by.")] = None,
    on: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="Models of slices: the channel to look at, of several.")
    ] = None,
    plane: Annotated[
        str | None,
        typer.Option(help="Models of slices: axial, coronal or sagittal; by default across the largest spacing."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(help="Models of slices: soft-tissue, lung-l600, brain, percentiles, ... or WIDTH/LEVEL."),
    ] = None,
    propagate: Annotated[
        bool,
        typer.Option("--propagate/--no-propagate", help="Models of slices: follow a target beyond its box's slice."),
    ] = True,
    device: Device = "auto",
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Segment a tumour and its sub-regions (ET, TC, WT) from boxes, clicks or nothing, on the grid of the scan.

    TAGS (tags-...) takes words and a mask of the organ as well, and CT, of which the tumour is told as a whole. With
    several --text the label map numbers kinds of tumour in their order.

    Models of slices (medsam-...) segment one target of any kind a box, in pictures and scans.
    """
    talk = Talk(quiet, verbose)
    with talk.errors_told(overwrite):
        if file_format is Format.dicom_seg:
            raise InputError("Format dicom-seg is not built yet. Use --format nifti.")
        asked = Asked(box or (), click or (), no_click or (), text or (), anatomy)
        options = SliceOptions(plane, on, window, propagate)
        source = source_of(study or [], channel or [])
        order = None if channel_order is None else tuple(channel_order.split(","))
        request = Request(source, asked, out, overlay, model, schema, device, probabilities, options, order)
        request.check()
        answer, told = run, _told
        if _is_slice_model(model):
            answer, told = segment_targets.run, segment_targets.told
        elif len(asked.words) > 1:
            answer, told = segment_kinds.run, segment_kinds.told
        request.check_ready()
        summary = answer(request, talk)
        if as_json:
            say_json(summary)
        elif not quiet:
            say(told(summary))


def _is_slice_model(name: str) -> bool:
    from oncoprompt.methods.medsam.models import is_slice_model

    return is_slice_model(name)


def run(request: Request, talk: Talk) -> dict[str, Any]:
    """Read, segment and write; returns the summary. Nothing is computed before the request has been checked."""
    from oncoprompt.report.summary import summarise
    from oncoprompt.study import Study, schemas
    from oncoprompt.study.regions import check_told, told_regions, usual_schema

    began = time.perf_counter()
    request.check_no_slice_options()
    with talk.step("Reading the study"):
        study = Study.read(request.source, channel_order=request.channel_order)
    schema = request.schema or usual_schema(study.channels)
    with about("--schema"):
        check_told(schemas.get(schema), study.channels)
    prompts = request.asked.prompts(study.grid)
    outputs = Outputs.planned(request.out, study.name, request.overlay, beside=request.scans)
    regions = told_regions(study.channels)
    outputs.check(request.files_read, list(regions.values()) if request.probabilities else ())
    request.check_room(outputs.label_map, study.grid, len(regions))
    with talk.step(f"Loading {request.model}"):
        from oncoprompt.inference import Session

        session = Session(study, model=request.model, device=request.device)
    with talk.step("Segmenting"):
        result = session.segment(prompts or None)
    summary = summarise(study, result, [described(prompt, study.grid) for prompt in prompts])
    with talk.step("Writing"):
        summary["outputs"] = _write(request, schema, outputs, study, result, summary)
    summary["schema"] = schema
    summary["timings_s"]["process"] = round(time.perf_counter() - began, 3)
    return summary


def _write(
    request: Request, schema: str, outputs: Outputs, study: Study, result: Segmentation, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Write what was asked for and return the files, by what they hold."""
    from oncoprompt.study import write_nifti
    from oncoprompt.study.regions import told_regions

    told = told_regions(study.channels)
    result.save(outputs.label_map, schema=schema)
    written: dict[str, Any] = {"label_map": str(outputs.label_map)}
    if request.probabilities:
        written["probabilities"] = {name: str(outputs.probability(name)) for name in told.values()}
        for region, name in told.items():
            write_nifti(outputs.probability(name), result.probability(region), like=study)
    if outputs.overlay is not None:
        import numpy as np

        from oncoprompt.report.figure import draw_montage

        volumes = "   ".join(f"{name} {numbers['volume_ml']:.1f} ml" for name, numbers in summary["regions"].items())
        boxes = [np.asarray(prompt["voxels"]) for prompt in summary["prompts"] if prompt["kind"] == "box"]
        masks = {region: result.mask(region) for region in told}
        draw_montage(outputs.overlay, study, masks, boxes=boxes, title=f"{study.name}\n{volumes}")
        written["overlay"] = str(outputs.overlay)
    return written


def _told(summary: Mapping[str, Any]) -> str:
    lines = [
        f"{region}  {numbers['volume_ml']:9.2f} ml in {numbers['count']} part{'s' if numbers['count'] != 1 else ''}"
        f"{_range(numbers['volume_interval_ml'], summary['interval_share'])}"
        for region, numbers in summary["regions"].items()
    ]
    return "\n".join([*lines, f"{summary['outputs']['label_map']} ({summary['schema']})"])


def _range(interval: Sequence[float] | None, share: float | None) -> str:
    return "" if interval is None else f"  ({share:.0%} interval {interval[0]:.2f} to {interval[1]:.2f} ml)"
