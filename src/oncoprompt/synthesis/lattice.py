"""An axis-aligned grid of points in the head box, and fast interpolation of coarser fields onto it.

Linear interpolation on such a grid is three small matrix products, one an axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oncoprompt.synthesis.fields import BOX_MM


@dataclass(frozen=True)
class Lattice:
    """Coordinates in mm along R (x), A (y) and S (z); arrays on it are ``[..., len(z), len(y), len(x)]``."""

    x: Tensor
    y: Tensor
    z: Tensor

    @classmethod
    def of_points(cls, points_mm: Tensor) -> Lattice:
        """The lattice whose points are ``[k, j, i, 3]`` (R, A, S)."""
        return cls(points_mm[0, 0, :, 0], points_mm[0, :, 0, 1], points_mm[:, 0, 0, 2])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i)."""
        return (len(self.z), len(self.y), len(self.x))

    @property
    def spacing_mm(self) -> float:
        """The smallest distance between neighbours along an axis; 0 where there is one point."""
        axes = (self.x, self.y, self.z)
        return min(float(axis[1] - axis[0]) if len(axis) > 1 else 0.0 for axis in axes)

    def part(self, k: slice, j: slice, i: slice) -> Lattice:
        """The sub-lattice of three ranges of indices."""
        return Lattice(self.x[i], self.y[j], self.z[k])

    def points(self) -> Tensor:
        """All points ``[k, j, i, 3]`` in mm (R, A, S)."""
        axes = torch.broadcast_tensors(self.x[None, None, :], self.y[None, :, None], self.z[:, None, None])
        return torch.stack(axes, dim=-1)

    def spread(self, field: Tensor) -> Tensor:
        """Linear values ``[C, k, j, i]`` of a head-box field ``[C, K, J, I]``, beyond its edge the edge's value."""
        return Planes.of_field(field, self).rows(slice(None))


@dataclass(frozen=True)
class Planes:
    """A coarse field already interpolated within the planes of a lattice, ``[C, K, j, i]``, and the rest of the way.

    Planes of a slab need two coarse planes each, so a field costs little more than one pass over what it fills.
    """

    planes: Tensor
    weights: Tensor

    @classmethod
    def of_field(cls, field: Tensor, lattice: Lattice) -> Planes:
        """A head-box field ``[C, K, J, I]`` of voxels."""
        return cls._of(field, lattice, knots=False)

    @classmethod
    def of_knots(cls, knots: Tensor, lattice: Lattice) -> Planes:
        """Knots ``[C, K, J, I]`` of which the outermost lie on the walls of the head box."""
        return cls._of(knots, lattice, knots=True)

    @classmethod
    def _of(cls, field: Tensor, lattice: Lattice, knots: bool) -> Planes:
        sizes = field.shape[1:]
        z, y, x = (
            _weights(coordinate, extent, n, knots)
            for coordinate, extent, n in zip((lattice.z, lattice.y, lattice.x), reversed(BOX_MM), sizes, strict=True)
        )
        used = z.any(0).nonzero()[:, 0].tolist() if z.numel() else []
        low, high = (used[0], used[-1] + 1) if used else (0, 1)
        return cls(torch.matmul(y, field[:, low:high] @ x.T), z[:, low:high])

    def rows(self, rows: slice) -> Tensor:
        """Values ``[C, k, j, i]`` of a range of the lattice's planes."""
        weights = self.weights[rows]
        used = weights.any(0).nonzero()[:, 0].tolist()
        low, high = (used[0], used[-1] + 1) if used else (0, 0)
        mixed = weights[:, low:high] @ self.planes[:, low:high].flatten(2)
        return mixed.view(self.planes.shape[0], weights.shape[0], *self.planes.shape[2:])


def _weights(coordinate: Tensor, extent: float, n: int, knots: bool) -> Tensor:
    """Linear interpolation matrix ``[len(coordinate), n]`` over n voxel centres, or over n knots from wall to wall."""
    share = (coordinate + extent / 2) / extent
    position = share * (n - 1) if knots else share * n - 0.5
    distance = position.clamp(0, n - 1)[:, None] - torch.arange(n, device=coordinate.device)
    return (1 - distance.abs()).clamp_min(0.0)
