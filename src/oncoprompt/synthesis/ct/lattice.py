"""Axis-aligned grids in millimetres and levels stored on coarse ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Triple = tuple[float, float, float]
Block = tuple[slice, slice, slice]

FAR_MM = -30.0
"""Level given where a structure is too far away to matter."""


@dataclass(frozen=True)
class Region:
    """A grid of voxels: centre of the first one in mm (R, A, S), shape (K, J, I), spacing in mm along (k, j, i)."""

    origin_mm: Triple
    shape: tuple[int, int, int]
    spacing_mm: Triple

    @staticmethod
    def around(centre_mm: Triple, shape: tuple[int, int, int], spacing_mm: Triple) -> "Region":
        """The region of a shape whose middle lies at a point."""
        x, y, z = (c - 0.5 * (n - 1) * s for c, n, s in zip(centre_mm, shape[::-1], spacing_mm[::-1], strict=True))
        return Region((x, y, z), shape, spacing_mm)

    @staticmethod
    def spanning(low_mm: Triple, high_mm: Triple, spacing_mm: float) -> "Region":
        """The nodes, at multiples of a spacing, of a lattice that covers a box."""
        first = [math.floor(low / spacing_mm) for low in low_mm]
        counts = [max(2, math.ceil(high / spacing_mm) - n + 1) for high, n in zip(high_mm, first, strict=True)]
        x, y, z = (n * spacing_mm for n in first)
        return Region((x, y, z), (counts[2], counts[1], counts[0]), (spacing_mm, spacing_mm, spacing_mm))

    def axis(self, index: int, device: torch.device) -> Tensor:
        """Coordinates in mm along array axis 0 (S), 1 (A) or 2 (R)."""
        steps = torch.arange(self.shape[index], device=device, dtype=torch.float32)
        return steps * self.spacing_mm[index] + self.origin_mm[2 - index]

    def points(self, device: torch.device) -> Tensor:
        """Voxel centres ``[3, K, J, I]`` in mm, ordered (R, A, S)."""
        z, y, x = (self.axis(index, device) for index in range(3))
        return torch.stack(torch.broadcast_tensors(x[None, None, :], y[None, :, None], z[:, None, None]))

    def block(self, low_mm: Triple, high_mm: Triple) -> Block | None:
        """Slices of the voxels inside a box, or None where there are none."""
        slices = []
        for index in range(3):
            step, first = self.spacing_mm[index], self.origin_mm[2 - index]
            start = max(0, math.ceil((low_mm[2 - index] - first) / step - 1e-6))
            stop = min(self.shape[index], math.floor((high_mm[2 - index] - first) / step + 1e-6) + 1)
            if stop <= start:
                return None
            slices.append(slice(start, stop))
        return slices[0], slices[1], slices[2]


@dataclass(frozen=True)
class Lattice:
    """Values ``[K, J, I]`` at the nodes of a coarse region, linear between them."""

    values: Tensor
    region: Region

    @property
    def bounds(self) -> tuple[Triple, Triple]:
        """First and last node in mm (R, A, S)."""
        x, y, z = (
            o + (n - 1) * s
            for o, n, s in zip(
                self.region.origin_mm, self.region.shape[::-1], self.region.spacing_mm[::-1], strict=True
            )
        )
        return self.region.origin_mm, (x, y, z)

    def on(self, region: Region, above: float | None = None) -> tuple[Block, Tensor] | None:
        """Trilinear values on the voxels of a region inside the lattice and their block.

        None where no voxel is inside, or, with ``above``, where no node near them has a value above it.
        """
        block = region.block(*self.bounds)
        if block is None or (above is not None and not self._reaches(region, block, above)):
            return None
        values = self.values
        device = values.device
        for index in (2, 1, 0):
            nodes = values.shape[index]
            wanted = region.axis(index, device)[block[index]]
            position = (wanted - self.region.origin_mm[2 - index]) / self.region.spacing_mm[index]
            low = position.floor().clamp(0, nodes - 2).long()
            first, last = int(low[0]), int(low[-1]) + 2
            matrix = torch.zeros((len(wanted), last - first), device=device)
            rows = torch.arange(len(wanted), device=device)
            share = (position - low).clamp(0.0, 1.0)
            matrix[rows, low - first] = 1 - share
            matrix[rows, low - first + 1] = share
            values = _along(matrix, values.narrow(index, first, last - first), index)
        return block, values

    def _reaches(self, region: Region, block: Block, above: float) -> bool:
        nodes = []
        for index in range(3):
            step, first = region.spacing_mm[index], region.origin_mm[2 - index] - self.region.origin_mm[2 - index]
            own = self.region.spacing_mm[index]
            start = math.floor((first + block[index].start * step) / own)
            stop = math.ceil((first + (block[index].stop - 1) * step) / own) + 1
            nodes.append(slice(max(start, 0), stop))
        return bool(self.values[nodes[0], nodes[1], nodes[2]].amax() > above)

    def trimmed(self, margin_mm: float = 6.0) -> "Lattice":
        """The part where the value exceeds ``-margin_mm``, for painting; a lattice that has none keeps one cell."""
        slices, origin = [], list(self.region.origin_mm)
        for index in range(3):
            others = [axis for axis in range(3) if axis != index]
            hits = (self.values.amax(others) > -margin_mm).nonzero().flatten()
            start = max(0, int(hits[0]) - 1) if len(hits) else 0
            stop = min(self.values.shape[index], int(hits[-1]) + 2) if len(hits) else 2
            slices.append(slice(start, max(stop, start + 2)))
            origin[2 - index] += start * self.region.spacing_mm[index]
        values = self.values[slices[0], slices[1], slices[2]].contiguous()
        k, j, i = values.shape
        return Lattice(values, Region((origin[0], origin[1], origin[2]), (k, j, i), self.region.spacing_mm))

    def volume_ml(self) -> float:
        """Volume where the value is positive."""
        k, j, i = self.region.spacing_mm
        return int((self.values > 0).sum()) * k * j * i / 1000.0


def sampled(lattices: Sequence[Lattice], points_mm: Tensor) -> Tensor:
    """Trilinear values ``[C, M]`` of lattices on one region at points ``[M, 3]`` (R, A, S), edges replicated."""
    low, high = (torch.tensor(corner, device=points_mm.device) for corner in lattices[0].bounds)
    grid = ((points_mm - low) / (high - low) * 2 - 1)[None, None, None]
    values = torch.stack([lattice.values for lattice in lattices])[None]
    found: Tensor = F.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return found[0, :, 0, 0]


def level_on(lattice: Lattice, region: Region) -> Tensor:
    """A level ``[K, J, I]`` on another region, FAR_MM where its lattice does not reach."""
    values = torch.full(region.shape, FAR_MM, device=lattice.values.device)
    found = lattice.on(region)
    if found is not None:
        values[found[0]] = found[1]
    return values


def _along(matrix: Tensor, values: Tensor, index: int) -> Tensor:
    if index == 2:
        return torch.matmul(values, matrix.T)
    if index == 1:
        return torch.matmul(matrix, values)
    return torch.mm(matrix, values.flatten(1)).view(len(matrix), *values.shape[1:])
