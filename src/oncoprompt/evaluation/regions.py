"""Scores of every region of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.evaluation.dice import dice
from oncoprompt.evaluation.surface import SurfaceDistances


@dataclass(frozen=True)
class RegionScores:
    """Scores of one region; distances in millimetres, volumes in millilitres."""

    dice: float
    hausdorff95_mm: float
    surface_dice: float
    volume_ml: float
    truth_volume_ml: float


def evaluate_regions(
    prediction: Mapping[str, NDArray[np.generic]],
    truth: Mapping[str, NDArray[np.generic]],
    spacing_mm: Sequence[float],
    tolerance_mm: float = 1.0,
) -> dict[str, RegionScores]:
    """Scores of every region of `truth`; raises InputError where the prediction lacks one."""
    missing = [region for region in truth if region not in prediction]
    if missing:
        raise InputError(f"The prediction has no region {', '.join(missing)}. Found: {', '.join(prediction)}.")
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    scores: dict[str, RegionScores] = {}
    for region, expected in truth.items():
        distances = SurfaceDistances.between(prediction[region], expected, spacing_mm)
        scores[region] = RegionScores(
            dice=dice(prediction[region], expected),
            hausdorff95_mm=distances.hausdorff95_mm,
            surface_dice=distances.surface_dice(tolerance_mm),
            volume_ml=int(np.count_nonzero(prediction[region])) * voxel_ml,
            truth_volume_ml=int(np.count_nonzero(expected)) * voxel_ml,
        )
    return scores
