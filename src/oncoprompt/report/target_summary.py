"""The numbers of targets on slices as plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from oncoprompt.geometry import Grid
from oncoprompt.report.summary import Provenance, plain
from oncoprompt.study import Study


class SegmentedTargets(Protocol):
    """What is told of targets; `inference.TargetSegmentation` is one."""

    @property
    def grid(self) -> Grid: ...
    @property
    def count(self) -> int: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def plane(self) -> str: ...
    @property
    def channels(self) -> Sequence[str]: ...
    @property
    def intensities(self) -> Mapping[str, Any]: ...
    @property
    def warnings(self) -> Sequence[str]: ...
    def voxels(self, number: int) -> int: ...
    def volume_ml(self, number: int) -> float | None: ...
    def area_mm2(self, number: int) -> float | None: ...


def summarise_targets(
    study: Study, segmentation: SegmentedTargets, prompts: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Size a target, warnings, what the model was shown, model, prompts, timings (s) and grid, as JSON types.

    ``volume_ml`` is null for pictures, whose pixels have no size, and ``area_mm2`` for these and for volumes.
    """
    provenance, grid = segmentation.provenance, segmentation.grid
    summary = {
        "study": study.name,
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
        "prompts": list(prompts),
        "model": {"name": provenance.model, "weights_sha256": provenance.weights_sha256},
        "timings_s": {step: round(seconds, 3) for step, seconds in provenance.timings_s.items()},
        "grid": {
            "shape": grid.shape,
            "spacing_mm": grid.spacing_mm,
            "axis_codes": grid.axis_codes,
            "affine": grid.affine,
        },
        "version": provenance.version,
    }
    return {name: plain(value) for name, value in summary.items()}


def _rounded(size: float | None) -> float | None:
    return None if size is None else round(size, 4)
