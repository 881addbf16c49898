"""Metastases: one to twenty roundish cores where grey meets white matter, with oedema out of proportion."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.fields import box_shape
from oncoprompt.synthesis.growth import volume_shift
from oncoprompt.synthesis.lesion import Lesion, LesionTissue
from oncoprompt.synthesis.tumours.oedema import vasogenic_oedema
from oncoprompt.synthesis.tumours.site import NOWHERE_MM, SITE_SPACING_MM, Site, log_uniform

_SMALLEST_NECROTIC_MM = 10.0


@dataclass(frozen=True)
class Metastasis:
    """One focus: place (see Site.pick), diameter, relative axes, enhancing rim and oedema.

    ``rim_mm`` is 0 where the whole focus enhances; ``oedema_ratio`` is oedema over core volume.
    """

    place: float
    diameter_mm: float
    axes: tuple[float, float, float]
    rim_mm: float
    oedema_ratio: float
    oedema_spread: float

    @classmethod
    def random(cls, rng: np.random.Generator, dry: bool) -> Metastasis:
        """Diameter 3 to 35 mm; oedema up to four times the core unless ``dry``."""
        diameter = log_uniform(rng, 3.0, 35.0)
        ring = diameter > _SMALLEST_NECROTIC_MM and rng.random() < 0.65
        wet = not dry and rng.random() < 0.85
        return cls(
            place=rng.random(),
            diameter_mm=diameter,
            axes=(rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25)),
            rim_mm=rng.uniform(2.0, 6.0) if ring else 0.0,
            oedema_ratio=log_uniform(rng, 0.2, 4.0) if wet else 0.0,
            oedema_spread=rng.uniform(0.2, 0.6),
        )


def random_foci(rng: np.random.Generator) -> tuple[Metastasis, ...]:
    """One to eight foci, in one person of twenty up to twenty."""
    count = int(rng.integers(9, 21)) if rng.random() < 0.05 else round(log_uniform(rng, 0.6, 8.4))
    dry = bool(rng.random() < 0.15)
    return tuple(Metastasis.random(rng, dry) for _ in range(max(count, 1)))


def metastases(site: Site) -> Lesion:
    """Foci of one primary tumour: they share their tissue and differ in size, ring and oedema."""
    rng = site.rng
    foci = random_foci(rng)
    levels = torch.full((5, *box_shape(SITE_SPACING_MM)), NOWHERE_MM, device=site.depth_mm.device)
    x, y, z = site.mni_mm
    stem = (x.abs() < 14.0) & (y > -46.0) & (y < -10.0) & (z < -12.0)
    junction = (site.white > 0.25) & (site.grey > 0.25) & (site.depth_mm > 3) & ~stem
    for focus in foci:
        add_focus(site, levels, junction, focus)
    tissue = LesionTissue(
        necrosis_t1=log_uniform(rng, 1.4, 3.0),
        necrosis_t2=log_uniform(rng, 0.09, 0.5),
        enhancing_t1=log_uniform(rng, 1.05, 1.7),
        enhancing_t2=log_uniform(rng, 0.07, 0.16),
        oedema_t2=log_uniform(rng, 0.11, 0.2),
        uptake=log_uniform(rng, 0.5, 2.2),
        uptake_spread=rng.uniform(0.1, 0.4),
        haemorrhage=rng.uniform(0.4, 1.0) if rng.random() < 0.2 else 0.0,
        oedema_share=rng.uniform(0.6, 1.0),
        core_softness_mm=rng.uniform(0.3, 0.6),
        oedema_softness_mm=rng.uniform(0.7, 2.0),
        mass=rng.uniform(0.1, 0.5),
    )
    return Lesion("metastases", levels, tissue, {"foci": [asdict(focus) for focus in foci]})


def add_focus(site: Site, levels: Tensor, junction: Tensor, focus: Metastasis) -> None:
    """Unite one focus with the levels ``[5, K, J, I]``, in place."""
    radius = focus.diameter_mm / 2
    # the shell round a sphere that holds the drawn volume of oedema
    reach = radius * ((1 + focus.oedema_ratio) ** (1 / 3) - 1)
    centre = site.pick(junction, focus.place)
    part = site.around(centre, 1.5 * radius + 3.0 * reach + 8.0)
    voxel = part.local(centre)
    axes = torch.tensor(focus.axes, device=levels.device) / math.prod(focus.axes) ** (1 / 3)
    core = radius - ((part.points_mm - part.points_mm[voxel]) / axes).norm(dim=-1)
    core = core + 0.15 * radius * part.noise(8.0).clamp(-2.0, 2.0) * (core > -radius)
    walls = torch.minimum(part.compartment(voxel), part.depth_mm - 0.5)
    sphere_voxels = 4 / 3 * math.pi * (radius / SITE_SPACING_MM) ** 3
    shift = volume_shift(torch.where(walls > 0, core, NOWHERE_MM), sphere_voxels, most=0.5 * radius)
    core = torch.minimum(core - shift, walls)
    enhancing = torch.full_like(core, 40.0)
    if focus.rim_mm > 0:
        enhancing = focus.rim_mm * torch.exp(0.3 * part.noise(7.0)) - core
    part.add(levels, core=core)
    # where foci touch, the one that lies deeper decides what enhances
    k, j, i = (slice(first, first + n) for first, n in zip(part.corner, part.shape, strict=True))
    wins = levels[0, k, j, i] == core
    levels[1, k, j, i] = torch.where(wins, torch.minimum(enhancing, core + 6.0), levels[1, k, j, i])
    if focus.oedema_ratio > 0:
        target = focus.oedema_ratio * float(((core > 0) & (enhancing > 0)).sum())
        part.add(levels, oedema=vasogenic_oedema(part, core, reach, focus.oedema_spread, target))
