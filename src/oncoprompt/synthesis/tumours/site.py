"""Where a tumour may grow: tissues, dura and noise on the 2 mm grid of the head box or a part of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.anatomy import LOW_SPACING_MM
from oncoprompt.synthesis.fields import BOX_MM, box_shape, random_field

SITE_SPACING_MM = LOW_SPACING_MM
NOWHERE_MM = -50.0
"""The level of what is not there."""
_ATLAS_TO_MNI_MM = (0.0, -18.0, 4.0)
_PART_NAMES = ("core", "enhancing", "oedema", "cavity", "rim")

Voxel = tuple[int, int, int]


@dataclass(frozen=True)
class Site:
    """Tissue probabilities ``[4, K, J, I]`` and depth below the brain's edge ``[K, J, I]`` of a person at 2 mm.

    ``atlas_mm`` ``[K, J, I, 3]`` is the position in the atlas (the head's own axes where it is not given) and
    ``falx_mm`` the distance from the falx (else from the fissure as the atlas position and the tissues tell it).
    ``corner`` is the first voxel of a part of the head box, see `around`.
    """

    tissues: Tensor
    depth_mm: Tensor
    rng: np.random.Generator
    generator: torch.Generator
    atlas_mm: Tensor | None = None
    falx_mm: Tensor | None = None
    corner: Voxel = (0, 0, 0)

    @cached_property
    def grey(self) -> Tensor:
        return self.tissues[0] + self.tissues[1]

    @property
    def white(self) -> Tensor:
        return self.tissues[2]

    @property
    def shape(self) -> Voxel:
        k, j, i = self.depth_mm.shape
        return k, j, i

    @cached_property
    def points_mm(self) -> Tensor:
        """Voxel centres ``[K, J, I, 3]`` in mm (R, A, S)."""
        z, y, x = (
            (torch.arange(n, device=self.depth_mm.device, dtype=torch.float32) + first + 0.5) * SITE_SPACING_MM
            - extent / 2
            for n, first, extent in zip(self.shape, self.corner, reversed(BOX_MM), strict=True)
        )
        return torch.stack(torch.broadcast_tensors(x[None, None, :], y[None, :, None], z[:, None, None]), dim=-1)

    @cached_property
    def mni_mm(self) -> Tensor:
        """Position ``[3, K, J, I]`` in the space of the atlas, about that of MNI152."""
        where = self.points_mm if self.atlas_mm is None else self.atlas_mm
        return where.movedim(-1, 0) + torch.tensor(_ATLAS_TO_MNI_MM, device=where.device).view(3, 1, 1, 1)

    @cached_property
    def midline_mm(self) -> Tensor:
        """Signed distance from the middle plane ``[K, J, I]``."""
        return self.mni_mm[0]

    @cached_property
    def tentorium_mm(self) -> Tensor:
        """Height above a roof-shaped sheet that stands for the tentorium ``[K, J, I]``; large away from it."""
        x, y, z = self.mni_mm
        height = (z + 6.0 + 0.5 * (x.abs() - 4.0).clamp_min(0.0)) / math.sqrt(1.25)
        return torch.where((y < -38.0) & (y > -92.0) & (x.abs() < 52.0), height, 99.0)

    @cached_property
    def falx_distance_mm(self) -> Tensor:
        """Distance from the falx ``[K, J, I]``; large where there is none."""
        if self.falx_mm is not None:
            return self.falx_mm.abs()
        x, y, z = self.mni_mm
        there = (self.depth_mm < 45.0) & ((z > 0.0) | (y > 10.0)) & (self.white + self.tissues[1] < 0.45)
        return torch.where(there | (x.abs() > 3.0), x.abs(), 99.0)

    def noise(self, knot_mm: float) -> Tensor:
        """A smooth random field ``[K, J, I]`` of about unit variance."""
        extent = [n * SITE_SPACING_MM for n in self.shape]
        # linear interpolation between knots lowers the variance, which the factor gives back
        return random_field(knot_mm, extent, self.shape, self.generator)[0] * 1.4

    def pick(self, where: Tensor, place: float) -> Voxel:
        """The voxel (k, j, i) at a fraction ``place`` (0 to 1) of those of a mask; of the brain's if it has none."""
        candidates = where.flatten().nonzero()[:, 0]
        if candidates.numel() == 0:
            candidates = (self.depth_mm > 0).flatten().nonzero()[:, 0]
        chosen = int(candidates[min(int(place * candidates.numel()), candidates.numel() - 1)])
        k, j, i = np.unravel_index(chosen, self.shape)
        return int(k), int(j), int(i)

    def distance_mm(self, centre_mm: Tensor) -> Tensor:
        """Distance ``[K, J, I]`` from a point (R, A, S)."""
        distance: Tensor = (self.points_mm - centre_mm).norm(dim=-1)
        return distance

    def compartment(self, voxel: Voxel) -> Tensor:
        """Level ``[K, J, I]`` in mm of what lies on the same side of the middle and of the tentorium as a voxel."""
        side, height = float(self.midline_mm[voxel]), float(self.tentorium_mm[voxel])
        level = torch.full_like(self.depth_mm, 99.0)
        # right at a sheet, nothing tells on which side of it a voxel is
        if abs(side) > 3.0:
            level = self.midline_mm * math.copysign(1.0, side) - 1.0
        if 2.0 < abs(height) < 90.0:
            roof = torch.where(self.tentorium_mm < 90.0, self.tentorium_mm * math.copysign(1.0, height) - 1.0, 99.0)
            level = torch.minimum(level, roof)
        return level

    def local(self, voxel: Voxel) -> Voxel:
        """A voxel of the whole head box as a voxel of this part."""
        k, j, i = (c - first for c, first in zip(voxel, self.corner, strict=True))
        return k, j, i

    def around(self, voxel: Voxel, reach_mm: float) -> Site:
        """The part of the site within ``reach_mm`` of a voxel along each axis."""
        half = math.ceil(reach_mm / SITE_SPACING_MM)
        ranges = tuple(slice(max(0, c - half), min(n, c + half + 1)) for c, n in zip(voxel, self.shape, strict=True))
        k, j, i = (first + part.start for first, part in zip(self.corner, ranges, strict=True))
        return replace(
            self,
            tissues=self.tissues[:, *ranges],
            depth_mm=self.depth_mm[ranges],
            atlas_mm=None if self.atlas_mm is None else self.atlas_mm[ranges],
            falx_mm=None if self.falx_mm is None else self.falx_mm[ranges],
            corner=(k, j, i),
        )

    def levels(self, **parts: Tensor) -> Tensor:
        """Levels ``[5, K, J, I]`` of a lesion on the whole head box from the parts this site holds, see Lesion."""
        out = torch.full((5, *box_shape(SITE_SPACING_MM)), NOWHERE_MM, device=self.depth_mm.device)
        self.add(out, **parts)
        return out

    def add(self, levels: Tensor, **parts: Tensor) -> None:
        """Unite parts of a lesion with the levels ``[5, K, J, I]`` of the whole head box, in place."""
        window = tuple(slice(first, first + n) for first, n in zip(self.corner, self.shape, strict=True))
        for name, part in parts.items():
            target = levels[_PART_NAMES.index(name)][window]
            torch.maximum(target, part, out=target)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform between those of two positive numbers."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def union(levels: Sequence[Tensor]) -> Tensor:
    """The level of what lies in any of some shapes."""
    return torch.stack(list(levels)).amax(0)
