"""Smooth random fields, diffeomorphic deformations and the Poisson displacement of a growing mass.

Every field covers the same head-centred box of 160 x 192 x 160 mm (R, A, S) whatever its resolution, and is stored
``[C, K, J, I]`` (slowest axis superior), so one set of normalised coordinates samples all of them.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

BOX_MM = (160.0, 192.0, 160.0)
"""Extent of the head box along R, A and S."""


def box_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Shape (K, J, I) of a field that covers the head box at a spacing."""
    return tuple(round(extent / spacing_mm) for extent in reversed(BOX_MM))  # type: ignore[return-value]


def box_points(spacing_mm: float, device: torch.device) -> Tensor:
    """Voxel centres of the head box in mm, ``[K, J, I, 3]`` ordered (R, A, S)."""
    axes = [
        (torch.arange(n, device=device, dtype=torch.float32) + 0.5) * (extent / n) - extent / 2
        for n, extent in zip(reversed(box_shape(spacing_mm)), BOX_MM, strict=True)
    ]
    i, j, k = axes
    return torch.stack(torch.broadcast_tensors(i[None, None, :], j[None, :, None], k[:, None, None]), dim=-1)


def sample(field: Tensor, points_mm: Tensor, padding: str = "border") -> Tensor:
    """Trilinear values ``[C, ...]`` of a box field ``[C, K, J, I]`` at points ``[k, j, i, 3]`` in mm (R, A, S)."""
    half = torch.tensor([extent / 2 for extent in BOX_MM], device=points_mm.device)
    grid = (points_mm / half)[None]
    values: Tensor = F.grid_sample(field[None], grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return values.squeeze(0)


def random_field(
    knot_mm: float, extent_mm: Sequence[float], shape: Sequence[int], generator: torch.Generator, channels: int = 1
) -> Tensor:
    """Gaussian noise ``[channels, *shape]`` with knots every ``knot_mm``, linear between them, unit variance at knots.

    ``extent_mm`` and ``shape`` are in the order of the array's axes.
    """
    device = generator.device
    knots = [max(2, round(extent / knot_mm) + 1) for extent in extent_mm]
    noise = torch.randn((1, channels, *knots), generator=generator, device=device)
    return F.interpolate(noise, size=tuple(shape), mode="trilinear", align_corners=True)[0]


def box_field(knot_mm: float, spacing_mm: float, generator: torch.Generator, channels: int = 1) -> Tensor:
    """`random_field` over the whole head box."""
    return random_field(knot_mm, tuple(reversed(BOX_MM)), box_shape(spacing_mm), generator, channels)


def exponential(velocity_mm: Tensor, points_mm: Tensor, squarings: int = 6) -> Tensor:
    """Displacement in mm of the flow of a stationary velocity field ``[3, K, J, I]``, by scaling and squaring."""
    displacement: Tensor = velocity_mm / 2.0**squarings
    for _ in range(squarings):
        displacement = displacement + sample(displacement, points_mm + displacement.permute(1, 2, 3, 0))
    return displacement


def _cosine_basis(n: int, device: torch.device) -> Tensor:
    """Orthonormal DCT-II matrix ``[n, n]``."""
    k = torch.arange(n, device=device, dtype=torch.float32)
    basis = torch.cos(math.pi / n * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2.0 / n)
    basis[0] /= math.sqrt(2.0)
    return basis


def poisson_displacement(source: Tensor, spacing_mm: float) -> Tensor:
    """Displacement ``u = grad(phi)`` in mm, ``[3, K, J, I]`` ordered (R, A, S), with ``laplace(phi) = source - mean``.

    The irrotational solution of isotropic elasticity under a growth strain; Neumann walls, solved by cosine transform.
    Inside a sphere of constant source s the radial displacement is s r / 3, outside s R^3 / (3 r^2).
    """
    device = source.device
    bases = [_cosine_basis(n, device) for n in source.shape]
    spectrum = _along_axes(bases, source - source.mean())
    lines = [2 - 2 * torch.cos(math.pi * torch.arange(n, device=device) / n) for n in source.shape]
    denominator = -(lines[0][:, None, None] + lines[1][None, :, None] + lines[2][None, None, :])
    denominator[0, 0, 0] = 1.0
    potential = spectrum / denominator
    potential[0, 0, 0] = 0.0
    phi = _along_axes([basis.T for basis in bases], potential)
    gradient = torch.gradient(phi, dim=(2, 1, 0))
    return torch.stack(list(gradient)) * spacing_mm


def _along_axes(matrices: Sequence[Tensor], volume: Tensor) -> Tensor:
    for axis, matrix in enumerate(matrices):
        volume = torch.tensordot(matrix, volume, dims=([1], [axis])).movedim(0, axis)
    return volume


def jacobian_determinant(points_mm: Tensor, spacing_mm: float) -> Tensor:
    """Determinant of the derivative of a map given by its images ``[K, J, I, 3]`` of the nodes of a box grid."""
    columns = [torch.gradient(points_mm, spacing=spacing_mm, dim=axis)[0] for axis in (2, 1, 0)]
    determinant: Tensor = torch.linalg.det(torch.stack(columns, dim=-1))
    return determinant


def blur(volume: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian of ``[K, J, I]`` with a standard deviation in voxels, edges replicated."""
    radius = max(1, math.ceil(3 * sigma))
    x = torch.arange(-radius, radius + 1, device=volume.device, dtype=volume.dtype)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    out = volume[None, None]
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = kernel.numel()
        padding = [0] * 6
        padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = radius
        out = F.conv3d(F.pad(out, padding, mode="replicate"), kernel.view(shape))
    return out[0, 0]
