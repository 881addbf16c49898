"""`oncoprompt segment` with several words: kinds of tumour numbered in their order."""

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
    from oncoprompt.inference import KindSegmentation


def run(request: Request, talk: Talk) -> dict[str, Any]:
    """Read, segment and write; returns the summary. Nothing is computed before the request has been checked."""
    from oncoprompt.report.kind_summary import summarise_kinds
    from oncoprompt.study import Study

    began = time.perf_counter()
    if request.schema is not None:
        raise InputError("Several --text number kinds in their order, without a label schema; leave out --schema.")
    request.check_no_slice_options()
    with talk.step("Reading the study"):
        study = Study.read(request.source, channel_order=request.channel_order)
    prompts = request.asked.drawn(study.grid)
    outputs = Outputs.planned(request.out, study.name, request.overlay, beside=request.scans)
    maps = [words.replace(" ", "-") for words in request.asked.words] if request.probabilities else []
    outputs.check(request.files_read, maps)
    request.check_room(outputs.label_map, study.grid, len(request.asked.words))
    with talk.step(f"Loading {request.model}"):
        from oncoprompt.inference import Session

        session = Session(study, model=request.model, device=request.device)
    with talk.step("Segmenting"):
        result = session.segment_kinds(request.asked.words, prompts)
    summary = summarise_kinds(study, result, [described(prompt, study.grid) for prompt in result.provenance.prompts])
    with talk.step("Writing"):
        summary["outputs"] = _write(request, outputs, result, summary)
    summary["timings_s"]["process"] = round(time.perf_counter() - began, 3)
    return summary


def told(summary: Mapping[str, Any]) -> str:
    """The summary in lines for a person."""
    width = max(len(kind["words"]) for kind in summary["kinds"])
    lines = [
        f"{kind['number']}  {kind['words']:{width}} {kind['volume_ml']:9.2f} ml in {kind['count']} "
        f"part{'s' if kind['count'] != 1 else ''}"
        for kind in summary["kinds"]
    ]
    return "\n".join([*lines, str(summary["outputs"]["label_map"])])


def _write(request: Request, outputs: Outputs, result: KindSegmentation, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Write what was asked for and return the files, by what they hold."""
    from oncoprompt.study import write_nifti

    result.save(outputs.label_map)
    written: dict[str, Any] = {"label_map": str(outputs.label_map)}
    if request.probabilities:
        files = {words: outputs.probability(words.replace(" ", "-")) for words in result.words}
        for words, file in files.items():
            write_nifti(file, result.answers[words].probability("WT"), like=result.study)
        written["probabilities"] = {words: str(file) for words, file in files.items()}
    if outputs.overlay is not None:
        import numpy as np

        from oncoprompt.report.figure import draw_montage

        sizes = "   ".join(f"{kind['words']} {kind['volume_ml']:.1f} ml" for kind in summary["kinds"])
        boxes = [np.asarray(prompt["voxels"]) for prompt in summary["prompts"] if prompt["kind"] == "box"]
        masks = {words: result.mask(words) for words in result.words}
        draw_montage(outputs.overlay, result.study, masks, boxes=boxes, title=f"{result.study.name}\n{sizes}")
        written["overlay"] = str(outputs.overlay)
    return written
