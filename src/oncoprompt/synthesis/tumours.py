"""Tumour families: gliomas by growth, metastases and meningiomas by shape, each with its compartments."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.anatomy import LOW_SPACING_MM as H
from oncoprompt.synthesis.fields import blur, box_field, box_points, box_shape
from oncoprompt.synthesis.growth import grow, signed_distance
from oncoprompt.synthesis.lesion import Lesion, LesionTissue, no_lesion

_HALF_BOX = 30


@dataclass(frozen=True)
class Site:
    """Where a tumour may grow: tissue probabilities ``[4, K, J, I]`` and depth ``[K, J, I]`` on the 2 mm grid."""

    tissues: Tensor
    depth_mm: Tensor
    rng: np.random.Generator
    generator: torch.Generator

    @property
    def grey(self) -> Tensor:
        return self.tissues[0] + self.tissues[1]

    @property
    def white(self) -> Tensor:
        return self.tissues[2]

    def noise(self, knot_mm: float) -> Tensor:
        """A smooth random field ``[K, J, I]`` of about unit variance."""
        return box_field(knot_mm, H, self.generator)[0] * 1.4

    def pick(self, where: Tensor) -> tuple[int, int, int]:
        """A random voxel (k, j, i) of a mask."""
        candidates = where.flatten().nonzero()[:, 0]
        if candidates.numel() == 0:
            candidates = (self.depth_mm > 0).flatten().nonzero()[:, 0]
        chosen = int(candidates[int(self.rng.integers(candidates.numel()))])
        k, j, i = np.unravel_index(chosen, self.depth_mm.shape)
        return int(k), int(j), int(i)


def build_lesion(family: str, site: Site) -> Lesion:
    """A random lesion of a family (see FAMILIES) at a site."""
    if family == "high-grade glioma":
        return _high_grade_glioma(site)
    if family == "low-grade glioma":
        return _low_grade_glioma(site)
    if family == "metastases":
        return _metastases(site)
    if family == "meningioma":
        return _meningioma(site)
    return no_lesion(box_shape(H), site.depth_mm.device)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _infiltrating_front(site: Site, target_ml: float, front_mm: float) -> Tensor:
    """Pseudo-distance in mm to the front of a grown tumour, positive inside, ``[K, J, I]``.

    A travelling front of the growth equation is close to a logistic curve, so ``front * logit(c)`` is a distance.
    """
    rng = site.rng
    shape = site.depth_mm.shape
    centre = site.pick((site.white > 0.6) & (site.depth_mm > 4))
    box = tuple(slice(max(0, c - _HALF_BOX), min(n, c + _HALF_BOX)) for c, n in zip(centre, shape, strict=True))
    tissue_room = (site.white + site.grey)[box]
    diffusivity = site.white[box] + site.grey[box] / rng.uniform(2.0, 12.0)
    diffusivity = diffusivity * (tissue_room > 0.35)
    rate = (1 + 0.5 * site.noise(12.0)[box]).clamp(0.2, 2.0)
    seeds = torch.zeros(shape, device=site.depth_mm.device)
    centres = [centre]
    while rng.random() < 0.25 and len(centres) < 4:
        near = torch.zeros_like(seeds, dtype=torch.bool)
        near[tuple(slice(max(0, c - 12), c + 12) for c in centre)] = True
        centres.append(site.pick(near & (site.white > 0.5)))
    for c in centres:
        seeds[tuple(slice(max(0, x - 1), x + 2) for x in c)] = 0.8
    density = grow(diffusivity, rate, seeds[box] * (diffusivity > 0), target_ml * 1000 / H**3, front_mm, H)
    density = density.clamp(1e-4, 1 - 1e-4)
    front = torch.full(shape, -60.0, device=seeds.device)
    front[box] = front_mm * torch.log(density / (1 - density))
    return front


def _glioma_levels(site: Site, target_ml: float, core_share_mm: float) -> tuple[Tensor, Tensor]:
    """Core and oedema levels of a glioma whose oedema reaches ``core_share_mm`` beyond the core."""
    rng = site.rng
    front = _infiltrating_front(site, target_ml, rng.uniform(1.5, 4.0))
    rough = front + rng.uniform(0.3, 1.2) * site.noise(5.0) + rng.uniform(0.5, 3.5) * site.noise(14.0)
    solid = blur((rough > 0).float(), rng.uniform(0.6, 1.2)) > 0.5
    core = signed_distance(solid, H)
    tissue_gate = 6.0 * (site.white + 0.55 * site.grey - 0.75).clamp_max(0.0)
    reach = core_share_mm * torch.exp(rng.uniform(0.2, 0.7) * site.noise(16.0))
    outside = torch.maximum(core, front - 2.0)
    oedema = reach * (0.25 + 0.75 * site.white).sqrt() + outside + tissue_gate + 0.8 * site.noise(5.0)
    oedema = torch.where(site.depth_mm > 0.5, oedema, -5.0)
    return core, oedema


def _enhancement(site: Site, core: Tensor) -> Tensor:
    """Level of the enhancing part of a high-grade core: ring, patches, solid, nodules, in random mixture."""
    rng = site.rng
    pattern = rng.choice(["ring", "patchy", "solid", "nodule"], p=[0.52, 0.26, 0.16, 0.06])
    rim = _log_uniform(rng, 1.5, 7.0) * torch.exp(rng.uniform(0.2, 0.6) * site.noise(9.0))
    gaps = (site.noise(16.0) - rng.uniform(0.8, 2.2)).clamp_min(0.0) * 6.0
    ring = rim - gaps - core + 0.5 * site.noise(4.0)
    patches = 3.0 * (site.noise(rng.uniform(5, 12)) + 0.4 * site.noise(4.0) + rng.uniform(-0.5, 0.9))
    if pattern == "ring":
        # part of the rims are cut by a plain of tissue that does not enhance
        return torch.maximum(ring, patches - 3.0) if rng.random() < 0.4 else ring
    if pattern == "patchy":
        return torch.maximum(patches, ring - 2.0) if rng.random() < 0.5 else patches
    if pattern == "solid":
        return 6.0 - 4.0 * (site.noise(8.0) - rng.uniform(0.2, 1.5)).clamp_min(0.0) * 3.0
    points = box_points(H, core.device)
    nodules = torch.full_like(core, -50.0)
    for _ in range(int(rng.integers(1, 4))):
        k, j, i = site.pick(core > 1.0)
        distance = (points - points[k, j, i]).norm(dim=-1)
        nodules = torch.maximum(nodules, _log_uniform(rng, 2.0, 10.0) - distance)
    return nodules + 1.2 * site.noise(6.0)


def _random_necrosis(rng: np.random.Generator) -> tuple[float, float]:
    """T1 and T2 of necrosis: bloody (short T2), like brain, protein-rich, or fluid like CSF."""
    kind = rng.random()
    if kind < 0.15:
        return _log_uniform(rng, 1.0, 2.2), _log_uniform(rng, 0.035, 0.07)
    if kind < 0.45:
        return _log_uniform(rng, 1.1, 2.0), _log_uniform(rng, 0.065, 0.13)
    if kind < 0.8:
        return _log_uniform(rng, 1.2, 3.0), _log_uniform(rng, 0.075, 0.4)
    return _log_uniform(rng, 2.5, 4.3), _log_uniform(rng, 0.3, 1.6)


def _high_grade_glioma(site: Site) -> Lesion:
    rng = site.rng
    core, oedema = _glioma_levels(site, _log_uniform(rng, 2.5, 110.0), _log_uniform(rng, 2.0, 24.0))
    necrosis_t1, necrosis_t2 = _random_necrosis(rng)
    # half of the cores hold two kinds of necrosis side by side
    other_t1, other_t2 = _random_necrosis(rng) if rng.random() < 0.5 else (necrosis_t1, necrosis_t2)
    tissue = LesionTissue(
        necrosis_t1=necrosis_t1,
        necrosis_t2=necrosis_t2,
        other_necrosis_t1=other_t1,
        other_necrosis_t2=other_t2,
        enhancing_t1=_log_uniform(rng, 1.0, 1.75),
        enhancing_t2=_log_uniform(rng, 0.06, 0.16),
        oedema_t1=_log_uniform(rng, 1.05, 1.8),
        oedema_t2=_log_uniform(rng, 0.09, 0.25),
        uptake=_log_uniform(rng, 0.35, 2.4),
        uptake_spread=rng.uniform(0.15, 0.7),
        core_texture=rng.uniform(0.05, 0.25) if rng.random() < 0.7 else rng.uniform(0.25, 0.5),
        haemorrhage=rng.uniform(0.3, 1.0) if rng.random() < 0.25 else 0.0,
        oedema_share=rng.uniform(0.3, 1.0),
        oedema_patchiness=rng.uniform(0.2, 0.7),
        core_softness_mm=rng.uniform(0.4, 1.0),
        oedema_softness_mm=rng.uniform(0.7, 3.5),
        mass=rng.uniform(0.03, 0.4),
    )
    return Lesion("high-grade glioma", torch.stack([core, _enhancement(site, core), oedema]), tissue)


def _low_grade_glioma(site: Site) -> Lesion:
    rng = site.rng
    core, oedema = _glioma_levels(site, _log_uniform(rng, 4.0, 90.0), _log_uniform(rng, 0.8, 9.0))
    enhancing = torch.full_like(core, -50.0)
    if rng.random() < 0.25:
        # a small spot of enhancement, as tumours on their way to a higher grade show
        k, j, i = site.pick((core > 0) & (core < 6))
        points = box_points(H, core.device)
        enhancing = _log_uniform(rng, 2.0, 6.0) - (points - points[k, j, i]).norm(dim=-1) + site.noise(5.0)
    mismatch = rng.random() < 0.3
    tissue = LesionTissue(
        necrosis_t1=_log_uniform(rng, 1.9, 3.0) if mismatch else _log_uniform(rng, 1.35, 2.2),
        necrosis_t2=_log_uniform(rng, 0.2, 0.45) if mismatch else _log_uniform(rng, 0.12, 0.34),
        enhancing_t1=_log_uniform(rng, 1.1, 1.7),
        enhancing_t2=_log_uniform(rng, 0.09, 0.2),
        oedema_t1=_log_uniform(rng, 1.05, 1.5),
        oedema_t2=_log_uniform(rng, 0.095, 0.16),
        uptake=_log_uniform(rng, 0.4, 1.6),
        core_texture=rng.uniform(0.03, 0.15),
        oedema_share=rng.uniform(0.5, 0.95),
        core_softness_mm=rng.uniform(0.5, 2.0),
        oedema_softness_mm=rng.uniform(0.8, 3.0),
        mass=rng.uniform(0.0, 0.25),
    )
    return Lesion("low-grade glioma", torch.stack([core, enhancing, oedema]), tissue)


def _vasogenic(site: Site, core: Tensor, reach_mm: float) -> Tensor:
    """Oedema level around a core that does not infiltrate: it follows white matter and spares cortex."""
    reach = reach_mm * torch.exp(site.rng.uniform(0.2, 0.6) * site.noise(16.0))
    gate = 6.0 * (site.white + 0.4 * site.grey - 0.7).clamp_max(0.0)
    level = reach * (0.15 + 0.85 * site.white).sqrt() + core + gate + 0.8 * site.noise(5.0)
    return torch.where((site.depth_mm > 0.5) & (reach > 1.0), level, -5.0)


def _metastases(site: Site) -> Lesion:
    rng = site.rng
    points = box_points(H, site.depth_mm.device)
    junction = (site.white > 0.25) & (site.grey > 0.25) & (site.depth_mm > 3)
    core = torch.full_like(site.depth_mm, -50.0)
    enhancing = core.clone()
    shape_noise, rim_noise = site.noise(8.0), site.noise(7.0)
    for _ in range(round(_log_uniform(rng, 1, 8))):
        k, j, i = site.pick(junction)
        radius = _log_uniform(rng, 2.0, 17.0)
        axes = torch.tensor(rng.uniform(0.8, 1.25, 3), dtype=torch.float32, device=core.device)
        level = radius - ((points - points[k, j, i]) / axes).norm(dim=-1) + 0.15 * radius * shape_noise
        rim = rng.uniform(2.0, 6.0) if radius > 5 and rng.random() < 0.65 else 40.0
        enhancing = torch.where(level > core, rim * torch.exp(0.3 * rim_noise) - level, enhancing)
        core = torch.maximum(core, level)
    core = torch.where(site.depth_mm > 0.5, core, -5.0)
    reach = 0.0 if rng.random() < 0.2 else _log_uniform(rng, 2.0, 15.0)
    tissue = LesionTissue(
        necrosis_t1=_log_uniform(rng, 1.4, 3.0),
        necrosis_t2=_log_uniform(rng, 0.09, 0.5),
        enhancing_t1=_log_uniform(rng, 1.05, 1.7),
        enhancing_t2=_log_uniform(rng, 0.07, 0.16),
        oedema_t2=_log_uniform(rng, 0.11, 0.2),
        uptake=_log_uniform(rng, 0.5, 2.2),
        uptake_spread=rng.uniform(0.1, 0.4),
        oedema_share=rng.uniform(0.6, 1.0),
        oedema_softness_mm=rng.uniform(0.7, 2.0),
        mass=rng.uniform(0.05, 0.5),
    )
    return Lesion("metastases", torch.stack([core, enhancing, _vasogenic(site, core, reach)]), tissue)


def _meningioma(site: Site) -> Lesion:
    rng = site.rng
    points = box_points(H, site.depth_mm.device)
    k, j, i = site.pick((site.depth_mm > 0) & (site.depth_mm < 2.5))
    slope = torch.stack(list(torch.gradient(blur(site.depth_mm, 2.0), dim=(2, 1, 0))))[:, k, j, i]
    inward = slope / slope.norm().clamp_min(1e-3)
    base = points[k, j, i]
    radius = _log_uniform(rng, 5.0, 28.0)
    height = radius * (rng.uniform(0.25, 0.5) if rng.random() < 0.1 else rng.uniform(0.6, 1.15))
    centre = base + inward * (rng.uniform(-0.2, 0.5) * height)
    along = ((points - centre) * inward).sum(-1)
    across = ((points - centre) - along[..., None] * inward).norm(dim=-1)
    body = min(radius, height) * (1 - ((across / radius) ** 2 + (along / height) ** 2).clamp_min(1e-4).sqrt())
    core = body + 0.1 * radius * site.noise(10.0) + 0.4 * site.noise(5.0)
    if rng.random() < 0.6:
        tail = rng.uniform(2.0, 14.0) - ((points - base).norm(dim=-1) - radius).clamp_min(0.0)
        shell = rng.uniform(0.8, 2.2) - (site.depth_mm - 1.0).abs()
        core = torch.maximum(core, torch.minimum(shell, 0.3 * tail))
    overhang = rng.uniform(0.0, 5.0) if rng.random() < 0.5 else 0.0
    core = torch.where(site.depth_mm > -overhang, core, -5.0)
    enhancing = torch.full_like(core, 20.0)
    if rng.random() < 0.2:
        enhancing = 3.0 * (rng.uniform(0.6, 1.5) - site.noise(9.0))
    reach = 0.0 if rng.random() < 0.45 else _log_uniform(rng, 2.0, 15.0)
    tissue = LesionTissue(
        necrosis_t1=_log_uniform(rng, 1.4, 3.2),
        necrosis_t2=_log_uniform(rng, 0.06, 0.6),
        enhancing_t1=_log_uniform(rng, 1.15, 1.65),
        enhancing_t2=_log_uniform(rng, 0.065, 0.14),
        oedema_t2=_log_uniform(rng, 0.11, 0.2),
        uptake=_log_uniform(rng, 0.6, 2.2),
        uptake_spread=rng.uniform(0.03, 0.25),
        core_texture=rng.uniform(0.02, 0.12),
        oedema_share=rng.uniform(0.6, 1.0),
        mass=rng.uniform(0.4, 0.85),
    )
    return Lesion("meningioma", torch.stack([core, enhancing, _vasogenic(site, core, reach)]), tissue)
