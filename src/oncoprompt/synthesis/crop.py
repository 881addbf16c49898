"""A rectangular part of the head box at 1 mm, so that work on a lesion does not touch the whole head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.geometry import mask_bounds
from oncoprompt.synthesis.fields import BOX_MM


@dataclass(frozen=True)
class Crop:
    """Half-open voxel bounds (k, j, i) inside the head box at 1 mm."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @classmethod
    def around(cls, mask: Tensor, margin: int) -> Crop:
        """The crop that holds a mask ``[K, J, I]``, which is not empty, with a margin in voxels."""
        bounds = mask_bounds(mask.cpu().numpy())
        return cls.between(bounds[:, 0] - margin, bounds[:, 1] + margin)

    @classmethod
    def about(cls, points_mm: Tensor, margin_mm: float) -> Crop:
        """The crop that holds points ``[n, 3]`` in mm (R, A, S) with a margin."""
        half = np.array(BOX_MM[::-1]) / 2
        low = points_mm.amin(0).flip(0).cpu().numpy() + half - margin_mm
        high = points_mm.amax(0).flip(0).cpu().numpy() + half + margin_mm
        return cls.between(np.floor(low).astype(np.int64), np.ceil(high).astype(np.int64))

    @classmethod
    def between(cls, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Crop:
        """Bounds (k, j, i) clipped to the head box."""
        shape = [int(extent) for extent in reversed(BOX_MM)]
        low = [int(np.clip(a, 0, n - 1)) for a, n in zip(start, shape, strict=True)]
        high = [int(np.clip(b, a + 1, n)) for b, a, n in zip(stop, low, shape, strict=True)]
        return cls((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def of(self, field: Tensor) -> Tensor:
        """The part of a field ``[..., K, J, I]`` (a view)."""
        k, j, i = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return field[..., k, j, i]

    def bounds_mm(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Middles of the first and the last voxel in mm, each ``[3]`` ordered (R, A, S)."""
        half = torch.tensor(BOX_MM, device=device) / 2 - 0.5
        first, last = (torch.tensor(b[::-1], device=device) for b in (self.start, self.stop))
        return first - half, last - 1 - half

    def points_mm(self, device: torch.device) -> Tensor:
        """Voxel centres in mm, ``[k, j, i, 3]`` ordered (R, A, S)."""
        axes = [
            torch.arange(a, b, device=device, dtype=torch.float32) + (0.5 - extent / 2)
            for a, b, extent in zip(self.start, self.stop, reversed(BOX_MM), strict=True)
        ]
        k, j, i = axes
        return torch.stack(torch.broadcast_tensors(i[None, None, :], j[None, :, None], k[:, None, None]), dim=-1)

    def voxels(self, points_mm: Tensor) -> Tensor:
        """Fractional indices ``[..., 3]`` ordered (k, j, i) into the crop of points in mm (R, A, S)."""
        half = torch.tensor(BOX_MM, device=points_mm.device) / 2
        start = torch.tensor(self.start, device=points_mm.device)
        return (points_mm + half - 0.5).flip(-1) - start

    def sample(self, part: Tensor, points_mm: Tensor) -> Tensor:
        """Trilinear values ``[C, n]`` of the part ``[C, k, j, i]`` of a field at points ``[n, 3]``; edges go on."""
        size = torch.tensor(part.shape[1:], device=points_mm.device)
        grid = ((2 * self.voxels(points_mm) + 1) / size - 1).flip(-1)
        values: Tensor = F.grid_sample(part[None], grid[None, None, None], padding_mode="border", align_corners=False)
        return values[0, :, 0, 0]
