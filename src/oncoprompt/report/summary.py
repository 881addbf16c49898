"""The numbers of a segmentation as plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from oncoprompt.geometry import Grid
from oncoprompt.study import Study
from oncoprompt.study.regions import told_regions


class Lesion(Protocol):
    """One connected lesion."""

    @property
    def id(self) -> int: ...
    @property
    def voxels(self) -> int: ...
    @property
    def volume_ml(self) -> float: ...
    @property
    def centre_mm(self) -> Sequence[float]: ...
    @property
    def regions(self) -> Mapping[str, float]: ...


class Provenance(Protocol):
    """Where a segmentation comes from."""

    @property
    def model(self) -> str: ...
    @property
    def weights_sha256(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def timings_s(self) -> Mapping[str, float]: ...


class Answered(Protocol):
    """What is told of every answer of a model."""

    @property
    def grid(self) -> Grid: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def warnings(self) -> Sequence[str]: ...


class Segmented(Answered, Protocol):
    """What is told of a segmentation; `inference.Segmentation` is one."""

    @property
    def lesions(self) -> Sequence[Lesion]: ...
    @property
    def calibrated(self) -> bool: ...
    @property
    def interval_share(self) -> float | None: ...
    def volume_ml(self, region: str) -> float: ...
    def volume_interval_ml(self, region: str) -> tuple[float, float] | None: ...
    def count(self, region: str) -> int: ...


def summarise(study: Study, segmentation: Segmented, prompts: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Volumes (ml) and counts a region, lesions, warnings, model, prompts, timings (s) and grid, as JSON types.

    ``volume_interval_ml`` holds the true volume in a share ``interval_share`` of studies; null without calibration.
    Of CT there is one region, "tumour".
    """
    told = told_regions(study.channels)
    summary = {
        "study": study.name,
        "unused_files": [{"file": file.file, "reason": file.reason} for file in study.unused_files],
        "channels": list(study.channels),
        "regions": {
            name: {
                "volume_ml": round(segmentation.volume_ml(region), 4),
                "volume_interval_ml": _rounded(segmentation.volume_interval_ml(region)),
                "count": segmentation.count(region),
            }
            for region, name in told.items()
        },
        "interval_share": segmentation.interval_share,
        "probabilities": "calibrated" if segmentation.calibrated else "uncalibrated",
        "warnings": list(segmentation.warnings),
        "lesions": [
            {
                "id": lesion.id,
                "voxels": lesion.voxels,
                "volume_ml": round(lesion.volume_ml, 4),
                "centre_mm": [round(float(value), 2) for value in lesion.centre_mm],
                "regions_ml": {name: round(lesion.regions[region], 4) for region, name in told.items()},
            }
            for lesion in segmentation.lesions
        ],
        **origin(segmentation, prompts),
    }
    return {name: plain(value) for name, value in summary.items()}


def origin(segmentation: Answered, prompts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The end of every summary: prompts, model, timings (s), grid and version."""
    provenance, grid = segmentation.provenance, segmentation.grid
    return {
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


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(value, 4) for value in interval]


def plain(value: Any) -> Any:
    """The same value in JSON types: arrays, tuples and sets as lists, numpy scalars as Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(member) for member in value)
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value
