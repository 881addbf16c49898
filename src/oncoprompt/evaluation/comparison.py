"""Overlap and surface distances of two masks in one, as challenges define them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oncoprompt.evaluation.dice import dice
from oncoprompt.evaluation.surface import SurfaceDistances
from oncoprompt.evaluation.surface_elements import SurfaceElements

TOLERANCES_MM = (0.5, 1.0, 2.0)
"""Tolerances at which the normalised surface Dice (NSD) is given."""


@dataclass(frozen=True)
class Comparison:
    """Dice, 95th percentile Hausdorff distance in mm (infinite where one mask is empty), and NSD by tolerance in mm."""

    dice: float
    hausdorff95_mm: float
    nsd: Mapping[float, float]


def compare(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    elements_of: tuple[NDArray[np.generic], NDArray[np.generic]] | None,
) -> Comparison:
    """Compare two masks (I, J, K).

    The Hausdorff distance is over the surface elements of two maps, weighted by area (2023 to 2025: `elements_of`), or
    the percentile over the border voxels of both masks together (2026: None). NSD is the mean of both borders' shares
    within the tolerance.
    """
    distances = SurfaceDistances.between(prediction, truth, spacing_mm)
    if elements_of is None:
        hausdorff95_mm = distances.pooled95_mm
    else:
        predicted, true = (SurfaceElements.of(elements, spacing_mm) for elements in elements_of)
        hausdorff95_mm = predicted.hausdorff95_mm(true)
    nsd = {tolerance: distances.balanced_surface_dice(tolerance) for tolerance in TOLERANCES_MM}
    return Comparison(dice(prediction, truth), hausdorff95_mm, nsd)
