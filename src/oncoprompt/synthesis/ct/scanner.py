"""What a CT scanner does to HU: point spread, slices, filtered noise, rare streaks, whole numbers."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.ct.lattice import Region
from oncoprompt.synthesis.fields import random_field

LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0


@dataclass(frozen=True)
class CtScanner:
    """One acquisition: standard deviations of the point spread in mm, slices, noise in HU on a 1 mm voxel, streaks."""

    blur_mm: float
    slice_mm: float
    slice_phase: float
    noise_hu: float
    noise_grain_mm: float
    central: float
    streak_hu: float
    offset_hu: float

    @staticmethod
    def random(rng: np.random.Generator) -> "CtScanner":
        """Soft to medium kernels, slices of 1 to 5 mm; one scan in twelve has streaks."""
        return CtScanner(
            blur_mm=float(rng.uniform(0.35, 0.8)),
            slice_mm=float(rng.choice([1.0, 1.25, 2.0, 2.5, 3.0, 5.0], p=[0.2, 0.15, 0.15, 0.2, 0.15, 0.15])),
            slice_phase=float(rng.uniform(0, 1)),
            noise_hu=float(np.exp(rng.uniform(np.log(6), np.log(24)))),
            noise_grain_mm=float(rng.uniform(0.5, 1.0)),
            central=float(rng.uniform(0.1, 0.5)),
            streak_hu=float(rng.uniform(8, 25)) if rng.random() < 1 / 12 else 0.0,
            offset_hu=float(rng.normal(0, 2)),
        )

    def acquire(self, hu: Tensor, region: Region, generator: torch.Generator) -> Tensor:
        """The measured volume ``[K, J, I]`` in whole HU of a noise-free one on a region."""
        _, j, i = region.spacing_mm
        image = _along_slices(self._slices(region, hu.device), hu)
        image = _blurred(image, self.blur_mm / j, 1)
        image = _blurred(image, self.blur_mm / i, 2)
        noise = self._noise(region, generator)
        y, x = region.axis(1, hu.device), region.axis(2, hu.device)
        towards = torch.exp(-((x[None, :] / 130) ** 2) - (y[:, None] / 95) ** 2)
        image += noise.mul_(self.noise_hu * (1 - self.central + 1.6 * self.central * towards))
        if self.streak_hu > 0:
            image += self._streaks(region, generator)
        return (image + self.offset_hu).round_().clamp_(LOWEST_HU, HIGHEST_HU)

    def _noise(self, region: Region, generator: torch.Generator) -> Tensor:
        """Unit-variance noise with the band-pass spectrum of filtered back-projection in plane, and slices along S.

        A difference of Gaussians removes the lowest frequencies, which reconstruction does not let through.
        """
        white = torch.randn(region.shape, generator=generator, device=generator.device)
        sigma = self.noise_grain_mm / region.spacing_mm[2]
        kernel = _gaussian(sigma, generator.device)
        wide = _gaussian(3 * sigma, generator.device)
        pad = (len(wide) - len(kernel)) // 2
        narrow2 = torch.nn.functional.pad(kernel[:, None] * kernel[None], (pad,) * 4)
        deviation = float((narrow2 - 0.6 * wide[:, None] * wide[None]).square().sum().sqrt())
        fine = _blurred(_blurred(white, sigma, 2), sigma, 1)
        coarse = _blurred(_blurred(fine, 2.8 * sigma, 2), 2.8 * sigma, 1)
        band = (fine - 0.6 * coarse) / deviation
        operator = self._slices(region, white.device)
        norm = operator.square().sum(1).mean().sqrt()
        return _along_slices(operator, band) / norm

    def _streaks(self, region: Region, generator: torch.Generator) -> Tensor:
        """Bands along R, as photon starvation between dense parts makes them."""
        extent = [n * s for n, s in zip(region.shape, region.spacing_mm, strict=True)]
        lines = torch.randn(region.shape[:2], generator=generator, device=generator.device)
        slow = random_field(70.0, extent, region.shape, generator)[0]
        streaks: Tensor = self.streak_hu * slow * _blurred(lines[..., None], 1.5 / region.spacing_mm[1], 1) * 1.5
        return streaks

    def _slices(self, region: Region, device: torch.device) -> Tensor:
        """Matrix ``[K, K]``: means over slices at their positions, interpolated back linearly."""
        n, spacing = region.shape[0], region.spacing_mm[0]
        z = region.axis(0, device)
        if self.slice_mm <= 1.3 * spacing:
            return _profile(z, z, self.slice_mm)
        first = math.floor(float(z[0]) / self.slice_mm - self.slice_phase)
        count = math.ceil((float(z[-1]) - float(z[0])) / self.slice_mm) + 2
        centres = (torch.arange(count, device=device) + first + self.slice_phase) * self.slice_mm
        position = (z - centres[0]) / self.slice_mm
        low = position.floor().clamp(0, count - 2).long()
        share = (position - low).clamp(0, 1)
        back = torch.zeros((n, count), device=device)
        rows = torch.arange(n, device=device)
        back[rows, low] = 1 - share
        back[rows, low + 1] = share
        return back @ _profile(centres, z, self.slice_mm)


def _profile(centres: Tensor, z: Tensor, slice_mm: float) -> Tensor:
    """Weights ``[centres, z]`` of a smooth slice profile of a full width at half maximum; rows sum to 1."""
    spacing = float(z[1] - z[0]) if len(z) > 1 else 1.0
    sigma = max(slice_mm / 2.355, 0.3 * spacing)
    # A slice that ends outside the volume repeats its edge.
    distance = z[None] - centres[:, None].clamp(float(z[0]), float(z[-1]))
    weights = torch.exp(-0.5 * (distance / sigma) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _along_slices(operator: Tensor, volume: Tensor) -> Tensor:
    return torch.mm(operator, volume.flatten(1)).view(len(operator), *volume.shape[1:])


def _gaussian(sigma: float, device: torch.device) -> Tensor:
    radius = max(1, math.ceil(3 * sigma))
    x = torch.arange(-radius, radius + 1, device=device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / max(sigma, 0.2)) ** 2)
    return kernel / kernel.sum()


def _blurred(volume: Tensor, sigma: float, axis: int) -> Tensor:
    """Gaussian along one axis as a banded matrix, edges renormalised."""
    n = volume.shape[axis]
    x = torch.arange(n, device=volume.device, dtype=torch.float32)
    matrix = torch.exp(-0.5 * ((x[None] - x[:, None]) / max(sigma, 0.2)) ** 2)
    matrix = matrix / matrix.sum(1, keepdim=True)
    return volume @ matrix.T if axis == 2 else torch.matmul(matrix, volume)
