"""Where in a brain a lesion from another brain can lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import blur, box_points, sample
from oncoprompt.synthesis.growth import signed_distance

SPACING_MM = 2.0
CONTACT_MM = 2.0
"""Surface nearer than this to the brain's edge touches the dura."""

_DURAL_SHARE = 0.05
_OUTSIDE_MM = 3.0
_MOST_MISPLACED = 0.05
_MOST_OEDEMA_IN_FLUID = 0.25
_VENTRICLE_DEPTH_MM = 10.0
_DEPTH_TOLERANCE_MM = 5.0
_SHARE_TOLERANCE = 0.06
_GAP_MM = 3.0


@dataclass(frozen=True)
class Brain:
    """A brain on the head box's 2 mm grid: depth below its edge (mm), the same smoothed, CSF and its own lesion with a
    margin, each ``[1, K, J, I]``."""

    depth_mm: Tensor
    smooth_mm: Tensor
    fluid: Tensor
    lesion: Tensor

    @classmethod
    def of(cls, case: LabelledCase, fluid: Tensor | None = None) -> Brain:
        """``fluid`` is the share of CSF ``[K, J, I]`` at 2 mm, none where left out."""
        inside = F.avg_pool3d(case.brain[None, None].float(), 2)[0, 0] > 0.5
        lesion = F.avg_pool3d((case.labels > 0)[None, None].float(), 2)[0, 0] > 0
        if bool(lesion.any()):
            lesion = signed_distance(lesion, SPACING_MM) > -_GAP_MM
        depth = signed_distance(inside, SPACING_MM)
        fluid = torch.zeros_like(depth) if fluid is None else fluid
        return cls(depth[None], blur(depth, 2.0)[None], fluid[None], lesion[None].float())

    def depth_at(self, points_mm: Tensor) -> Tensor:
        """Depth below the edge at points ``[n, 3]``, negative outside, ``[n]``."""
        return _at(self.depth_mm, points_mm)

    def normal_at(self, point_mm: Tensor) -> Tensor:
        """Outward unit normal ``[3]`` of the smoothed edge at a point ``[3]``."""
        steps = torch.cat([torch.eye(3), -torch.eye(3)]).to(point_mm.device) * SPACING_MM
        values = _at(self.smooth_mm, point_mm + steps)
        return F.normalize(values[3:] - values[:3], dim=0)

    def bounds_mm(self) -> Tensor:
        """Corners ``[2, 3]`` of the box about the brain (R, A, S)."""
        points = box_points(SPACING_MM, self.depth_mm.device)[self.depth_mm[0] > 0]
        return torch.stack([points.amin(0), points.amax(0)])

    def edge_mm(self) -> Tensor:
        """Points ``[n, 3]`` of the outermost layer of the brain."""
        depth = self.depth_mm[0]
        return box_points(SPACING_MM, depth.device)[(depth > 0) & (depth <= SPACING_MM)]


@dataclass(frozen=True)
class Site:
    """Where a lesion lies in its brain: its middle, or on the dura the middle of its contact, and how it touches.

    ``contact`` is the share of the surface within CONTACT_MM of the brain's edge; ``within`` is the point as a share
    of the box about the brain.
    """

    point_mm: Tensor
    normal: Tensor
    within: Tensor
    depth_mm: float
    contact: float

    @classmethod
    def of(cls, region_mm: Tensor, surface_mm: Tensor, brain: Brain) -> Site:
        """From points ``[n, 3]`` of the lesion's core (of the whole where it has none) and of its surface."""
        near = brain.depth_at(surface_mm) < CONTACT_MM
        contact = float(near.float().mean())
        point = region_mm.mean(0)
        normal = brain.normal_at(point)
        if contact > _DURAL_SHARE:
            point = surface_mm[near].mean(0)
            normal = brain.normal_at(point)
            # the middle of a curved patch lies under it
            point = point + normal * brain.depth_at(point[None])
        low, high = brain.bounds_mm()
        return cls(point, normal, (point - low) / (high - low), float(brain.depth_at(point[None])), contact)

    @property
    def on_dura(self) -> bool:
        """Whether more than a twentieth of the surface touches the brain's edge."""
        return self.contact > _DURAL_SHARE


@dataclass(frozen=True)
class Placement:
    """A rigid move: point y of the lesion, in mm about its site, comes to ``rotation y + position_mm``."""

    rotation: Tensor
    position_mm: Tensor

    def head_points(self, points_mm: Tensor) -> Tensor:
        """From the lesion's frame to the head box."""
        return points_mm @ self.rotation.T + self.position_mm

    def lesion_points(self, points_mm: Tensor) -> Tensor:
        """From the head box to the lesion's frame."""
        return (points_mm - self.position_mm) @ self.rotation


@dataclass(frozen=True)
class Outline:
    """Points ``[n, 3]`` in mm about the site: of the core, of the oedema, and of the core's surface.

    A lesion without a core gives its oedema as core.
    """

    core: Tensor
    oedema: Tensor
    surface: Tensor


