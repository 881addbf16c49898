"""Gliomas: a growing front makes the core, and oedema reaches beyond it along white matter."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.fields import blur
from oncoprompt.synthesis.growth import grow, signed_distance, volume_shift
from oncoprompt.synthesis.lesion import Lesion, LesionTissue
from oncoprompt.synthesis.tumours.oedema import attached, limit_mm
from oncoprompt.synthesis.tumours.site import NOWHERE_MM, SITE_SPACING_MM, Site, Voxel, log_uniform, union

_GROWN_SHARE = 0.62
"""Share of the core that has a density above 0.6; the rest is the front's thinner edge."""


@dataclass(frozen=True)
class GliomaShape:
    """What decides a glioma's form: volume of its core, width of its front, further seeds, roughness, oedema.

    Places are fractions (0 to 1) of the voxels that qualify, see Site.pick.
    """

    core_ml: float
    front_mm: float
    place: float
    seed_places: tuple[float, ...]
    seed_distance_mm: float
    grey_slowness: float
    fine_roughness_mm: float
    coarse_roughness_mm: float
    smoothing: float
    oedema_mm: float
    oedema_spread: float

    @classmethod
    def random(
        cls, rng: np.random.Generator, core_ml: float, front_mm: float, oedema_mm: float, multifocal: float = 0.1
    ) -> GliomaShape:
        """Draw the rest of a shape; ``multifocal`` is how often a second focus lies apart from the first."""
        places: list[float] = []
        while rng.random() < 0.25 and len(places) < 3:
            places.append(rng.random())
        apart = rng.random() < multifocal
        return cls(
            core_ml=core_ml,
            front_mm=front_mm,
            place=rng.random(),
            seed_places=tuple(places or ([rng.random()] if apart else [])),
            seed_distance_mm=rng.uniform(25.0, 45.0) if apart else 0.0,
            grey_slowness=rng.uniform(2.0, 12.0),
            fine_roughness_mm=rng.uniform(0.3, 1.2),
            coarse_roughness_mm=rng.uniform(0.5, 3.5),
            smoothing=rng.uniform(0.6, 1.2),
            oedema_mm=oedema_mm,
            oedema_spread=rng.uniform(0.2, 0.7),
        )


def glioma_levels(site: Site, shape: GliomaShape) -> tuple[Site, Tensor, Tensor]:
    """The part of the site that holds a glioma, and its core and oedema levels there, in mm."""
    centre = site.pick((site.white > 0.6) & (site.depth_mm > 4), shape.place)
    radius = (shape.core_ml * 1000 * 3 / (4 * math.pi)) ** (1 / 3)
    grown = 24.0 + 1.8 * radius + 2.0 * shape.front_mm + 0.7 * shape.seed_distance_mm
    part = site.around(centre, grown + 1.2 * shape.oedema_mm)
    front = _front(part, part.local(centre), shape, grown)
    roughness = shape.fine_roughness_mm * part.noise(5.0) + shape.coarse_roughness_mm * part.noise(14.0)
    target_voxels = shape.core_ml * 1000 / SITE_SPACING_MM**3
    front = front - volume_shift(front + roughness, target_voxels, most=3.0)
    smooth = blur((front + roughness > 0).float(), shape.smoothing) - 0.5
    core = signed_distance(smooth > volume_shift(smooth, target_voxels, most=0.35), SITE_SPACING_MM)
    return part, core, _infiltrative_oedema(part, core, front, shape)


def _front(site: Site, centre: Voxel, shape: GliomaShape, grown_mm: float) -> Tensor:
    """Pseudo-distance in mm to the front of a grown tumour, positive inside, ``[K, J, I]``.

    A travelling front of the growth equation is close to a logistic curve, so ``front * logit(c)`` is a distance.
    """
    room = site.white + site.grey
    diffusivity = (site.white + site.grey / shape.grey_slowness) * (room > 0.35)
    rate = (1 + 0.5 * site.noise(12.0)).clamp(0.2, 2.0)
    k, j, i = centre
    far = site.distance_mm(site.points_mm[k, j, i])
    near = (site.white > 0.5) & (far < 24.0)
    apart = near if shape.seed_distance_mm == 0 else (site.white > 0.5) & ((far - shape.seed_distance_mm).abs() < 4.0)
    centres = [centre, *(site.pick(apart if n == 0 else near, place) for n, place in enumerate(shape.seed_places))]
    seeds = torch.zeros(site.shape, device=far.device)
    for c in centres:
        seeds[tuple(slice(max(0, x - 1), x + 2) for x in c)] = 0.8
    half = math.ceil(min(grown_mm, 60.0) / SITE_SPACING_MM)
    box = tuple(slice(max(0, c - half), c + half + 1) for c in centre)
    target_voxels = _GROWN_SHARE * shape.core_ml * 1000 / SITE_SPACING_MM**3
    density = grow(
        diffusivity[box], rate[box], seeds[box] * (diffusivity[box] > 0), target_voxels, shape.front_mm, SITE_SPACING_MM
    ).clamp(1e-4, 1 - 1e-4)
    front = torch.full(site.shape, -60.0, device=far.device)
    front[box] = shape.front_mm * torch.log(density / (1 - density))
    return front


