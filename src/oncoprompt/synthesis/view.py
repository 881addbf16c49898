"""What lies at a list of points of a grid: healthy tissue, lesion levels and smooth noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oncoprompt.geometry import mask_bounds
from oncoprompt.synthesis.anatomy import Anatomy
from oncoprompt.synthesis.atlas import HEAD_TISSUES
from oncoprompt.synthesis.fields import BOX_MM, sample
from oncoprompt.synthesis.lattice import Lattice, Planes
from oncoprompt.synthesis.lesion import Lesion
from oncoprompt.synthesis.noise import SmoothNoise

_SLAB_VOXELS = 100_000
AIR_MM = 4.0
"""How far outside the brain is still looked at when the head around it is not pictured."""
_COARSE_FROM_MM = 1.6
LESION_REACH_MM = 5.0
"""How far outside its levels a lesion still changes tissue."""


@dataclass(frozen=True)
class View:
    """Fields of the N looked-at voxels of a slab.

    ``tissues`` ``[T, N]`` are shares, ``depth_mm`` the depth below the brain's edge, ``falx_mm`` the distance to the
    dura between the hemispheres, ``ventricle`` the share of ventricle, ``points_mm`` and ``atlas_mm`` ``[3, N]`` the
    positions (R, A, S) in the head box and in the atlas. ``index`` says where the voxels are in the flattened slab.
    ``lesion`` are the M voxels (positions in 0..N-1) that a lesion may reach, ``levels`` ``[5, M]`` its levels there.
    """

    index: Tensor
    tissues: Tensor
    depth_mm: Tensor
    falx_mm: Tensor
    ventricle: Tensor
    atlas_mm: Tensor
    lesion: Tensor
    levels: Tensor
    rows: slice
    scene: SceneOnLattice

    def noise(self, name: str, knot_mm: float) -> Tensor:
        """A smooth random field ``[N]`` of about unit variance; equal names and knots give the same field."""
        return self.scene.noise(name, knot_mm).rows(self.rows).view(-1)[self.index]

    def coordinate_mm(self, axis: int) -> Tensor:
        """Position ``[N]`` in the head box along R (0), A (1) or S (2)."""
        _, height, width = self.scene.lattice.shape
        steps = (self.index % width, self.index // width % height, self.index // (width * height) + self.rows.start)
        return (self.scene.lattice.x, self.scene.lattice.y, self.scene.lattice.z)[axis][steps[axis]]


@dataclass(frozen=True)
class Scene:
    """A person and a lesion, to be looked at on any lattice, with the head around the brain or without."""

    anatomy: Anatomy
    lesion: Lesion
    random: SmoothNoise
    whole_head: bool

    def views(self, lattice: Lattice) -> Iterator[View]:
        """Slabs of a lattice along z, those without anything to see left out."""
        prepared = SceneOnLattice(self, lattice)
        k, j, i = lattice.shape
        thickness = max(1, _SLAB_VOXELS // (j * i))
        for start in range(0, k, thickness):
            view = prepared.view(slice(start, min(k, start + thickness)))
            if view is not None:
                yield view


@dataclass
class SceneOnLattice:
    """A scene with all its coarse fields interpolated within the planes of one lattice."""

    scene: Scene
    lattice: Lattice
    _noise: dict[tuple[str, float], Planes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        anatomy, levels = self.scene.anatomy, self.scene.lesion.levels
        smooth = anatomy.smooth
        seen = smooth[0] + AIR_MM
        if self.scene.whole_head:
            # the nodes of the map are the points of the coarse grid
            seen = anatomy.atlas.coarse.at(anatomy.atlas_points.movedim(0, -1)).tissues.sum(0) - 0.02
        self._smooth = Planes.of_field(torch.cat([seen[None], smooth]), self.lattice)
        self._atlas = Planes.of_field(anatomy.atlas_points, self.lattice)
        self._inner = _indices_near(levels, self.lattice)
        self._levels = Planes.of_field(levels, self.lattice.part(*self._inner))

    def noise(self, name: str, knot_mm: float) -> Planes:
        """The person's field of a name on the lattice."""
        key = (name, knot_mm)
        if key not in self._noise:
            self._noise[key] = self.scene.random.on(self.lattice, name, knot_mm)
        return self._noise[key]

    def view(self, rows: slice) -> View | None:
        """What there is to see in some of the lattice's planes, None if nothing."""
        smooth = self._smooth.rows(rows).flatten(1)
        index = (smooth[0] > 0).nonzero()[:, 0]
        if index.numel() == 0:
            return None
        _, depth, falx, ventricle = smooth[:, index]
        where = self._atlas.rows(rows).flatten(1)[:, index]
        tissues = self._tissues(where.T[None, None])
        lesion, levels = self._lesion_at(rows, index)
        return View(index, tissues, depth, falx, ventricle, where, lesion, levels, rows, self)

    def _tissues(self, atlas_mm: Tensor) -> Tensor:
        """Tissue shares ``[T, N]``; the smooth maps of the atlas are not read again at every voxel."""
        fine = self.lattice.spacing_mm < _COARSE_FROM_MM
        atlas = self.scene.anatomy.atlas if fine else self.scene.anatomy.atlas.coarse
        brain = sample(atlas.tissues, atlas_mm)[:, 0, 0]
        if not self.scene.whole_head:
            return brain
        return torch.cat([brain, sample(atlas.maps[-len(HEAD_TISSUES) :], atlas_mm)[:, 0, 0]])

    def _lesion_at(self, rows: slice, index: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the voxels ``index`` a lesion may reach, and its levels there."""
        inner_z, inner_y, inner_x = self._inner
        low, high = max(rows.start, inner_z.start), min(rows.stop, inner_z.stop)
        if low >= high or inner_y.start >= inner_y.stop or inner_x.start >= inner_x.stop:
            return index[:0], torch.empty((5, 0), device=index.device)
        levels = self._levels.rows(slice(low - inner_z.start, high - inner_z.start))
        k, j, i = (levels.amax(0) > -LESION_REACH_MM).nonzero().unbind(1)
        _, height, width = self.lattice.shape
        flat = ((k + low - rows.start) * height + j + inner_y.start) * width + i + inner_x.start
        place = torch.full(((rows.stop - rows.start) * height * width,), -1, device=index.device)
        place[index] = torch.arange(index.numel(), device=index.device)
        found = place[flat]
        seen = found >= 0
        return found[seen], levels[:, k[seen], j[seen], i[seen]]


def _indices_near(levels: Tensor, lattice: Lattice) -> tuple[slice, slice, slice]:
    """Ranges of a lattice's indices (k, j, i) outside which a lesion is not near."""
    near = (levels.amax(0) > -LESION_REACH_MM).cpu().numpy()
    if not near.any():
        return slice(0, 0), slice(0, 0), slice(0, 0)
    ranges = []
    for axis, (first, last), n, extent in zip(
        (lattice.z, lattice.y, lattice.x), mask_bounds(near), near.shape, reversed(BOX_MM), strict=True
    ):
        edges = torch.tensor([float(first - 1), float(last + 1)], device=axis.device) * (extent / n) - extent / 2
        start, stop = torch.searchsorted(axis.contiguous(), edges).tolist()
        ranges.append(slice(start, max(start, stop)))
    return ranges[0], ranges[1], ranges[2]