@dataclass(frozen=True)
class Wish:
    """Where a lesion should go: mirrored or not, how far (mm) from its own place, turned by angles in radians."""

    mirrored: bool
    wander_mm: float
    turn: tuple[float, float, float]


def find_placement(
    outline: Outline, site: Site, brain: Brain, wish: Wish, rng: np.random.Generator, tries: int
) -> Placement | None:
    """The first of ``tries`` places that fits, each allowed 1 mm farther away than the last; None where none does.

    A lesion on the dura is turned from its own normal to that of the new site and moved along it until the share of
    its surface in contact is its own. Another goes where the depth is its own within 5 mm. A place fits where at most
    5 % of the core is in the ventricles or 3 mm outside the brain, at most 5 % of the oedema is outside and a quarter
    in CSF, and nothing meets the lesion that is already there.
    """
    low, high = brain.bounds_mm()
    mirror = torch.tensor([-1.0 if wish.mirrored else 1.0, 1.0, 1.0], device=low.device)
    within = torch.where(mirror < 0, 1 - site.within, site.within)
    home = low + within * (high - low)
    edge = brain.edge_mm()
    for attempt in range(tries):
        reach = wish.wander_mm + attempt
        if site.on_dura:
            placement = _on_the_edge(outline, site, brain, edge, home, mirror, reach, wish.turn[2], rng)
        else:
            step = torch.from_numpy(_in_ball(rng)).to(home) * reach
            placement = Placement(_rotation(wish.turn).to(home), home + step)
            if abs(float(brain.depth_at(placement.position_mm[None])) - site.depth_mm) > _DEPTH_TOLERANCE_MM:
                continue
        if placement is not None and _fits(outline, placement, brain):
            return placement
    return None


def _on_the_edge(
    outline: Outline,
    site: Site,
    brain: Brain,
    edge: Tensor,
    home: Tensor,
    mirror: Tensor,
    reach: float,
    twist: float,
    rng: np.random.Generator,
) -> Placement | None:
    distance = (edge - home).norm(dim=1)
    near = torch.nonzero(distance <= distance.min() + reach)[:, 0]
    point = edge[near[int(rng.integers(len(near)))]]
    normal = brain.normal_at(point)
    point = point + normal * brain.depth_at(point[None])
    rotation = _about(normal, twist) @ _from_to(site.normal * mirror, normal)
    offsets = torch.arange(-8.0, 8.01, 0.5, device=edge.device)
    offsets = offsets[offsets.abs().argsort()]
    turned = outline.surface @ rotation.T + point
    moved = turned + offsets[:, None, None] * normal
    contact = (brain.depth_at(moved.flatten(0, 1)).view(len(offsets), -1) < CONTACT_MM).float().mean(1)
    miss = (contact - site.contact).abs()
    best = int(miss.argmin())
    if float(miss[best]) > _SHARE_TOLERANCE:
        return None
    return Placement(rotation, point + offsets[best] * normal)


def _fits(outline: Outline, placement: Placement, brain: Brain) -> bool:
    core = placement.head_points(outline.core)
    depth = brain.depth_at(core)
    fluid = _at(brain.fluid, core) > 0.5
    misplaced = (depth < -_OUTSIDE_MM) | (fluid & (depth > _VENTRICLE_DEPTH_MM))
    if float(misplaced.float().mean()) > _MOST_MISPLACED or bool((_at(brain.lesion, core) > 0).any()):
        return False
    if len(outline.oedema) == 0:
        return True
    oedema = placement.head_points(outline.oedema)
    return (
        float((brain.depth_at(oedema) < -_OUTSIDE_MM).float().mean()) <= _MOST_MISPLACED
        and float((_at(brain.fluid, oedema) > 0.5).float().mean()) <= _MOST_OEDEMA_IN_FLUID
        and not bool((_at(brain.lesion, oedema) > 0).any())
    )


def _at(field: Tensor, points_mm: Tensor) -> Tensor:
    return sample(field, points_mm[None, None])[0, 0, 0]


def _in_ball(rng: np.random.Generator) -> np.ndarray:
    direction = rng.normal(size=3)
    point: np.ndarray = direction / np.linalg.norm(direction) * rng.random() ** (1 / 3)
    return point.astype(np.float32)


def _about(axis: Tensor, angle: float) -> Tensor:
    """Rotation matrix about a unit axis (Rodrigues)."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], device=axis.device)
    return torch.eye(3, device=axis.device) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _rotation(angles: tuple[float, float, float]) -> Tensor:
    x, y, z = (_about(axis, angle) for axis, angle in zip(torch.eye(3), angles, strict=True))
    return z @ y @ x


def _from_to(one: Tensor, two: Tensor) -> Tensor:
    """The smallest rotation that takes one unit vector to another."""
    axis = torch.linalg.cross(one, two)
    sine = float(axis.norm())
    cosine = float(one @ two)
    if sine < 1e-6:
        other = F.normalize(torch.linalg.cross(one, torch.eye(3, device=one.device)[int(one.abs().argmin())]), dim=0)
        return _about(other, 0.0 if cosine > 0 else math.pi)
    return _about(axis / sine, math.atan2(sine, cosine))
