"""`oncoprompt segment` with a model of slices: a picture or scan and a box a target in, numbered targets out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oncoprompt.cli.console import Talk
from oncoprompt.cli.outputs import Outputs
from oncoprompt.cli.prompting import described
from oncoprompt.cli.segment_request import Request
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.inference import SliceSession, TargetSegmentation
    from oncoprompt.study import Study

_VOLUME = (".nii.gz", ".nii")
_PICTURE = ".png"
_UNNAMED = "scan"


def run(request: Request, talk: Talk) -> dict[str, Any]:
    """Read, segment and write; returns the summary. Nothing is computed before the request has been checked."""
    from oncoprompt.report.target_summary import summarise_targets
    from oncoprompt.study import Study

    began = time.perf_counter()
    if request.schema is not None:
        raise InputError(f"'{request.model}' numbers targets and knows no label schema; leave out --schema.")
    with talk.step("Reading the study"):
        study = Study.read(request.source, channel_order=request.channel_order, unnamed=_UNNAMED)
    prompts = request.asked.prompts(study.grid)
    outputs = _outputs(request, study)
    request.check_room(outputs.label_map, study.grid, max(1, len(request.asked.boxes)))
    with talk.step(f"Loading {request.model}"):
        from oncoprompt.inference import SliceSession

        options = request.slices
        session = SliceSession(study, request.model, request.device, options.plane, options.channel, options.window)
    with talk.step("Segmenting"):
        result = session.segment(prompts, propagate=options.propagate)
    summary = summarise_targets(study, result, [described(prompt, study.grid) for prompt in prompts])
    with talk.step("Writing"):
        summary["outputs"] = _write(request, outputs, session, result)
    summary["timings_s"]["process"] = round(time.perf_counter() - began, 3)
    return summary


def told(summary: Mapping[str, Any]) -> str:
    """The summary in lines for a person."""
    lines = [f"target {target['number']}  {_size(target)}" for target in summary["targets"]]
    return "\n".join([*lines, str(summary["outputs"]["label_map"])])


def _size(target: Mapping[str, Any]) -> str:
    if target["area_mm2"] is not None:
        return f"{target['area_mm2']:9.1f} mm2"
    if target["volume_ml"] is not None:
        return f"{target['volume_ml']:9.2f} ml"
    return f"{target['voxels']:9} pixels"


def _outputs(request: Request, study: Study) -> Outputs:
    from oncoprompt.study.picture import is_picture
    from oncoprompt.study.slices import thin_axis

    endings: tuple[str, ...] = _VOLUME
    if thin_axis(study.grid) is not None:
        endings = (_PICTURE, *_VOLUME) if is_picture(study) else (*_VOLUME, _PICTURE)
    outputs = Outputs.planned(request.out, study.name, request.overlay, endings, request.scans)
    count = max(1, len(request.asked.boxes)) if request.probabilities else 0
    outputs.check(request.files_read, [str(number) for number in range(1, count + 1)])
    return outputs


def _write(request: Request, outputs: Outputs, session: SliceSession, result: TargetSegmentation) -> dict[str, Any]:
    """Write what was asked for and return the files, by what they hold."""
    from oncoprompt.study import write_nifti

    result.save(outputs.label_map)
    written: dict[str, Any] = {"label_map": str(outputs.label_map)}
    if request.probabilities:
        files = {str(number): outputs.probability(str(number)) for number in range(1, result.count + 1)}
        for number, file in files.items():
            write_nifti(file, result.probability(int(number)), like=result.study)
        written["probabilities"] = {number: str(file) for number, file in files.items()}
    if outputs.overlay is not None:
        from oncoprompt.prompts import Box
        from oncoprompt.report.target_figure import draw_targets

        stack = session.images.stack
        boxes = [p.to_voxels(stack.grid) for p in result.provenance.prompts if isinstance(p, Box)]
        masks = [stack.slices(result.mask(number)) for number in range(1, result.count + 1)]
        draw_targets(outputs.overlay, session.images.values, masks, stack, boxes, title=result.study.name)
        written["overlay"] = str(outputs.overlay)
    return written
