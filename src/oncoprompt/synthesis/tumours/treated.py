"""Gliomas after surgery and radiotherapy: a cavity, its thin rim, nodules on its wall, and changed white matter."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cc3d
import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.fields import blur
from oncoprompt.synthesis.growth import signed_distance, volume_shift
from oncoprompt.synthesis.lesion import Lesion, LesionTissue
from oncoprompt.synthesis.tumours.glioma import random_necrosis
from oncoprompt.synthesis.tumours.oedema import vasogenic_oedema
from oncoprompt.synthesis.tumours.site import NOWHERE_MM, SITE_SPACING_MM, Site, Voxel, log_uniform

_SMALLEST_VENTRICLE_VOXELS = 100


@dataclass(frozen=True)
class TreatedShape:
    """What decides the form: the cavity, its rim, nodules on its wall, oedema and periventricular caps.

    Places are fractions (0 to 1) of the voxels that qualify, see Site.pick. ``cavity_depth`` is the depth of the
    cavity's middle in multiples of its half-width across the brain's surface.
    """

    cavity_ml: float
    axis_ratio: float
    place: float
    open_to_surface: bool
    long_axis_inward: bool
    cavity_depth: float
    roughness: float
    rim_mm: float
    rim_gap_threshold: float
    nodule_places: tuple[float, ...]
    nodule_radii_mm: tuple[float, ...]
    nodule_rims_mm: tuple[float, ...]
    oedema_mm: float
    oedema_spread: float
    caps_mm: float
    layer_share: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> TreatedShape:
        """Cavity 1.5 to 65 ml, open to the surface in 85 %, thin rim in 70 %, up to four nodules, caps in 40 %."""
        nodules = int(rng.choice(5, p=[0.25, 0.3, 0.22, 0.13, 0.1]))
        radii = tuple(log_uniform(rng, 2.0, 10.0) for _ in range(nodules))
        open_to_surface = bool(rng.random() < 0.85)
        return cls(
            cavity_ml=log_uniform(rng, 1.5, 65.0),
            axis_ratio=rng.uniform(1.0, 2.0),
            place=rng.random(),
            open_to_surface=open_to_surface,
            long_axis_inward=bool(rng.random() < 0.6),
            cavity_depth=rng.uniform(0.3, 0.85) if open_to_surface else rng.uniform(1.2, 1.8),
            roughness=rng.uniform(0.08, 0.25),
            rim_mm=rng.uniform(0.5, 1.5) if rng.random() < 0.7 else 0.0,
            rim_gap_threshold=rng.uniform(-0.3, 1.5),
            nodule_places=tuple(rng.random() for _ in range(nodules)),
            nodule_radii_mm=radii,
            # small nodules are solid, larger ones may hold necrosis
            nodule_rims_mm=tuple(rng.uniform(1.8, 4.0) if r > 5 and rng.random() < 0.6 else 40.0 for r in radii),
            oedema_mm=log_uniform(rng, 2.0, 20.0) if rng.random() < 0.95 else 0.0,
            oedema_spread=rng.uniform(0.3, 0.8),
            caps_mm=rng.uniform(3.0, 9.0) if rng.random() < 0.4 else 0.0,
            layer_share=rng.uniform(0.1, 0.5) if rng.random() < 0.3 else 0.0,
        )


def treated_glioma(site: Site) -> Lesion:
    """A resected glioma; only nodules are labelled as enhancing, never the cavity or its thin rim."""
    rng = site.rng
    shape = TreatedShape.random(rng)
    centre, part = _place(site, shape)
    cavity = _cavity(part, part.local(centre), shape)
    core, enhancing = _nodules(part, part.local(centre), cavity, shape)
    source = torch.maximum(cavity, core)
    oedema = vasogenic_oedema(part, source, shape.oedema_mm, shape.oedema_spread)
    rim = torch.full_like(cavity, NOWHERE_MM)
    if shape.rim_mm > 0:
        gaps = 2.0 * (part.noise(14.0) - shape.rim_gap_threshold).clamp_min(0.0)
        rim = torch.minimum(cavity + shape.rim_mm - gaps, part.depth_mm + 0.5)
    levels = part.levels(core=core, enhancing=enhancing, oedema=oedema, cavity=cavity, rim=rim)
    if shape.caps_mm > 0:
        _add_caps(site, levels, shape.caps_mm)
    layer = _layer_height_mm(part, cavity, shape.layer_share) if shape.layer_share > 0 else None
    return Lesion("post-treatment glioma", levels, _random_tissue(rng, layer), asdict(shape))


def _random_tissue(rng: np.random.Generator, layer_mm: float | None) -> LesionTissue:
    necrosis_t1, necrosis_t2 = random_necrosis(rng)
    return LesionTissue(
        necrosis_t1=necrosis_t1,
        necrosis_t2=necrosis_t2,
        enhancing_t1=log_uniform(rng, 1.0, 1.75),
        enhancing_t2=log_uniform(rng, 0.06, 0.16),
        oedema_t1=log_uniform(rng, 1.05, 1.8),
        oedema_t2=log_uniform(rng, 0.1, 0.25),
        uptake=log_uniform(rng, 0.45, 2.4),
        uptake_spread=rng.uniform(0.1, 0.5),
        core_texture=rng.uniform(0.05, 0.25),
        haemorrhage=rng.uniform(0.2, 0.8) if rng.random() < 0.2 else 0.0,
        oedema_share=rng.uniform(0.45, 1.0),
        oedema_patchiness=rng.uniform(0.15, 0.6),
        core_softness_mm=rng.uniform(0.4, 1.0),
        oedema_softness_mm=rng.uniform(0.7, 3.5),
        mass=rng.uniform(0.02, 0.2),
        collapse=rng.uniform(-0.3, -0.05),
        rim_uptake=log_uniform(rng, 0.3, 1.5),
        rim_blood=rng.uniform(0.1, 0.6) if rng.random() < 0.2 else 0.0,
        cavity_t1=rng.uniform(3.4, 4.2),
        cavity_t2=log_uniform(rng, 0.8, 1.7),
        cavity_layer_mm=layer_mm,
        layer_t1=log_uniform(rng, 0.5, 1.8),
        layer_t2=log_uniform(rng, 0.05, 0.4),
        debris=rng.uniform(0.1, 0.6) if rng.random() < 0.35 else 0.0,
    )


def _half_axes_mm(shape: TreatedShape) -> tuple[float, float]:
    """Long and short half axes of the cavity."""
    radius = (shape.cavity_ml * 1000 * 3 / (4 * math.pi)) ** (1 / 3)
    return radius * shape.axis_ratio ** (2 / 3), radius * shape.axis_ratio ** (-1 / 3)


def _place(site: Site, shape: TreatedShape) -> tuple[Voxel, Site]:
    """The voxel in the middle of the cavity and the part of the site round it."""
    long, short = _half_axes_mm(shape)
    depth = shape.cavity_depth * (long if shape.long_axis_inward else short)
    # the cerebrum: above the tentorium, off the middle, not the brain stem or what is below it
    x, y, z = site.mni_mm
    cerebrum = (site.tentorium_mm > 3.0) & (x.abs() > 5.0) & ((z > -12.0) | ((y > -15.0) & (x.abs() > 15.0)))
    tissue = cerebrum & (site.white + site.grey > 0.5) & (site.depth_mm > 2.0)
    fitting = tissue & ((site.depth_mm - depth).abs() < 1.5)
    if not bool(fitting.any()):
        deepest = float(site.depth_mm[tissue].max())
        fitting = tissue & (site.depth_mm > deepest - 4.0)
    voxel = site.pick(fitting, shape.place)
    return voxel, site.around(voxel, 1.3 * long + 24.0 + 1.5 * shape.oedema_mm)


def _cavity(site: Site, centre: Voxel, shape: TreatedShape) -> Tensor:
    """Level of an uneven ellipsoid of the drawn volume, within one hemisphere and above the tentorium."""
    slope = torch.stack(list(torch.gradient(blur(site.depth_mm, 2.0), dim=(2, 1, 0))))[:, *centre]
    inward = slope / slope.norm().clamp_min(1e-3)
    ahead = torch.tensor([0.0, 1.0, 0.0], device=inward.device)
    # along the surface, the long axis lies as far forwards and backwards as it can
    tangent = ahead - (ahead @ inward) * inward
    axis = inward if shape.long_axis_inward else tangent / tangent.norm().clamp_min(1e-3)
    long, short = _half_axes_mm(shape)
    offset = site.points_mm - site.points_mm[centre]
    along = offset @ axis
    across2 = (offset.square().sum(-1) - along**2).clamp_min(0.0)
    # near its surface, an ellipsoid's distance is about k (k - 1) / |gradient|
    reach = ((along / long) ** 2 + across2 / short**2).clamp_min(1e-4).sqrt()
    slope_norm = ((along / long**2) ** 2 + across2 / short**4).clamp_min(1e-8).sqrt()
    body = reach * (1 - reach) / slope_norm
    body = body + shape.roughness * short * site.noise(max(6.0, short)) + 0.5 * site.noise(5.0)
    walls = torch.minimum(site.compartment(centre), site.depth_mm)
    inside = torch.where(walls > 0, body, NOWHERE_MM)
    shift = volume_shift(inside, shape.cavity_ml * 1000 / SITE_SPACING_MM**3, most=short)
    return torch.minimum(body - shift, walls)


def _nodules(site: Site, centre: Voxel, cavity: Tensor, shape: TreatedShape) -> tuple[Tensor, Tensor]:
    """Levels of the nodules on the cavity's wall and of their enhancing part."""
    core = torch.full_like(cavity, NOWHERE_MM)
    enhancing = core.clone()
    room = torch.minimum(site.compartment(centre), site.depth_mm - 1.0)
    unevenness = site.noise(6.0)
    for place, radius, rim in zip(shape.nodule_places, shape.nodule_radii_mm, shape.nodule_rims_mm, strict=True):
        wall = (cavity < -0.2 * radius) & (cavity > -0.2 * radius - 2.5) & (room > 1.0)
        blob = radius * (1 + 0.2 * unevenness) - site.distance_mm(site.points_mm[site.pick(wall, place)])
        enhancing = torch.where(blob > core, torch.minimum(rim - blob, blob + 6.0), enhancing)
        core = torch.maximum(core, blob)
    core = torch.minimum(core, torch.minimum(room, -cavity))
    return core, torch.minimum(enhancing, core + 6.0)


