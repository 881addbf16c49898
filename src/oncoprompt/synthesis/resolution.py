"""What limits resolution along one axis: point spread, thick slices and a truncated k-space, as banded matrices."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_NEGLIGIBLE = 2e-3


@dataclass(frozen=True)
class Block:
    """Rows ``start:stop`` of an operator and the columns ``low:high`` they read, with weights ``[rows, columns]``."""

    start: int
    stop: int
    low: int
    high: int
    weights: Tensor


@dataclass(frozen=True)
class Resolution:
    """How one axis is resolved; lengths in mm, 0 where an effect is absent.

    ``shift_mm`` moves the image towards lower indices; ``truncation_mm`` is the voxel size that the measured part of
    k-space allows: steps ring with a period of twice that.
    """

    blur_mm: float = 0.0
    slice_mm: float = 0.0
    shift_mm: float = 0.0
    truncation_mm: float = 0.0

    def matrix(self, n: int, spacing_mm: float) -> Tensor:
        """Weights ``[n, n]`` of the voxels of a line; rows sum to 1, so a constant stays what it is."""
        x = torch.arange(n, dtype=torch.float32)
        shift = self.shift_mm / spacing_mm
        if n > 1 and self.slice_mm > 1.5 * spacing_mm:
            m = max(2, math.ceil(n * spacing_mm / self.slice_mm))
            centres = (torch.arange(m) + 0.5) * n / m - 0.5
            sigma = math.hypot(self.blur_mm, 0.42 * self.slice_mm) / spacing_mm
            weights = _interpolation(n, m) @ _gaussian(x[None] - centres[:, None] - shift, sigma)
        else:
            sigma = max(math.hypot(self.blur_mm, 0.42 * self.slice_mm) / spacing_mm, 0.25)
            weights = _gaussian(x[None] - x[:, None] - shift, sigma)
        if self.truncation_mm > spacing_mm:
            kernel = torch.sinc((x[None] - x[:, None]) * (spacing_mm / self.truncation_mm))
            weights = (kernel / kernel.sum(1, keepdim=True)) @ weights
        return weights

    def blocks(self, n: int, spacing_mm: float, rows: int, device: torch.device) -> list[Block]:
        """The matrix cut into groups of ``rows`` rows without the columns that are zero: narrow for narrow kernels."""
        matrix = self.matrix(n, spacing_mm)
        out = []
        for start in range(0, n, rows):
            part = matrix[start : start + rows]
            used = part.abs().amax(0).nonzero()
            low, high = int(used[0]), int(used[-1]) + 1
            out.append(Block(start, start + len(part), low, high, part[:, low:high].contiguous().to(device)))
        return out


def _gaussian(distance: Tensor, sigma: float) -> Tensor:
    weights = torch.exp(-0.5 * (distance / sigma) ** 2)
    # a shift beyond the end of the line leaves rows without a near voxel: they repeat the last one
    weights = torch.where(weights < _NEGLIGIBLE * weights.amax(1, keepdim=True), 0.0, weights)
    total = weights.sum(1, keepdim=True)
    nearest = torch.nn.functional.one_hot(distance.abs().argmin(1), distance.shape[1]).to(weights.dtype)
    return torch.where(total > 1e-6, weights / total.clamp_min(1e-6), nearest)


def _interpolation(n: int, m: int) -> Tensor:
    """Linear interpolation ``[n, m]`` from m slice centres back to n voxels, flat beyond the outer centres."""
    position = ((torch.arange(n) + 0.5) * m / n - 0.5).clamp(0, m - 1)
    return (1 - (position[:, None] - torch.arange(m)).abs()).clamp_min(0.0)
