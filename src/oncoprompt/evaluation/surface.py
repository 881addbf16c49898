"""Distances between the surfaces of two masks, in millimetres, over border voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import KDTree

from oncoprompt.errors import InputError

_VOXELS_A_POINT = 20
"""Above so many voxels a point a tree of the points is faster than a distance transform of their box (measured)."""
_ROUNDING = 1.0 + 1e-6
"""Slack of a tolerance, so that one step of 0.1 mm is within 0.1 mm."""


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
        p_border, t_border = border_voxels(p[both[0]]), border_voxels(t[both[0]])
        return cls(nearest_mm(p_border, t_border, spacing_mm), nearest_mm(t_border, p_border, spacing_mm))

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
        return float(np.mean(distances <= tolerance_mm * _ROUNDING)) if distances.size else 1.0

    @property
    def pooled95_mm(self) -> float:
        """95th percentile of both directions together; 0 where both masks are empty, infinite where one is."""
        distances = np.concatenate([self.from_prediction_mm, self.from_truth_mm])
        if not np.isfinite(distances).all():
            return float("inf")
        return float(np.percentile(distances, 95)) if distances.size else 0.0

    def balanced_surface_dice(self, tolerance_mm: float) -> float:
        """Mean of the two borders' shares within `tolerance_mm` of each other (nnU-Net); 1 where both are empty."""
        shares = [
            float(np.mean(distances <= tolerance_mm * _ROUNDING))
            for distances in (self.from_prediction_mm, self.from_truth_mm)
            if distances.size
        ]
        return sum(shares) / len(shares) if shares else 1.0


def hausdorff95_mm(prediction: NDArray[np.generic], truth: NDArray[np.generic], spacing_mm: Sequence[float]) -> float:
    """95th percentile Hausdorff distance in millimetres; 0 where both masks are empty, infinite where one is."""
    return SurfaceDistances.between(prediction, truth, spacing_mm).hausdorff95_mm


def normalised_surface_dice(
    prediction: NDArray[np.generic], truth: NDArray[np.generic], spacing_mm: Sequence[float], tolerance_mm: float = 1.0
) -> float:
    """Surface Dice at a tolerance (Nikolov 2021, over border voxels); 1 where both are empty, 0 where one is."""
    return SurfaceDistances.between(prediction, truth, spacing_mm).surface_dice(tolerance_mm)


def border_voxels(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Indices (N, D) of the voxels of a mask that have a face neighbour outside it or outside the array."""
    border = np.zeros_like(mask)
    for axis in range(mask.ndim):
        edge, inside = np.moveaxis(border, axis, 0), np.moveaxis(mask, axis, 0)
        edge[1:] |= ~inside[:-1]
        edge[:-1] |= ~inside[1:]
        edge[0] = edge[-1] = True
    return np.argwhere(border & mask)


def nearest_mm(
    points: NDArray[np.int64], others: NDArray[np.int64], spacing_mm: Sequence[float]
) -> NDArray[np.float64]:
    """Distance (N,) from each index (N, D) to the nearest of other indices (M, D), infinite where there is none."""
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    low = np.minimum(points.min(axis=0), others.min(axis=0))
    shape = np.maximum(points.max(axis=0), others.max(axis=0)) - low + 1
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if np.prod(shape.astype(np.float64)) > _VOXELS_A_POINT * (len(points) + len(others)):
        distances, _ = KDTree(others * spacing).query(points * spacing)
        return np.asarray(distances, dtype=np.float64)
    free = np.ones(tuple(shape), dtype=np.uint8)
    free[tuple((others - low).T)] = 0
    squares = edt.edtsq(free, anisotropy=tuple(spacing.tolist()), parallel=1)
    return np.asarray(np.sqrt(squares[tuple((points - low).T)], dtype=np.float64))