def _add_caps(site: Site, levels: Tensor, thickness_mm: float) -> None:
    """Unite the oedema with symmetric caps round the ventricles, thickest at their horns, as radiotherapy leaves."""
    where = _lateral_ventricles(site).nonzero()
    if where.numel() == 0:
        return
    low, high = where.amin(0).tolist(), where.amax(0).tolist()
    k, j, i = ((a + b) // 2 for a, b in zip(low, high, strict=True))
    half = max(b - a for a, b in zip(low, high, strict=True)) / 2 * SITE_SPACING_MM
    part = site.around((k, j, i), half + thickness_mm + 6.0)
    _, y, _ = part.mni_mm
    horns = 0.35 + 0.65 * torch.exp(-(((y - 28.0) / 16.0) ** 2)) + 0.65 * torch.exp(-(((y + 72.0) / 20.0) ** 2))
    caps = thickness_mm * horns + signed_distance(_lateral_ventricles(part), SITE_SPACING_MM)
    part.add(levels, oedema=torch.minimum(caps, 8.0 * (part.white - 0.55)))


def _lateral_ventricles(site: Site) -> Tensor:
    """Fluid deep within the cerebrum, but for that of the cisterns behind and below."""
    x, y, z = site.mni_mm
    beside = (x.abs() < 40.0) & (z > -6.0) & ((y > -38.0) | (x.abs() > 8.0)) & (y > -75.0)
    fluid = (site.tissues[3] > 0.5) & (site.depth_mm > 24.0) & beside
    large = cc3d.dust(fluid.cpu().numpy(), threshold=_SMALLEST_VENTRICLE_VOXELS, connectivity=6)
    return torch.from_numpy(large).to(fluid.device)


def _layer_height_mm(site: Site, cavity: Tensor, share: float) -> float:
    """The A coordinate behind which a share of the cavity lies; people are scanned on their backs."""
    return float(site.points_mm[..., 1][cavity > 0].quantile(share))
