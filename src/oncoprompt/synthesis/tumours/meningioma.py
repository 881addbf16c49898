"""Meningiomas: broad-based on the dura of the convexity, falx, tentorium or skull base, pushing the brain away."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.fields import blur
from oncoprompt.synthesis.lesion import Lesion, LesionTissue
from oncoprompt.synthesis.tumours.oedema import vasogenic_oedema
from oncoprompt.synthesis.tumours.site import NOWHERE_MM, Site, Voxel, log_uniform

_BASES = ("convexity", "falx", "skull base", "tentorium")
_BASE_SHARES = (0.45, 0.22, 0.25, 0.08)


@dataclass(frozen=True)
class MeningiomaShape:
    """What decides the form; lengths in mm, ``place`` as in Site.pick.

    ``rise`` is how far the middle of the body lies beyond the dura, in heights. ``inner`` is what lies within the core
    and does not enhance: nothing, a cyst or calcium; ``inner_mm`` how deep below the core's surface it begins.
    """

    base: str
    place: float
    radius_mm: float
    stretch: float
    turn: float
    height_mm: float
    rise: float
    en_plaque: bool
    both_sides: bool
    roughness: float
    tail_mm: float
    tail_thickness_mm: float
    tail_labelled: bool
    overhang_mm: float
    inner: str
    inner_mm: float
    oedema_mm: float
    oedema_spread: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> MeningiomaShape:
        """En plaque in 7 %, dural tail in 60 % (half of it labelled), calcium in 15 %, cyst in 6 %, oedema in half."""
        en_plaque = bool(rng.random() < 0.07)
        radius = log_uniform(rng, 14.0, 32.0) if en_plaque else log_uniform(rng, 5.0, 28.0)
        height = rng.uniform(3.0, 6.0) if en_plaque else radius * rng.uniform(0.6, 1.15)
        inner = str(rng.choice(["none", "calcium", "cyst"], p=[0.79, 0.15, 0.06]))
        return cls(
            base=str(rng.choice(_BASES, p=_BASE_SHARES)),
            place=rng.random(),
            radius_mm=radius,
            stretch=log_uniform(rng, 0.8, 1.25),
            turn=rng.uniform(0.0, math.pi),
            height_mm=height,
            rise=rng.uniform(-0.2, 0.5),
            en_plaque=en_plaque,
            both_sides=bool(rng.random() < 0.3),
            roughness=rng.uniform(0.03, 0.15),
            tail_mm=rng.uniform(3.0, 15.0) if rng.random() < 0.6 else 0.0,
            tail_thickness_mm=rng.uniform(0.8, 1.6),
            tail_labelled=bool(rng.random() < 0.5),
            overhang_mm=rng.uniform(0.0, 6.0) if rng.random() < 0.5 else 0.0,
            inner=inner,
            inner_mm=min(height, radius) * rng.uniform(0.25, 0.6),
            oedema_mm=0.0 if rng.random() < 0.5 else log_uniform(rng, 2.0, 15.0),
            oedema_spread=rng.uniform(0.2, 0.6),
        )


def meningioma(site: Site) -> Lesion:
    """A meningioma on a random piece of dura."""
    rng = site.rng
    shape = MeningiomaShape.random(rng)
    base, voxel = _base(site, shape)
    reach = 1.6 * max(shape.radius_mm, shape.height_mm) + max(shape.tail_mm, 1.8 * shape.oedema_mm) + 10.0
    part = site.around(voxel, reach)
    dura = _dura(part, base, part.local(voxel), float(site.midline_mm[voxel]))
    core, tail = _body_and_tail(part, part.local(voxel), dura, base, shape)
    oedema = vasogenic_oedema(part, core, shape.oedema_mm, shape.oedema_spread)
    rim = torch.full_like(core, NOWHERE_MM)
    if shape.tail_mm > 0 and shape.tail_labelled:
        core = torch.maximum(core, tail)
    elif shape.tail_mm > 0:
        rim = tail
    enhancing = core + 6.0
    if shape.inner != "none":
        enhancing = torch.minimum(enhancing, shape.inner_mm + 0.1 * shape.radius_mm * part.noise(7.0) - core)
    levels = part.levels(core=core, enhancing=enhancing, oedema=oedema, rim=rim)
    return Lesion("meningioma", levels, _random_tissue(rng, shape), asdict(shape))


def _random_tissue(rng: np.random.Generator, shape: MeningiomaShape) -> LesionTissue:
    calcified = shape.inner == "calcium"
    uptake = log_uniform(rng, 0.6, 2.2)
    return LesionTissue(
        necrosis_t1=log_uniform(rng, 1.4, 3.2),
        necrosis_t2=log_uniform(rng, 0.02, 0.05) if calcified else log_uniform(rng, 0.15, 0.8),
        enhancing_t1=log_uniform(rng, 1.15, 1.65),
        enhancing_t2=log_uniform(rng, 0.065, 0.14),
        oedema_t2=log_uniform(rng, 0.11, 0.2),
        uptake=uptake,
        uptake_spread=rng.uniform(0.03, 0.25),
        core_texture=rng.uniform(0.02, 0.12),
        oedema_share=rng.uniform(0.6, 1.0),
        calcification=rng.uniform(0.4, 0.95) if calcified else 0.0,
        cleft_mm=rng.uniform(0.5, 1.5) if rng.random() < 0.6 else 0.0,
        rim_uptake=uptake * rng.uniform(0.6, 1.0),
        mass=rng.uniform(0.5, 0.9),
    )


def _base(site: Site, shape: MeningiomaShape) -> tuple[str, Voxel]:
    """The kind of dura and the voxel beside it that the tumour sits on; the convexity where a kind has no room."""
    x, y, z = site.mni_mm
    edge = (site.depth_mm > 0) & (site.depth_mm < 2.5)
    # the base of the brain before the brain stem, and the floor of the posterior fossa
    low = (z < -8.0) & (y > -30.0) & (x.abs() < 45.0) | (z < -35.0) & (y < -40.0)
    room = {
        "falx": (site.falx_distance_mm > 1.0) & (site.falx_distance_mm < 3.5) & (site.depth_mm > 1.0),
        "skull base": edge & low,
        "tentorium": (site.tentorium_mm.abs() > 1.0) & (site.tentorium_mm.abs() < 3.5) & (site.depth_mm > 1.0),
    }.get(shape.base)
    if room is None or not bool(room.any()):
        return "convexity", site.pick(edge & ~low, shape.place)
    return shape.base, site.pick(room, shape.place)


def _dura(site: Site, base: str, voxel: Voxel, side: float) -> Tensor:
    """Distance ``[K, J, I]`` in mm from the dura that bears the tumour, positive on the tumour's side."""
    if base == "falx":
        return site.midline_mm * math.copysign(1.0, side) - 1.0
    if base == "tentorium":
        sheet = site.tentorium_mm * math.copysign(1.0, float(site.tentorium_mm[voxel])) - 1.0
        return torch.where(site.tentorium_mm < 90.0, sheet, NOWHERE_MM)
    return site.depth_mm


