"""How a labelled case is seen anew: a pose, a smooth deformation and the settings of a scanner, drawn as data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from oncoprompt.synthesis.fields import box_field, box_points, exponential, random_field, sample

FIELD_SPACING_MM = 8.0
"""Spacing of the head box's grid on which deformations of cases are kept."""


@dataclass(frozen=True)
class Augmentation:
    """Changes of one case; without arguments, none.

    A point p of the new head shows what the case has at ``matrix @ (p + u(p))``; ``displacement_mm`` u is
    ``[3, K, J, I]`` at FIELD_SPACING_MM. An intensity x becomes ``sign(x) (|x| / top)^gamma exp(bias(p)) + noise``, in
    units of the case's bright tissue, so that the air outside the brain stays zero.
    """

    matrix: tuple[tuple[float, float, float], ...] | None = None
    displacement_mm: Tensor | None = None
    gamma: tuple[float, ...] | None = None
    bias: tuple[float, ...] = ()
    bias_knot_mm: float = 70.0
    noise: tuple[float, ...] = ()
    seed: int = 0

    @staticmethod
    def random(rng: np.random.Generator, channels: int) -> Augmentation:
        """Mirrored left to right or not, turned up to 12 degrees, scaled by up to 12 %, bent by a few millimetres."""
        seed = int(rng.integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        mirror = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0, 1.0])
        turn = Rotation.from_euler("xyz", rng.uniform(-12, 12, 3), degrees=True).as_matrix()
        matrix = turn @ mirror @ np.diag(rng.uniform(0.94, 1.06, 3)) * rng.uniform(0.94, 1.06)
        displacement = None
        if rng.random() < 0.7:
            velocity = box_field(rng.uniform(32, 64), FIELD_SPACING_MM, generator, 3) * rng.uniform(1.0, 4.0)
            displacement = exponential(velocity, box_points(FIELD_SPACING_MM, torch.device("cpu")))
        return Augmentation(
            matrix=_rows(matrix),
            displacement_mm=displacement,
            gamma=tuple(np.exp(rng.normal(0, 0.2, channels)).tolist()),
            bias=tuple(rng.uniform(0.0, 0.15, channels).tolist()),
            bias_knot_mm=rng.uniform(50, 90),
            noise=tuple((rng.uniform(0.0, 0.04, channels) * (rng.random(channels) < 0.5)).tolist()),
            seed=seed,
        )

    def after(self, displacement_mm: Tensor) -> Augmentation:
        """The same changes of a case that has been deformed before: its points p show what was at ``p + d(p)``."""
        points = box_points(FIELD_SPACING_MM, displacement_mm.device)
        posed = self.to_case(points)
        there = posed + sample(displacement_mm, posed).permute(1, 2, 3, 0)
        inverse = torch.linalg.inv(self._matrix())
        return replace(self, displacement_mm=(there @ inverse.T - points).permute(3, 0, 1, 2).contiguous())

    def to_case(self, points_mm: Tensor) -> Tensor:
        """Where in the case the points ``[..., 3]`` of the new head lie."""
        if self.displacement_mm is not None:
            points_mm = points_mm + sample(self.displacement_mm, points_mm).permute(1, 2, 3, 0)
        return points_mm if self.matrix is None else points_mm @ self._matrix().T

    def contrast(self, values: Tensor, top: Tensor) -> Tensor:
        """Intensities ``[C, ...]`` after the change of contrast, ``top [C]`` being the brightness of bright tissue."""
        if self.gamma is None:
            return values
        shape = (-1, *[1] * (values.ndim - 1))
        scaled = values / top.view(shape)
        return scaled.sign() * scaled.abs().pow(torch.tensor(self.gamma).view(shape))

    def disturb(self, images: Tensor, brain: Tensor, spacing_mm: tuple[float, float, float]) -> Tensor:
        """Images ``[C, k, j, i]`` after `contrast` under a bias field, with noise in the brain."""
        generator = torch.Generator().manual_seed(self.seed)
        extent = [n * step for n, step in zip(images.shape[1:], spacing_mm, strict=True)]
        out = images
        if self.bias:
            field = random_field(self.bias_knot_mm, extent, images.shape[1:], generator, len(images))
            out = out * torch.exp(torch.tensor(self.bias).view(-1, 1, 1, 1) * field)
        if any(self.noise):
            noise = torch.randn(images.shape, generator=generator) * torch.tensor(self.noise).view(-1, 1, 1, 1)
            out = out + noise * brain
        return out

    def _matrix(self) -> Tensor:
        return torch.eye(3) if self.matrix is None else torch.tensor(self.matrix, dtype=torch.float32)


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, float, float], ...]:
    return tuple((float(a), float(b), float(c)) for a, b, c in matrix)


NO_CHANGE = Augmentation()
"""The case as it is."""