def _infiltrative_oedema(site: Site, core: Tensor, front: Tensor, shape: GliomaShape) -> Tensor:
    """Level of an oedema that reaches ``oedema_mm`` beyond the core and the tail of its front."""
    gate = 6.0 * (site.white + 0.55 * site.grey - 0.75).clamp_max(0.0)
    reach = shape.oedema_mm * torch.exp(shape.oedema_spread * site.noise(16.0))
    source = torch.maximum(core, front - 2.0)
    level = reach * (0.25 + 0.75 * site.white).sqrt() + source + gate + 0.8 * site.noise(5.0)
    return attached(site, torch.minimum(level, limit_mm(shape.oedema_mm) + core), source, shape.oedema_mm)


@dataclass(frozen=True)
class EnhancementShape:
    """How the enhancing part of a core is laid out; lengths in mm, places as in GliomaShape."""

    pattern: str
    rim_mm: float
    rim_spread: float
    gap_threshold: float
    patch_knot_mm: float
    patch_offset: float
    mixed: bool
    nodule_places: tuple[float, ...]
    nodule_radii_mm: tuple[float, ...]

    @classmethod
    def random(cls, rng: np.random.Generator) -> EnhancementShape:
        """Ring, patches, solid or nodules, in random mixture."""
        pattern = str(rng.choice(["ring", "patchy", "solid", "nodule"], p=[0.62, 0.13, 0.2, 0.05]))
        nodules = int(rng.integers(1, 4)) if pattern == "nodule" else 0
        return cls(
            pattern=pattern,
            rim_mm=log_uniform(rng, 1.8, 9.0),
            rim_spread=rng.uniform(0.2, 0.6),
            gap_threshold=rng.uniform(0.4, 2.0) if pattern == "solid" else rng.uniform(1.2, 3.0),
            patch_knot_mm=rng.uniform(5.0, 12.0),
            patch_offset=rng.uniform(-0.5, 0.9),
            mixed=bool(rng.random() < (0.25 if pattern == "ring" else 0.5)),
            nodule_places=tuple(rng.random() for _ in range(nodules)),
            nodule_radii_mm=tuple(log_uniform(rng, 2.0, 10.0) for _ in range(nodules)),
        )


def enhancement(site: Site, core: Tensor, shape: EnhancementShape) -> Tensor:
    """Level of the enhancing part of a high-grade core."""
    if shape.pattern == "solid":
        return 6.0 - 12.0 * (site.noise(8.0) - shape.gap_threshold).clamp_min(0.0)
    if shape.pattern == "nodule":
        blobs = [
            radius - site.distance_mm(site.points_mm[site.pick(core > 1.0, place)])
            for place, radius in zip(shape.nodule_places, shape.nodule_radii_mm, strict=True)
        ]
        return union(blobs) + 1.2 * site.noise(6.0)
    rim = shape.rim_mm * torch.exp(shape.rim_spread * site.noise(9.0))
    gaps = (site.noise(16.0) - shape.gap_threshold).clamp_min(0.0) * 6.0
    ring = rim - gaps - core + 0.5 * site.noise(4.0)
    if shape.pattern == "ring" and not shape.mixed:
        return ring
    patches = 3.0 * (site.noise(shape.patch_knot_mm) + 0.4 * site.noise(4.0) + shape.patch_offset)
    if shape.pattern == "ring":
        # part of the rims are cut by a plain of tissue that does not enhance
        return torch.maximum(ring, patches - 3.0)
    return torch.maximum(patches, ring - 2.0) if shape.mixed else patches


def random_necrosis(rng: np.random.Generator) -> tuple[float, float]:
    """T1 and T2 in seconds of necrosis: bloody (short T2), like brain, protein-rich, or fluid like CSF."""
    kind = rng.random()
    if kind < 0.15:
        return log_uniform(rng, 1.0, 2.2), log_uniform(rng, 0.035, 0.07)
    if kind < 0.45:
        return log_uniform(rng, 1.1, 2.0), log_uniform(rng, 0.065, 0.13)
    if kind < 0.8:
        return log_uniform(rng, 1.2, 3.0), log_uniform(rng, 0.075, 0.4)
    return log_uniform(rng, 2.5, 4.3), log_uniform(rng, 0.3, 1.6)


