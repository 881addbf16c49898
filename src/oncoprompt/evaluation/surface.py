"""Distances between the surfaces of two masks, in millimetres, over border voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

from oncoprompt.errors import InputError


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distance of each border voxel of either mask to the nearest border voxel of the other, in millimetres.

    A border voxel has a face neighbour outside the mask; the edge of the scan counts as outside.
    """

    from_prediction_mm: NDArray[np.float64]
    from_truth_mm: NDArray[np.float64]

    @classmethod
    def between(
        cls, prediction: NDArray[np.generic], truth: NDArray[np.generic], spacing_mm: Sequence[float]
    ) -> SurfaceDistances:
        """Distances between masks of one shape, infinite to an empty one; raises InputError where shapes differ."""
        if prediction.shape != truth.shape or len(spacing_mm) != prediction.ndim:
            raise InputError(
                f"Masks of shape {prediction.shape} and {truth.shape} with spacing {tuple(spacing_mm)} mm do not fit."
            )
        p, t = prediction.astype(bool), truth.astype(bool)
        both = find_objects((p | t).astype(np.uint8))
        if not both:
            return cls(np.empty(0), np.empty(0))
        p_border, t_border = _border(p[both[0]]), _border(t[both[0]])
        return cls(_distances(p_border, t_border, spacing_mm), _distances(t_border, p_border, spacing_mm))

    @property
    def hausdorff95_mm(self) -> float:
        """The larger of the two directed 95th percentiles; 0 where both masks are empty, infinite where one is."""
        if not (self.from_prediction_mm.size or self.from_truth_mm.size):
            return 0.0
        if not (self.from_prediction_mm.size and self.from_truth_mm.size):
            return float("inf")
        return float(max(np.percentile(self.from_prediction_mm, 95), np.percentile(self.from_truth_mm, 95)))

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of all border voxels within `tolerance_mm` of the other border; 1 where both masks are empty."""
        distances = np.concatenate([self.from_prediction_mm, self.from_truth_mm])
        return float(np.mean(distances <= tolerance_mm)) if distances.size else 1.0


def hausdorff95_mm(prediction: NDArray[np.generic], truth: NDArray[np.generic], spacing_mm: Sequence[float]) -> float:
    """95th percentile Hausdorff distance in millimetres; 0 where both masks are empty, infinite where one is."""
    return SurfaceDistances.between(prediction, truth, spacing_mm).hausdorff95_mm


def normalised_surface_dice(
    prediction: NDArray[np.generic], truth: NDArray[np.generic], spacing_mm: Sequence[float], tolerance_mm: float = 1.0
) -> float:
    """Surface Dice at a tolerance (Nikolov 2021, over border voxels); 1 where both are empty, 0 where one is."""
    return SurfaceDistances.between(prediction, truth, spacing_mm).surface_dice(tolerance_mm)


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~binary_erosion(mask))


def _distances(
    from_border: NDArray[np.bool_], to_border: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> NDArray[np.float64]:
    if not to_border.any():
        return np.full(int(np.count_nonzero(from_border)), np.inf)
    distance = distance_transform_edt(~to_border, sampling=tuple(spacing_mm))
    return np.asarray(distance[from_border], dtype=np.float64)
