"""A box prompt: half-open in voxels at the edge of the library, oriented in world millimetres inside."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, mask_bounds

Vector = tuple[float, float, float]

_LOG = logging.getLogger(__name__)
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Box:
    """An oriented box in RAS+ millimetres: one corner and the three edges that leave it.

    It holds whole voxels, so its faces lie half a voxel outside the outermost voxel centres.
    """

    corner_mm: Vector
    edges_mm: tuple[Vector, Vector, Vector]

    @classmethod
    def from_voxels(cls, voxels: ArrayLike, grid: Grid) -> Box:
        """Box of the half-open voxel ranges [[i0, i1], [j0, j1], [k0, k1]] on `grid`; i1 is not part of it.

        A box partly outside the scan is clipped with a warning. Raises InputError for other shapes, fractions, an
        inverted range, or a box outside the scan.
        """
        return cls._of_ranges(_clipped(_checked(voxels), grid.shape), grid)

    @staticmethod
    def check(voxels: ArrayLike) -> None:
        """Raise InputError for what is a box [[i0, i1], [j0, j1], [k0, k1]] on no grid at all."""
        _checked(voxels)

    @classmethod
    def around(cls, mask: NDArray[np.generic], grid: Grid) -> Box:
        """Tight box around the voxels of `mask` (I, J, K) that are not zero; raises InputError where there are none."""
        if mask.shape != grid.shape:
            raise InputError(f"The mask has shape {mask.shape}, but the scan has {grid.shape}.")
        inside = mask.astype(bool)
        if not inside.any():
            raise InputError("The mask is empty, so there is nothing to put a box around.")
        return cls._of_ranges(mask_bounds(inside), grid)

    @classmethod
    def _of_ranges(cls, ranges: NDArray[np.int64], grid: Grid) -> Box:
        edges = grid.affine[:3, :3] * (ranges[:, 1] - ranges[:, 0])
        return cls(
            _vector(grid.to_world(ranges[:, 0] - 0.5)),
            (_vector(edges[:, 0]), _vector(edges[:, 1]), _vector(edges[:, 2])),
        )

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """The eight corners (8, 3) in world millimetres."""
        steps = np.asarray(list(product((0.0, 1.0), repeat=3)))
        return np.asarray(np.asarray(self.corner_mm) + steps @ np.asarray(self.edges_mm))

    @property
    def centre_mm(self) -> Vector:
        """Centre in world millimetres."""
        return _vector(np.asarray(self.corner_mm) + np.sum(self.edges_mm, axis=0) / 2.0)

    def to_voxels(self, grid: Grid) -> NDArray[np.int64]:
        """Smallest half-open voxel ranges (3, 2) on `grid` that hold the box, clipped to the grid.

        Exact on the grid the box was made on and on any flip or permutation of it. Raises InputError where the box lies
        outside `grid`.
        """
        corners = grid.to_voxels(self.corners_mm) + 0.5
        low = np.floor(corners.min(axis=0) + _ROUNDING)
        high = np.ceil(corners.max(axis=0) - _ROUNDING)
        ranges = np.stack([low, np.maximum(high, low + 1)], axis=1).astype(np.int64)
        return _clipped(ranges, grid.shape)


def _vector(values: NDArray[np.float64]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


def _checked(voxels: ArrayLike) -> NDArray[np.int64]:
    try:
        ranges = np.asarray(voxels, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"A box is six whole numbers [[i0, i1], [j0, j1], [k0, k1]]; found {voxels!r}.") from error
    if ranges.shape != (3, 2) or not np.all(np.isfinite(ranges)) or np.any(ranges != np.round(ranges)):
        raise InputError(f"A box is six whole numbers [[i0, i1], [j0, j1], [k0, k1]]; found {ranges.tolist()}.")
    for axis, (low, high) in zip("ijk", ranges.tolist(), strict=True):
        if high <= low:
            right = [high, low] if high < low else [low, low + 1]
            raise InputError(
                f"The box is inverted or empty along {axis}: [{low:g}, {high:g}]. It is half-open, so the second "
                f"number must be larger than the first, such as [{right[0]:g}, {right[1]:g}]."
            )
    # Far beyond any scan, yet safe in integers.
    return np.asarray(np.clip(ranges, -(2.0**40), 2.0**40), dtype=np.int64)


def _clipped(ranges: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.int64]:
    clipped = np.stack([np.maximum(ranges[:, 0], 0), np.minimum(ranges[:, 1], shape)], axis=1)
    if np.any(clipped[:, 1] <= clipped[:, 0]):
        valid = [[0, size] for size in shape]
        raise InputError(f"The box {ranges.tolist()} lies outside the scan; valid voxel ranges are within {valid}.")
    if not np.array_equal(clipped, ranges):
        _LOG.warning("The box %s reaches outside the scan and is clipped to %s.", ranges.tolist(), clipped.tolist())
    return clipped