def _body_and_tail(site: Site, voxel: Voxel, dura: Tensor, base: str, shape: MeningiomaShape) -> tuple[Tensor, Tensor]:
    """Levels of the body, half an ellipsoid on the dura or a plaque along it, and of the tail that runs out from it."""
    slope = torch.stack(list(torch.gradient(blur(dura, 2.0), dim=(2, 1, 0))))[:, *voxel]
    inward = slope / slope.norm().clamp_min(1e-3)
    foot = site.points_mm[voxel] - inward * float(dura[voxel])
    offset = site.points_mm - foot
    first, second = _tangents(inward, shape.turn)
    across = ((offset @ first / shape.stretch) ** 2 + (offset @ second * shape.stretch) ** 2).sqrt()
    if shape.en_plaque:
        # a plaque keeps to the curve of the dura
        thickness = shape.height_mm * (1 - (across / shape.radius_mm) ** 2)
        body = torch.minimum(thickness - dura.abs(), shape.radius_mm - across)
    else:
        along = offset @ inward - shape.rise * shape.height_mm
        extent = ((across / shape.radius_mm) ** 2 + (along / shape.height_mm) ** 2).clamp_min(1e-4).sqrt()
        body = min(shape.radius_mm, shape.height_mm) * (1 - extent)
        body = body + shape.roughness * shape.radius_mm * site.noise(10.0) * (extent < 2)
    body = body + 0.4 * site.noise(5.0)
    walls = site.depth_mm + shape.overhang_mm
    if base in ("falx", "tentorium"):
        if not (shape.both_sides and base == "falx"):
            walls = torch.minimum(walls, dura + 0.5)
    elif abs(float(site.midline_mm[voxel])) > 3.0:
        walls = torch.minimum(walls, site.compartment(voxel) + 1.0)
    # the tail thins out as it leaves the body
    away = (across - shape.radius_mm).clamp_min(0.0)
    left = 1 - away / max(shape.tail_mm, 1.0)
    shell = shape.tail_thickness_mm * left.clamp_max(1.0) - (dura - 1.0).abs()
    flat = 0.35 * (shape.radius_mm + shape.tail_mm) - (offset @ inward).abs()
    tail = torch.minimum(torch.minimum(shell, flat), site.depth_mm + 0.5)
    return torch.minimum(body, walls), tail


def _tangents(normal: Tensor, turn: float) -> tuple[Tensor, Tensor]:
    """Two orthogonal unit vectors across a normal, turned by an angle."""
    helper = torch.zeros(3, device=normal.device)
    helper[int(normal.abs().argmin())] = 1.0
    first = torch.linalg.cross(normal, helper)
    first = first / first.norm()
    second = torch.linalg.cross(normal, first)
    return math.cos(turn) * first + math.sin(turn) * second, math.cos(turn) * second - math.sin(turn) * first
