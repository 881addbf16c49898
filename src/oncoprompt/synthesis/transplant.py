"""A lesion taken out of its brain, and the varied shape of it that goes into another."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.crop import Crop
from oncoprompt.synthesis.fields import box_field, sample
from oncoprompt.synthesis.morph import ABSENT_MM, grown, morph, restricted, shape_labels, shape_levels
from oncoprompt.synthesis.placement import Brain, Outline, Site
from oncoprompt.synthesis.texture import Reference, Texture

_MARGIN_VOXELS = 10
_ELASTIC_KNOT_MM = 16.0
_ELASTIC_SPACING_MM = 4.0
_SMALLEST_VOXELS = 50


@dataclass(frozen=True)
class Variation:
    """How a shape is varied: mirrored left to right, scaled, bent by ``elastic_mm``, its signed distance grown, and
    ``morph`` (0 to 1) of the way to the lesion of a partner, where there is one."""

    mirrored: bool = False
    scale: float = 1.0
    elastic_mm: float = 0.0
    grow_mm: float = 0.0
    morph: float = 0.0

    @staticmethod
    def random(rng: np.random.Generator) -> Variation:
        """Ranges of the specification, 2.4; scale, mirror and elastic are each applied half of the time."""
        scaled, bent = rng.random(2) < 0.5
        return Variation(
            mirrored=bool(rng.random() < 0.5),
            scale=rng.uniform(0.85, 1.25) if scaled else 1.0,
            elastic_mm=rng.uniform(0.5, 2.0) if bent else 0.0,
            grow_mm=rng.uniform(-2.0, 2.0),
            morph=rng.uniform(0.0, 1.0),
        )


@dataclass(frozen=True)
class Lesion:
    """A lesion in a crop of its case: levels ``[6, k, j, i]`` (morph.LEVELS), texture, site and intensities."""

    crop: Crop
    levels: Tensor
    texture: Texture
    site: Site
    reference: Reference
    labels: frozenset[int]

    @classmethod
    def of(cls, case: LabelledCase, one_component: bool, rng: np.random.Generator) -> Lesion:
        """All of the labelled tissue, or one connected lesion; raises InputError where nothing is labelled."""
        if not bool((case.labels > 0).any()):
            raise InputError(
                f"Case '{case.name}' has no lesion to take out: its label map is empty. Take a labelled case."
            )
        labels = case.labels
        if one_component:
            labels = labels * _component(labels > 0, rng)
        crop = Crop.around(labels > 0, _MARGIN_VOXELS)
        part = crop.of(labels)
        levels = shape_levels(part)
        anchor = levels[1] if bool((levels[1] > 0).any()) else levels[0]
        points = crop.points_mm(labels.device)
        site = Site.of(points[anchor > 0], points[(anchor > 0) & (anchor <= 1)], Brain.of(case))
        texture = Texture.of(crop.of(case.images), crop.of(case.brain), part)
        return cls(crop, levels, texture, site, Reference.of(case), frozenset(part.unique().tolist()) - {0})

    def levels_at(self, points_mm: Tensor) -> Tensor:
        """Levels ``[6, n]`` at points ``[n, 3]`` of the lesion's own head box; beyond the crop they go on falling."""
        low, high = self.crop.bounds_mm(points_mm.device)
        beyond = (points_mm - points_mm.clamp(low, high)).norm(dim=-1)
        levels: Tensor = self.crop.sample(self.levels, points_mm) - beyond
        return levels.clamp_min(ABSENT_MM)


@dataclass(frozen=True)
class Transplant:
    """The varied shape of a lesion, in mm about its site.

    ``d'(y) = scale ((1 - t) d_1 + t d_2)(M y / scale + elastic(y)) + grow`` with the mirror M.
    """

    lesion: Lesion
    partner: Lesion | None
    variation: Variation
    elastic: Tensor | None

    @classmethod
    def random(
        cls, lesion: Lesion, partner: Lesion | None, variation: Variation, rng: np.random.Generator
    ) -> Transplant:
        """Draw the elastic field (knots every 16 mm, of standard deviation ``variation.elastic_mm``)."""
        generator = torch.Generator(device=lesion.levels.device).manual_seed(int(rng.integers(2**62)))
        elastic = None
        if variation.elastic_mm > 0:
            elastic = box_field(_ELASTIC_KNOT_MM, _ELASTIC_SPACING_MM, generator, 3) * variation.elastic_mm
        return cls(lesion, partner, variation, elastic)

    @property
    def has_core(self) -> bool:
        """Whether anything but oedema is labelled."""
        return bool(self.lesion.labels - {2})

    def source_points(self, points_mm: Tensor) -> Tensor:
        """Where in the head box of the lesion's own case points ``[n, 3]`` come from."""
        return self._about_site(points_mm) + self.lesion.site.point_mm

    def levels(self, points_mm: Tensor) -> Tensor:
        """Levels ``[6, n]`` in mm at points ``[n, 3]``."""
        about = self._about_site(points_mm)
        levels = self.lesion.levels_at(about + self.lesion.site.point_mm)
        if self.partner is not None:
            levels = morph(levels, self.partner.levels_at(about + self.partner.site.point_mm), self.variation.morph)
            levels = restricted(levels, self.lesion.labels)
        return grown(levels * self.variation.scale, self.variation.grow_mm)

    def outline(self, spacing_mm: float) -> Outline | None:
        """Points of the shape on a grid about the site; None where nothing is left of it."""
        reach = self._reach_mm()
        axes = [torch.arange(-float(r), float(r) + spacing_mm, spacing_mm, device=reach.device) for r in reach]
        points = torch.cartesian_prod(*axes)
        levels = self.levels(points)
        labels = shape_labels(levels)
        core, oedema = (labels > 0) & (labels != 2), labels == 2
        edge = levels[1]
        if not bool(core.any()):
            core, oedema, edge = oedema, core, levels[0]
        if int(core.sum()) * spacing_mm**3 < _SMALLEST_VOXELS:
            return None
        return Outline(points[core], points[oedema], points[core & (edge <= spacing_mm)])

    def _about_site(self, points_mm: Tensor) -> Tensor:
        mirror = points_mm.new_tensor([-1.0 if self.variation.mirrored else 1.0, 1.0, 1.0])
        about = points_mm * mirror / self.variation.scale
        if self.elastic is None:
            return about
        return about + sample(self.elastic, points_mm[None, None])[:, 0, 0].T

    def _reach_mm(self) -> Tensor:
        """How far the shape may reach from the site along R, A, S."""
        reaches = []
        for lesion in (self.lesion, self.partner):
            if lesion is not None:
                low, high = lesion.crop.bounds_mm(lesion.levels.device)
                site = lesion.site.point_mm
                reaches.append(torch.maximum(high - site, site - low))
        return torch.stack(reaches).amax(0) * self.variation.scale


def _component(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """One connected part of a mask, drawn by volume from those with at least 50 voxels (else the largest)."""
    parts, count = cc3d.connected_components(mask.cpu().numpy(), connectivity=26, return_N=True)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    share = sizes * (sizes >= min(_SMALLEST_VOXELS, sizes.max()))
    chosen = int(rng.choice(count, p=share / share.sum())) + 1
    return torch.from_numpy(parts == chosen).to(mask.device)
