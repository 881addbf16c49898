"""Healthy people: random warps of an atlas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.synthesis.atlas import TISSUES, Atlas, Place, icbm152
from oncoprompt.synthesis.fields import box_field, box_points, exponential, sample
from oncoprompt.synthesis.lattice import Lattice

MAP_SPACING_MM = 4.0
LOW_SPACING_MM = 2.0

_VENTRICLE_REACH_MM = 20.0
_NEAR_MM = 6.0
_FLOW_SPACING_MM = 8.0


@dataclass(frozen=True)
class Anatomy:
    """A person: where in the atlas each point of the head box comes from, ``[3, K, J, I]`` mm on a 4 mm grid."""

    atlas: Atlas
    atlas_points: Tensor

    def atlas_mm(self, points_mm: Tensor) -> Tensor:
        """Positions ``[..., 3]`` in the atlas of points ``[..., 3]`` of the head box (mm; R, A, S)."""
        values = sample(self.atlas_points, points_mm.reshape(1, 1, -1, 3))
        return values.view(3, -1).T.reshape(points_mm.shape)

    def place(self, points_mm: Tensor, head: bool = True) -> Place:
        """What is at points ``[..., 3]`` of the head box."""
        return self.atlas.at(self.atlas_mm(points_mm), head)

    def tissue(self, points_mm: Tensor, head: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Tissue shares ``[4 (+ E), ...]``, depth below the brain's edge ``[...]`` and atlas position ``[..., 3]``."""
        where = self.atlas_mm(points_mm)
        place = self.atlas.at(where, head)
        return place.tissues, place.depth_mm, where

    @cached_property
    def smooth(self) -> Tensor:
        """Depth, distance to the falx and share of ventricle ``[3, K, J, I]`` on the map's own 4 mm grid."""
        place = self.atlas.coarse.at(self.atlas_points.movedim(0, -1), head=False)
        return torch.stack([place.depth_mm, place.falx_mm, place.ventricle])

    def place_on(self, lattice: Lattice) -> Place:
        """What of the brain is at the points of a coarse lattice; tissues are read near the brain alone."""
        depth, falx, ventricle = lattice.spread(self.smooth)
        near = (depth > -_NEAR_MM).view(-1).nonzero()[:, 0]
        where = lattice.spread(self.atlas_points).flatten(1)[:, near].T
        tissues = depth.new_zeros((len(TISSUES), depth.numel()))
        tissues[:, near] = sample(self.atlas.coarse.tissues, where[None, None])[:, 0, 0]
        return Place(tissues.view(len(TISSUES), *lattice.shape), depth, falx, ventricle)

    def displaced(self, displacement_mm: Tensor) -> Anatomy:
        """The same person after tissue moved by ``displacement_mm`` ``[3, K, J, I]`` (small-strain inverse: -u)."""
        points = box_points(MAP_SPACING_MM, displacement_mm.device)
        moved = sample(self.atlas_points, points - displacement_mm.permute(1, 2, 3, 0))
        return Anatomy(self.atlas, moved)


def random_anatomy(rng: np.random.Generator, generator: torch.Generator, atlas: Atlas | None = None) -> Anatomy:
    """A random person, by default from ICBM152: affine (10 degrees, 0.9 to 1.1, flip) after a diffeomorphism.

    The diffeomorphism is the flow of a stationary velocity with knots of 32 and 16 mm and of a radial one,
    ``a (r / 20) exp((1 - (r / 20)^2) / 2)``, about the middle of the ventricles, which widens or narrows them.
    """
    device = generator.device
    atlas = atlas or icbm152(device)
    # the finest knots are two nodes of this grid apart, so nothing is lost on it
    amplitude = MAP_SPACING_MM * np.array([rng.uniform(0.3, 1.2), rng.uniform(0.1, 0.5)])
    velocity = box_field(32.0, _FLOW_SPACING_MM, generator, 3) * amplitude[0]
    velocity += box_field(16.0, _FLOW_SPACING_MM, generator, 3) * amplitude[1]
    nodes = box_points(_FLOW_SPACING_MM, device)
    out = (nodes - atlas.ventricle_centre_mm) / _VENTRICLE_REACH_MM
    radial = rng.uniform(-3.0, 3.0) * torch.exp((1 - out.square().sum(-1, keepdim=True)) / 2)
    velocity += (radial * out).permute(3, 0, 1, 2)
    points = box_points(MAP_SPACING_MM, device)
    flow = Lattice.of_points(points).spread(exponential(velocity, nodes))
    warped = points.permute(3, 0, 1, 2) + flow
    matrix = torch.from_numpy(_random_affine(rng, atlas.larger)).to(device)
    return Anatomy(atlas, torch.einsum("ab,bkji->akji", matrix, warped))


def _random_affine(rng: np.random.Generator, larger: float) -> NDArray[np.float32]:
    """Rotations of 10 degrees, scales 0.9 to 1.1 about people's size, shears of 0.01, every second one mirrored."""
    a, b, c = np.deg2rad(rng.uniform(-10, 10, 3))
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    scale = larger * rng.uniform(0.9, 1.1, 3)
    scale[0] *= rng.choice([-1.0, 1.0])
    shear = np.eye(3)
    shear[np.triu_indices(3, 1)] = rng.uniform(-0.01, 0.01, 3)
    matrix: NDArray[np.float32] = (turn_x @ turn_y @ turn_z @ shear @ np.diag(scale)).astype(np.float32)
    return matrix
