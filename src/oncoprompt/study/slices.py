"""Slices of a study in radiological order, and the way of boxes, clicks and masks there and back."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid

PLANES = ("axial", "coronal", "sagittal")
"""Planes across the superior, anterior and right axis."""

# World axes of the slices, rows and columns, and whether each runs against R, A, S.
_WORLD_AXES = MappingProxyType({"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)})
_AGAINST = (False, True, True)
_EQUAL_WITHIN = 1.01


@dataclass(frozen=True)
class SliceStack:
    """A grid seen as slices [D, H, W]: rows towards posterior or inferior, columns towards the patient's left.

    Sagittal columns run towards posterior. ``axes`` are the grid's axes of the slices, rows and columns, ``reversed``
    says which of them run backwards. Flips and permutations alone: every voxel is a pixel and every pixel a voxel.
    """

    grid: Grid
    plane: str
    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]

    @classmethod
    def across(cls, grid: Grid, plane: str | None = None) -> SliceStack:
        """The slices of a plane, by default of `usual_plane`; raises InputError for a plane that is not known."""
        name = usual_plane(grid) if plane is None else plane
        if name not in PLANES:
            raise InputError(f"There is no plane '{name}'. Use {', '.join(PLANES)}.")
        orientation = io_orientation(grid.affine)
        axes = [int(np.flatnonzero(orientation[:, 0] == world)[0]) for world in _WORLD_AXES[name]]
        d, h, w = (bool(orientation[axis, 1] < 0) != against for axis, against in zip(axes, _AGAINST, strict=True))
        return cls(grid, name, (axes[0], axes[1], axes[2]), (d, h, w))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        d, h, w = (self.grid.shape[axis] for axis in self.axes)
        return d, h, w

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns in millimetres."""
        d, h, w = (self.grid.spacing_mm[axis] for axis in self.axes)
        return d, h, w

    def slices(self, volume: NDArray[Any]) -> NDArray[Any]:
        """[D, H, W] view of a volume (I, J, K); raises InputError for a volume of another shape."""
        if volume.shape != self.grid.shape:
            raise InputError(f"The volume has shape {volume.shape}, but the scan has {self.grid.shape}.")
        return np.flip(volume.transpose(self.axes), self._flipped)

    def volume(self, slices: NDArray[Any]) -> NDArray[Any]:
        """(I, J, K) view of slices [D, H, W]; raises InputError for slices of another shape."""
        if slices.shape != self.shape:
            raise InputError(f"The slices have shape {slices.shape}, but the scan has {self.shape}.")
        return np.flip(slices, self._flipped).transpose(np.argsort(self.axes))

    def ranges(self, voxels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Half-open ranges (3, 2) of slices, rows and columns that a half-open voxel box (3, 2) covers."""
        found = voxels[list(self.axes)]
        sizes = np.asarray(self.shape)[:, None]
        return np.where(np.asarray(self.reversed)[:, None], (sizes - found)[:, ::-1], found)

    def voxels(self, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Half-open voxel box (3, 2) of ranges of slices, rows and columns; the inverse of `ranges`."""
        sizes = np.asarray(self.shape)[:, None]
        turned = np.where(np.asarray(self.reversed)[:, None], (sizes - ranges)[:, ::-1], ranges)
        return np.asarray(turned[np.argsort(self.axes)])

    def pixel(self, voxel: NDArray[np.int64]) -> tuple[int, int, int]:
        """Slice, row and column of a voxel (3,)."""
        (d, _), (y, _), (x, _) = self.ranges(np.stack([voxel, voxel + 1], axis=1)).tolist()
        return d, y, x

    def voxel(self, index: int, row: int, column: int) -> NDArray[np.int64]:
        """Voxel (3,) of a pixel."""
        first = np.asarray([index, row, column], dtype=np.int64)
        return np.asarray(self.voxels(np.stack([first, first + 1], axis=1))[:, 0])

    @property
    def _flipped(self) -> tuple[int, ...]:
        return tuple(axis for axis, backwards in enumerate(self.reversed) if backwards)


def usual_plane(grid: Grid) -> str:
    """The plane across the axis that is one voxel long, else across the largest spacing; axial where they are equal."""
    world = io_orientation(grid.affine)[:, 0].argsort()
    across = {plane: int(world[_WORLD_AXES[plane][0]]) for plane in PLANES}
    thin = [plane for plane in PLANES if grid.shape[across[plane]] == 1]
    if thin:
        return thin[0]
    largest = max(grid.spacing_mm)
    return next(plane for plane in PLANES if grid.spacing_mm[across[plane]] * _EQUAL_WITHIN >= largest)


def thin_axis(grid: Grid) -> int | None:
    """The array axis along which a scan is one voxel thick (the last of several), None for a volume."""
    thin = [axis for axis, size in enumerate(grid.shape) if size == 1]
    return thin[-1] if thin else None
