"""A click prompt: a point in world millimetres that is in or out of the lesion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid


@dataclass(frozen=True)
class Click:
    """A point in RAS+ millimetres; positive means "this belongs to it", negative "this does not"."""

    point_mm: tuple[float, float, float]
    positive: bool = True

    @classmethod
    def at_voxel(cls, voxel: ArrayLike, grid: Grid, positive: bool = True) -> Click:
        """Click at the centre of voxel (i, j, k) of `grid`, counted from 0.

        Raises InputError outside the scan, and for a place between voxels: for that give a point in mm.
        """
        try:
            index = np.asarray(voxel, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"A click is three voxel numbers (i, j, k); found {voxel!r}.") from error
        if index.shape != (3,) or not np.all(np.isfinite(index)):
            raise InputError(f"A click is three voxel numbers (i, j, k); found {index.tolist()}.")
        if np.any(index != np.round(index)):
            raise InputError(f"A click is three whole voxel numbers (i, j, k); found {index.tolist()}.")
        _check_inside(index, grid)
        i, j, k = grid.to_world(index).tolist()
        return cls((i, j, k), positive)

    def to_voxel(self, grid: Grid) -> NDArray[np.int64]:
        """Nearest voxel (3,) of `grid`; raises InputError outside the scan."""
        index = np.floor(grid.to_voxels(self.point_mm) + 0.5 + 1e-6)
        _check_inside(index, grid)
        return index.astype(np.int64)


def _check_inside(index: NDArray[np.float64], grid: Grid) -> None:
    if np.any(index < 0) or np.any(index > np.asarray(grid.shape) - 1):
        last = ", ".join(f"0 to {size - 1}" for size in grid.shape)
        found = ", ".join(f"{number:.12g}" for number in index)
        raise InputError(f"The click at voxel [{found}] lies outside the scan; valid voxels are {last}.")
