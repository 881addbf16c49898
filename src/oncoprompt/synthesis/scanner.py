"""What scanners and patients do to an image: blur, thick slices, ghosts, bias, noise; applied last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.fields import random_field


@dataclass(frozen=True)
class Scanner:
    """The degradations of one channel; lengths in mm."""

    blur_mm: float
    slice_mm: float
    slice_axis: int
    shift_mm: tuple[float, float, float]
    ghost: float
    ghost_shift: int
    ghost_axis: int
    bias: float
    bias_knot_mm: float
    noise: float
    gamma: float

    @staticmethod
    def random(rng: np.random.Generator) -> "Scanner":
        """Ranges of clinical studies; every effect may be absent."""
        moved = rng.random() < 0.25
        shift = rng.normal(0, 0.4, 3) if moved else np.zeros(3)
        return Scanner(
            blur_mm=rng.uniform(0.3, 0.8),
            slice_mm=rng.uniform(2.0, 6.0) if rng.random() < 0.4 else 0.0,
            slice_axis=int(rng.choice([0, 1, 2], p=[0.7, 0.15, 0.15])),
            shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
            ghost=rng.uniform(0.03, 0.15) if rng.random() < 0.08 else 0.0,
            ghost_shift=int(rng.integers(8, 40)),
            ghost_axis=int(rng.integers(0, 3)),
            bias=rng.uniform(0.03, 0.3),
            bias_knot_mm=rng.uniform(50, 90),
            noise=rng.uniform(0.005, 0.05),
            gamma=float(np.exp(rng.normal(0, 0.12))),
        )

    def acquire(self, signal: Tensor, spacing_mm: Sequence[float], top: float, generator: torch.Generator) -> Tensor:
        """The measured magnitude image of a noise-free ``signal`` ``[k, j, i]``; ``top`` is its brightest tissue."""
        extent = [n * s for n, s in zip(signal.shape, spacing_mm, strict=True)]
        image = signal
        for axis in range(3):
            thickness = self.slice_mm if axis == self.slice_axis else 0.0
            operator = _line_operator(
                image.shape[axis], spacing_mm[axis], self.blur_mm, thickness, self.shift_mm[axis], image.device
            )
            image = torch.tensordot(operator, image, dims=([1], [axis])).movedim(0, axis)
        if self.ghost > 0:
            image = image + self.ghost * image.roll(self.ghost_shift, self.ghost_axis)
        bias = random_field(self.bias_knot_mm, extent, image.shape, generator)[0]
        image = image / top * torch.exp(self.bias * bias)
        noise = torch.randn((2, *image.shape), generator=generator, device=image.device) * self.noise
        image = torch.hypot(image + noise[0], noise[1])
        return image.pow(self.gamma)


def _line_operator(
    n: int, spacing_mm: float, blur_mm: float, slice_mm: float, shift_mm: float, device: torch.device
) -> Tensor:
    """Matrix ``[n, n]``: shift, point spread, and slices of a Gaussian profile interpolated back linearly."""
    x = torch.arange(n, device=device, dtype=torch.float32)
    if slice_mm <= 1.5 * spacing_mm:
        sigma = max(blur_mm, 0.42 * slice_mm) / spacing_mm
        weights = torch.exp(-0.5 * ((x[None] - x[:, None] - shift_mm / spacing_mm) / max(sigma, 0.25)) ** 2)
        return weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    m = max(3, math.ceil(n * spacing_mm / slice_mm))
    centres = (torch.arange(m, device=device) + 0.5) * n / m - 0.5 + shift_mm / spacing_mm
    sigma = 0.42 * slice_mm / spacing_mm
    weights = torch.exp(-0.5 * ((x[None] - centres[:, None]) / sigma) ** 2)
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    return torch.from_numpy(_linear(n, m)).to(device) @ weights


def _linear(n: int, m: int) -> np.ndarray:
    """Linear interpolation matrix ``[n, m]`` float32 from m slice centres back to n voxels."""
    position = np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
    low = np.minimum(position.astype(int), m - 2)
    out = np.zeros((n, m), np.float32)
    out[np.arange(n), low] = 1 - (position - low)
    out[np.arange(n), low + 1] = position - low
    return out
