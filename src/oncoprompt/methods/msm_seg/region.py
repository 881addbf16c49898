"""Look where the person points: the region of interest around a box, its resolution, and the prompt drawn on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

STRIDE = 8
CLICK_SIGMA = 3.0


@dataclass(frozen=True)
class RegionPolicy:
    """How much around a box is looked at, and how finely.

    A margin of ``margin`` of each side, at least ``least_margin_mm``, is added on both sides; voxels are isotropic, no
    finer than ``finest_mm`` and as fine as keeps the longest side within ``most_voxels``.
    """

    margin: float = 0.2
    least_margin_mm: float = 8.0
    most_voxels: int = 88
    finest_mm: float = 1.0

    def expand(self, box_mm: ArrayLike) -> NDArray[np.float64]:
        """Box (3, 2) in mm with the margin added on every side."""
        box = np.asarray(box_mm, dtype=np.float64)
        margin = np.maximum(self.least_margin_mm, self.margin * (box[:, 1] - box[:, 0]))
        return np.stack([box[:, 0] - margin, box[:, 1] + margin], axis=1)

    def spacing_mm(self, lengths_mm: ArrayLike) -> float:
        """Isotropic voxel size for a region with sides of these lengths (margin included)."""
        return max(self.finest_mm, float(np.max(np.asarray(lengths_mm))) / self.most_voxels)

    def sampling(self, lengths_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Voxel size in mm and the number whose multiple each dimension must be, for lengths along (R, A, S)."""
        return np.full(3, self.spacing_mm(lengths_mm)), np.full(3, STRIDE)


@dataclass(frozen=True)
class PlanePolicy(RegionPolicy):
    """The same margin seen as axial planes of ``plane`` x ``plane`` pixels, ``slice_mm`` apart, for Hiera."""

    plane: int = 256
    slice_mm: float = 2.0

    def sampling(self, lengths_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Pixel size that fits the longer side of the plane, and slices of a fixed distance."""
        pixel = float(np.max(lengths_mm[:2])) / self.plane
        return np.array([pixel, pixel, self.slice_mm]), np.array([self.plane, self.plane, 1])


def box_map(boxes: Sequence[ArrayLike], shape: tuple[int, int, int]) -> Tensor:
    """Filled-box shading ``[1, D, H, W]`` of boxes (3, 2), half-open in voxels of the region ordered (W, H, D).

    A voxel cut by a side has the share of its volume inside; without boxes the map is zero.
    """
    out = torch.zeros((1, *shape))
    for box in boxes:
        edges = torch.as_tensor(np.asarray(box, dtype=np.float32))
        cover = []
        for axis, n in enumerate(reversed(shape)):
            start = torch.arange(n, dtype=torch.float32)
            low, high = edges[axis, 0].clamp_min(0.0), edges[axis, 1].clamp_max(float(n))
            cover.append((torch.minimum(start + 1, high) - torch.maximum(start, low)).clamp(0.0, 1.0))
        out = torch.maximum(out, cover[2][:, None, None] * cover[1][None, :, None] * cover[0][None, None, :])
    return out


def click_maps(clicks: Sequence[tuple[ArrayLike, bool]], shape: tuple[int, int, int]) -> Tensor:
    """Maps ``[2, D, H, W]`` of positive and negative clicks, given as voxel positions (W, H, D): Gaussians, peak 1."""
    out = torch.zeros((2, *shape))
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    for position, positive in clicks:
        w, h, d = (float(v) for v in np.asarray(position))
        lines = [torch.exp(-0.5 * ((axis - x) / CLICK_SIGMA) ** 2) for axis, x in zip(axes, (d, h, w), strict=True)]
        blob = lines[0][:, None, None] * lines[1][None, :, None] * lines[2][None, None, :]
        index = 0 if positive else 1
        out[index] = torch.maximum(out[index], blob)
    return out


def standardise(images: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """z-scores ``[M, D, H, W]`` by each channel's mean and deviation over the brain, clipped to -4..6."""
    shape = (-1, 1, 1, 1)
    return ((images - mean.view(shape)) / deviation.view(shape)).clamp(-4.0, 6.0)
