"""Slices as radiologists see them: the patient's right on the left of the picture, the front or the top up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from oncoprompt.geometry import Grid

Slice2D = NDArray[np.generic]

PLANES = ("axial", "coronal", "sagittal")
"""Planes across the superior, anterior and right axis of the canonical grid."""

_ACROSS = {"axial": 2, "coronal": 1, "sagittal": 0}
_EDGES: Mapping[str, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}


@dataclass(frozen=True)
class Plane:
    """One slice through a grid, as a picture: `cut` gives pixels [row, column], row 0 at the top.

    `index` counts along the axis of the canonical (closest to RAS+) grid that the plane is across.
    """

    name: str
    index: int
    grid: Grid

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        across, down = (axis for axis in range(3) if axis != _ACROSS[self.name])
        spacing = self.grid.canonical().spacing_mm
        return spacing[down] / spacing[across]

    @property
    def edges(self) -> tuple[str, str, str, str]:
        """Anatomical direction at the left, right, top and bottom edge of the picture."""
        return _EDGES[self.name]

    @property
    def voxel(self) -> str:
        """The slice in the scan's own voxel indices, for example "k = 71"."""
        orientation = io_orientation(self.grid.affine)
        axis = int(np.flatnonzero(orientation[:, 0] == _ACROSS[self.name])[0])
        index = self.index if orientation[axis, 1] > 0 else self.grid.shape[axis] - 1 - self.index
        return f"{'ijk'[axis]} = {index}"

    def cut(self, volume: NDArray[np.generic]) -> Slice2D:
        """Picture [row, column] of a volume (I, J, K) on the grid."""
        canonical = apply_orientation(volume, io_orientation(self.grid.affine))
        # Both picture axes run against the canonical ones: left is right, up is anterior or superior.
        return np.asarray(np.take(canonical, self.index, axis=_ACROSS[self.name])[::-1, ::-1].T)


def widest_planes(masks: Mapping[str, NDArray[np.generic]], grid: Grid) -> list[Plane]:
    """For each plane the slice where the first mask that is not empty has its largest area, else the middle one."""
    shown = next((mask for mask in masks.values() if mask.any()), None)
    planes = []
    for name in PLANES:
        axis = _ACROSS[name]
        index = grid.canonical().shape[axis] // 2
        if shown is not None:
            canonical = apply_orientation(shown.astype(bool), io_orientation(grid.affine))
            areas = canonical.sum(axis=tuple(other for other in range(3) if other != axis))
            # The middle one of equal slices: the first would be the edge of a box.
            widest = np.flatnonzero(areas == areas.max())
            index = int(widest[len(widest) // 2])
        planes.append(Plane(name, index, grid))
    return planes
