"""The numbers of targets on slices as plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from oncoprompt.report.summary import Answered, origin, plain
from oncoprompt.study import Study


class SegmentedTargets(Answered, Protocol):
    """What is told of targets; `inference.TargetSegmentation` is one."""

    @property
    def count(self) -> int: ...
    @property
    def plane(self) -> str: ...
    @property
    def channels(self) -> Sequence[str]: ...
    @property
    def intensities(self) -> Mapping[str, Any]: ...
    def voxels(self, number: int) -> int: ...
    def volume_ml(self, number: int) -> float | None: ...
    def area_mm2(self, number: int) -> float | None: ...


def summarise_targets(
    study: Study, segmentation: SegmentedTargets, prompts: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Size a target, warnings, what the model was shown, model, prompts, timings (s) and grid, as JSON types.

    ``volume_ml`` is null for pictures, whose pixels have no size, and slices of unknown thickness; ``area_mm2`` for
    pictures and volumes.
    """
    summary = {
        "study": study.name,
        "unused_files": [{"file": file.file, "reason": file.reason} for file in study.unused_files],
        "channels": list(segmentation.channels),
        "plane": segmentation.plane,
        "intensities": segmentation.intensities,
        "targets": [
            {
                "number": number,
                "voxels": segmentation.voxels(number),
                "volume_ml": _rounded(segmentation.volume_ml(number)),
                "area_mm2": _rounded(segmentation.area_mm2(number)),
            }
            for number in range(1, segmentation.count + 1)
        ],
        "probabilities": "uncalibrated",
        "warnings": list(segmentation.warnings),
        **origin(segmentation, prompts),
    }
    return {name: plain(value) for name, value in summary.items()}


def _rounded(size: float | None) -> float | None:
    return None if size is None else round(size, 4)