def high_grade_glioma(site: Site) -> Lesion:
    """A glioblastoma-like tumour: a mostly enhancing core of 0.8 to 110 ml round necrosis, oedema of 4 to 26 mm.

    Volumes, shares and reach are spread as those of expert label maps are (benchmarks/realism.py).
    """
    rng = site.rng
    # a stream beside the old one: what was drawn before stays as it was
    beside = rng.spawn(1)[0]
    core_ml = float(np.clip(np.exp(rng.normal(np.log(22.0), 1.25)), 0.8, 110.0))
    front_mm, oedema_mm = rng.uniform(1.5, 4.0), log_uniform(rng, 4.0, 26.0)
    if beside.random() < 0.15:
        # a small core in a wide oedema: what is dark on T1 is then mostly oedema
        core_ml, oedema_mm = log_uniform(beside, 0.8, 9.0), beside.uniform(12.0, 26.0)
    shape = GliomaShape.random(rng, core_ml=core_ml, front_mm=front_mm, oedema_mm=oedema_mm)
    pattern = EnhancementShape.random(rng)
    part, core, oedema = glioma_levels(site, shape)
    enhancing = torch.minimum(enhancement(part, core, pattern), core + 6.0)
    necrosis_t1, necrosis_t2 = random_necrosis(rng)
    # half of the cores hold two kinds of necrosis side by side
    other_t1, other_t2 = random_necrosis(rng) if rng.random() < 0.5 else (necrosis_t1, necrosis_t2)
    tissue = LesionTissue(
        necrosis_t1=necrosis_t1,
        necrosis_t2=necrosis_t2,
        other_necrosis_t1=other_t1,
        other_necrosis_t2=other_t2,
        enhancing_t1=log_uniform(rng, 1.0, 1.75),
        enhancing_t2=log_uniform(rng, 0.06, 0.16),
        oedema_t1=log_uniform(rng, 1.05, 2.1),
        oedema_t2=log_uniform(rng, 0.12, 0.3),
        uptake=log_uniform(rng, 0.3, 1.8),
        uptake_spread=rng.uniform(0.15, 0.7),
        core_texture=rng.uniform(0.05, 0.25) if rng.random() < 0.7 else rng.uniform(0.25, 0.5),
        haemorrhage=rng.uniform(0.3, 1.0) if rng.random() < 0.25 else 0.0,
        oedema_share=rng.uniform(0.45, 1.05),
        oedema_far=beside.uniform(0.4, 0.85),
        oedema_patchiness=rng.uniform(0.15, 0.6),
        core_softness_mm=rng.uniform(0.4, 1.0),
        oedema_softness_mm=rng.uniform(0.7, 3.5),
        mass=rng.uniform(0.03, 0.4),
    )
    levels = part.levels(core=core, enhancing=enhancing, oedema=oedema)
    return Lesion("high-grade glioma", levels, tissue, asdict(shape) | asdict(pattern))


def low_grade_glioma(site: Site) -> Lesion:
    """A core of 8 to 105 ml without enhancement but for a spot in a tenth; pushing or infiltrating its surroundings."""
    rng = site.rng
    pushing = bool(rng.random() < 0.4)
    mismatch = bool(rng.random() < 0.3)
    shape = GliomaShape.random(
        rng,
        core_ml=log_uniform(rng, 8.0, 105.0),
        front_mm=rng.uniform(1.5, 2.8) if pushing else rng.uniform(2.5, 5.0),
        oedema_mm=log_uniform(rng, 0.8, 9.0),
        multifocal=0.03,
    )
    # a small spot of enhancement, as tumours on their way to a higher grade show
    spot_mm = log_uniform(rng, 2.0, 6.0) if rng.random() < 0.1 else 0.0
    spot_place = rng.random()
    part, core, oedema = glioma_levels(site, shape)
    enhancing = torch.full_like(core, NOWHERE_MM)
    if spot_mm > 0:
        spot = part.points_mm[part.pick((core > 0) & (core < 6), spot_place)]
        enhancing = torch.minimum(spot_mm - part.distance_mm(spot) + part.noise(5.0), core + 6.0)
    tissue = LesionTissue(
        necrosis_t1=log_uniform(rng, 2.6, 3.6) if mismatch else log_uniform(rng, 1.35, 2.2),
        necrosis_t2=log_uniform(rng, 0.18, 0.35) if mismatch else log_uniform(rng, 0.12, 0.34),
        enhancing_t1=log_uniform(rng, 1.1, 1.7),
        enhancing_t2=log_uniform(rng, 0.09, 0.2),
        oedema_t1=log_uniform(rng, 1.05, 1.5),
        oedema_t2=log_uniform(rng, 0.095, 0.16),
        uptake=log_uniform(rng, 0.4, 1.6),
        core_texture=rng.uniform(0.03, 0.15),
        oedema_share=rng.uniform(0.45, 0.95),
        oedema_far=rng.spawn(1)[0].uniform(0.4, 0.85),
        core_softness_mm=rng.uniform(0.5, 1.0) if pushing or mismatch else rng.uniform(0.8, 2.2),
        oedema_softness_mm=rng.uniform(0.8, 3.0),
        mismatch_rim_mm=rng.uniform(1.5, 4.0) if mismatch else 0.0,
        mass=rng.uniform(0.08, 0.3) if pushing else rng.uniform(0.0, 0.18),
    )
    levels = part.levels(core=core, enhancing=enhancing, oedema=oedema)
    drawn = asdict(shape) | {"pushing": pushing, "mismatch": mismatch, "spot_mm": spot_mm, "spot_place": spot_place}
    return Lesion("low-grade glioma", levels, tissue, drawn)
