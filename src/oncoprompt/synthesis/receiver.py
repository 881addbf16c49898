"""What the receiver adds: noise from a pool of Gaussian numbers, the smooth bias of the coil, a spike of k-space."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

POOL_SIZE = 2**22


@lru_cache(maxsize=4)
def _pool(device: str) -> Tensor:
    return torch.randn(POOL_SIZE, generator=torch.Generator().manual_seed(20240229)).to(device)


def gaussian(shape: Sequence[int], offset: int, device: torch.device) -> Tensor:
    """Standard normal numbers of a shape, read from a fixed pool at an offset; a view, not to be written to.

    The pool is made once per process. Reading it costs a tenth of drawing numbers, and nothing is lost: noise of a few
    per cent carries no label, a training item sees each number in another place, and components and channels of an
    image read at offsets of their own.
    """
    count = math.prod(shape)
    pool = _pool(str(device))
    if count >= POOL_SIZE:
        pool = pool.repeat(count // POOL_SIZE + 2)
    start = offset % (len(pool) - count)
    return pool[start : start + count].view(*shape)


def sliced_gaussian(rows: slice, shape: Sequence[int], slices: int, offset: int, device: torch.device) -> Tensor:
    """Noise of some planes of an image ``shape`` (k, j, i) acquired as ``slices`` and interpolated between them.

    Interpolation smooths noise as it smooths tissue; noise that is rough between thick slices is in no real scan.
    """
    planes = torch.arange(rows.start, rows.stop, device=device, dtype=torch.float32)
    position = ((planes + 0.5) * (slices / shape[0]) - 0.5).clamp(0, slices - 1)
    first = int(position[0])
    count = min(int(position[-1]) + 2, slices) - first
    weights = (1 - (position[:, None] - first - torch.arange(count, device=device)).abs()).clamp_min(0.0)
    noise = gaussian((count, *shape[1:]), offset + first * math.prod(shape[1:]), device)
    return (weights @ noise.flatten(1)).view(len(planes), *shape[1:])


class Bias:
    """A smooth random field on a grid, of unit variance everywhere, evaluated slab by slab.

    A sum of Gaussian bumps on knots every ``knot_mm``, so it has low rank along every axis: a slab costs one product
    with a matrix of a few columns.
    """

    def __init__(
        self, knot_mm: float, shape: Sequence[int], spacing_mm: Sequence[float], generator: torch.Generator
    ) -> None:
        k, self._j, i = (
            _bumps(n, spacing, knot_mm, generator.device) for n, spacing in zip(shape, spacing_mm, strict=True)
        )
        knots = torch.randn((k.shape[1], self._j.shape[1], i.shape[1]), generator=generator, device=generator.device)
        self._rows = torch.einsum("ka,abc,ic->kbi", k, knots, i)

    def slab(self, slices: slice, rows: slice, columns: slice) -> Tensor:
        """Values ``[k, j, i]`` of a part of the grid."""
        return self._j[rows] @ self._rows[slices, :, columns]


def _bumps(n: int, spacing_mm: float, knot_mm: float, device: torch.device) -> Tensor:
    """Weights ``[n, knots]`` of Gaussian bumps, rows of unit length."""
    extent = n * spacing_mm
    knots = round(extent / knot_mm) + 3
    x = (torch.arange(n, device=device, dtype=torch.float32) + 0.5) * spacing_mm - extent / 2
    centres = (torch.arange(knots, device=device, dtype=torch.float32) - (knots - 1) / 2) * knot_mm
    weights = torch.exp(-0.5 * ((x[:, None] - centres) / (0.6 * knot_mm)) ** 2)
    return weights / weights.square().sum(1, keepdim=True).sqrt()


class Spike:
    """The wave that one faulty point of k-space lays over an image: ``cos(2 pi (k / p_k + j / p_j + i / p_i))``."""

    def __init__(self, period_mm: Sequence[float], shape: Sequence[int], spacing_mm: Sequence[float]) -> None:
        self._angles = [
            2 * math.pi * torch.arange(n, dtype=torch.float32) * spacing / period
            for n, spacing, period in zip(shape, spacing_mm, period_mm, strict=True)
        ]

    def slab(self, slices: slice, rows: slice, columns: slice, device: torch.device) -> Tensor:
        """Values ``[k, j, i]`` of a part of the grid, by the addition theorem: two products instead of a cosine."""
        k, j, i = (a[part].to(device) for a, part in zip(self._angles, (slices, rows, columns), strict=True))
        plane = k[:, None] + j[None, :]
        waves = torch.stack([torch.cos(plane), -torch.sin(plane)], dim=-1)
        return waves @ torch.stack([torch.cos(i), torch.sin(i)])
