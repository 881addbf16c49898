"""An anatomy prompt: a mask of the organ that holds the target."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, resample
from oncoprompt.prompts.box import Box
from oncoprompt.study.volume import read_volume

_MOST_NAMED = 6
_MOST_COUNTED = 100_000


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A boolean mask (I, J, K) of an organ, the tumours in it included, on its own grid.

    Raises InputError for a mask that is empty or of another shape than its grid.
    """

    mask: NDArray[np.bool_]
    grid: Grid

    def __post_init__(self) -> None:
        if self.mask.shape != self.grid.shape:
            raise InputError(
                f"The anatomy mask has shape {self.mask.shape}, its grid {self.grid.shape}; they must be the same."
            )
        if not self.mask.any():
            raise InputError("The anatomy mask is empty. Give a mask of the organ, or leave it out.")
        object.__setattr__(self, "mask", self.mask.astype(bool))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Anatomy:
        """Mask in a file of any scan format: one value in the organ, 0 outside.

        Raises InputError for several values, whose meaning nobody told, and as reading a scan does.
        """
        volume = read_volume(path, raw=True)
        name = Path(path).name
        if volume.array.ndim != 3:
            raise InputError(f"'{name}' holds {volume.array.shape[3]} volumes; an anatomy mask has one.")
        values = np.unique(volume.array)
        inside = values[values != 0]
        if inside.size > 1 or not np.isfinite(inside).all():
            shown = ", ".join(f"{value:g}" for value in inside[:_MOST_NAMED])
            raise InputError(
                f"'{name}' holds the values {shown}{', ...' if inside.size > _MOST_NAMED else ''} besides 0, but an "
                "anatomy mask has one. Join the labels of the organ and its tumours into one."
            )
        return cls(volume.array != 0, volume.grid)

    @property
    def volume_ml(self) -> float:
        """Volume of the organ in millilitres."""
        return float(np.count_nonzero(self.mask)) * self.grid.voxel_volume_ml

    def on(self, grid: Grid) -> NDArray[np.bool_]:
        """The mask on another grid: where interpolation gives more than a half."""
        return resample(self.mask.astype(np.float32), self.grid, grid) > 0.5

    def touches(self, box: Box) -> bool:
        """Whether any of the organ lies in a box."""
        corners = self.grid.to_voxels(box.corners_mm) + 0.5
        low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
        high = np.maximum(np.ceil(corners.max(axis=0)), 0).astype(int)
        return bool(self.mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].any())

    def share_in(self, grid: Grid) -> float:
        """Share of the organ's voxels whose centres lie in the scan of `grid`, by at most 100,000 of them."""
        inside = np.flatnonzero(self.mask)
        counted = np.stack(np.unravel_index(inside[:: 1 + inside.size // _MOST_COUNTED], self.mask.shape), axis=1)
        index = grid.to_voxels(self.grid.to_world(counted))
        return float(np.mean(np.all((index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5), axis=1)))
