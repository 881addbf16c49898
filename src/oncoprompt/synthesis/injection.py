"""Semantic injection: the lesion of one labelled case, varied, in the brain of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.crop import Crop
from oncoprompt.synthesis.fields import BOX_MM, box_points, jacobian_determinant, poisson_displacement, sample
from oncoprompt.synthesis.morph import shape_labels
from oncoprompt.synthesis.placement import SPACING_MM, Brain, Placement, Wish, find_placement
from oncoprompt.synthesis.texture import Reference, contrast_curve, fuse, harmonise
from oncoprompt.synthesis.transplant import Lesion, Transplant, Variation

_MARGIN_MM = 10.0
_MASS_SPACING_MM = 4.0
_TAPER_MM = 8.0
_STILL_MM = 0.3
_DURAL_MASS = 0.3
_SHELL_MM = 4.0


@dataclass(frozen=True)
class Injection:
    """What is drawn for one injection; lengths in mm, angles in radians.

    ``one_component`` takes one connected lesion instead of all. It goes ``wander_mm`` from its own place (mirrored
    with its shape) and is turned about R, A, S (on the dura by the last angle about the normal). ``gamma`` bends the
    contrast inside the lesion and ``residual`` scales its grain. Edges are sigmoids of ``core_edge_mm`` and
    ``oedema_edge_mm``, relaxed by ``sweeps`` of a Poisson blend. ``mass`` is the growth strain kappa of the core; a
    lesion on the dura has 0.3 more, because it pushes the brain rather than replaces it. ``seed`` draws the component,
    the elastic field and the place.
    """

    seed: int = 0
    one_component: bool = False
    variation: Variation = field(default_factory=Variation)
    wander_mm: float = 0.0
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gamma: float = 1.0
    residual: float = 1.0
    core_edge_mm: float = 0.8
    oedema_edge_mm: float = 2.0
    sweeps: int = 0
    mass: float = 0.0

    @staticmethod
    def random(rng: np.random.Generator) -> Injection:
        """Ranges of the specification, 2.4; gamma is applied half of the time."""
        angles = rng.normal(0.0, 0.1, 3)
        return Injection(
            seed=int(rng.integers(2**31)),
            one_component=bool(rng.random() < 0.7),
            variation=Variation.random(rng),
            wander_mm=float(rng.choice([0.0, rng.uniform(0.0, 15.0), 40.0], p=[0.3, 0.5, 0.2])),
            turn=(float(angles[0]), float(angles[1]), float(angles[2])),
            gamma=float(np.exp(rng.uniform(np.log(0.7), np.log(1.5)))) if rng.random() < 0.5 else 1.0,
            residual=rng.uniform(0.8, 1.2),
            core_edge_mm=rng.uniform(0.5, 1.2),
            oedema_edge_mm=rng.uniform(1.2, 2.5),
            sweeps=int(rng.integers(20, 51)) if rng.random() < 0.5 else 0,
            mass=rng.uniform(0.05, 0.5) if rng.random() < 0.8 else 0.0,
        )


def inject(
    source: LabelledCase,
    background: LabelledCase,
    injection: Injection,
    partner: LabelledCase | None = None,
    degrade: Callable[[Tensor], Tensor] | None = None,
    tries: int = 60,
) -> LabelledCase | None:
    """The lesion of ``source`` in the brain of ``background``, on the channels that both have.

    With a ``partner`` the shape lies between the lesions of both (``variation.morph``). ``degrade`` turns the images
    ``[C, K, J, I]`` of the whole composite into measured ones, so that no difference of noise shows the edge. The
    brain mask stays that of the background, and its own labels stay beside the new ones. Returns None where none of
    ``tries`` places fitted (a brain too small for the lesion, or full). Raises InputError where a lesion is missing or
    no channel is common. The same arguments give the same bytes. Source: specification 2.4.
    """
    channels = _common_channels(source, background)
    source, background = _only(source, channels), _only(background, channels)
    rng = np.random.default_rng(injection.seed)
    lesion = Lesion.of(source, injection.one_component, rng)
    other = None if partner is None else Lesion.of(partner, injection.one_component, rng)
    reference = Reference.of(background)
    brain = Brain.of(background, reference.fluid_share(F.avg_pool3d(background.images[None], 2)[0]))
    transplant = Transplant.random(lesion, other, injection.variation, rng)
    outline = transplant.outline(SPACING_MM)
    if outline is None:
        return None
    wish = Wish(injection.variation.mirrored, injection.wander_mm, injection.turn)
    placement = find_placement(outline, lesion.site, brain, wish, rng, tries)
    if placement is None:
        return None
    out = replace(background, name=f"{background.name}+{source.name}")
    strength = injection.mass + (_DURAL_MASS if lesion.site.on_dura and injection.mass > 0 else 0.0)
    if strength > 0:
        out = _pushed(out, _mass_effect(transplant, placement, brain, strength))
    crop = Crop.about(placement.head_points(torch.cat([outline.core, outline.oedema])), _MARGIN_MM)
    out = _painted(out, crop, transplant, placement, reference, injection)
    if degrade is not None:
        out = replace(out, images=degrade(out.images) * out.brain)
    return out


def _common_channels(source: LabelledCase, background: LabelledCase) -> tuple[str, ...]:
    channels = tuple(name for name in background.channels if name in source.channels)
    if not channels:
        raise InputError(
            f"Cases '{source.name}' and '{background.name}' have no channel in common. Found: "
            f"{', '.join(source.channels)} and {', '.join(background.channels)}. Take cases that share one."
        )
    return channels


def _only(case: LabelledCase, channels: tuple[str, ...]) -> LabelledCase:
    if case.channels == channels:
        return case
    return replace(case, channels=channels, images=case.images[[case.channels.index(name) for name in channels]])


def _mass_effect(transplant: Transplant, placement: Placement, brain: Brain, strength: float) -> Tensor:
    """Displacement ``[3, K, J, I]`` in mm at 4 mm of the tissue around the core; the skull holds, CSF gives way first.

    Displacements fade out between 0.6 and 0.3 mm, so that only the part of the head near the lesion is resampled.
    Source: specification 5.5.
    """
    points = box_points(_MASS_SPACING_MM, brain.depth_mm.device)
    levels = transplant.levels(placement.lesion_points(points.flatten(0, 2)))
    core = torch.sigmoid((levels[1] if transplant.has_core else levels[0]) / 1.5).view(points.shape[:3])
    depth, fluid = sample(torch.cat([brain.depth_mm, brain.fluid]), points)
    source = strength * core
    room = fluid * (depth > 0) * (1 - core)
    source = source - room * min(float(source.sum()) / max(float(room.sum()), 1e-6), 0.5)
    displacement: Tensor = poisson_displacement(source, _MASS_SPACING_MM)
    taper = (depth / _TAPER_MM).clamp(0.0, 1.0)
    displacement = displacement * taper**2 * (3 - 2 * taper)
    length = displacement.norm(dim=0)
    displacement = displacement * (length / _STILL_MM - 1).clamp(0.0, 1.0)
    for _ in range(4):
        moved = points - displacement.permute(1, 2, 3, 0)
        if float(jacobian_determinant(moved, _MASS_SPACING_MM).min()) > 0.2:
            break
        displacement = displacement * 0.7
    return displacement


def _pushed(case: LabelledCase, displacement: Tensor) -> LabelledCase:
    """The case after its tissue moved (small-strain inverse: -u); the brain mask holds, as the edge does not move."""
    still = F.interpolate(displacement.abs().amax(0)[None, None], scale_factor=_MASS_SPACING_MM, mode="nearest")
    moving = still[0, 0] > 0
    if not bool(moving.any()):
        return case
    crop = Crop.around(moving, round(_MASS_SPACING_MM))
    points = crop.points_mm(displacement.device)
    points = points - sample(displacement, points).permute(1, 2, 3, 0)
    inside = crop.of(case.brain)
    stacked = torch.cat([case.images, case.brain[None].float()])
    values = sample(stacked, points)
    # what comes from beyond the edge is no tissue
    tissue = values[:-1] / values[-1].clamp_min(0.1)
    images, labels = case.images.clone(), case.labels.clone()
    crop.of(images).copy_(tissue * inside)
    half = torch.tensor(BOX_MM, device=points.device) / 2
    i, j, k = (points + half).floor().long().unbind(-1)
    crop.of(labels).copy_(case.labels[k, j, i] * inside)
    return replace(case, images=images, labels=labels)


def _painted(
    case: LabelledCase,
    crop: Crop,
    transplant: Transplant,
    placement: Placement,
    reference: Reference,
    injection: Injection,
) -> LabelledCase:
    """The case with the lesion fused into a crop of it: ``alpha = sigmoid(d / w)``, labels where alpha > 0.5."""
    head = crop.points_mm(case.images.device)
    shape = head.shape[:3]
    points = placement.lesion_points(head.flatten(0, 2))
    levels = transplant.levels(points)
    whole, core = levels[0], levels[1]
    under = crop.of(case.images)
    free = crop.of(case.brain) & (crop.of(case.labels) == 0)
    infiltrating = ((whole - core) / 4.0).clamp(0.0, 1.0)
    width = torch.lerp(
        torch.full_like(whole, injection.core_edge_mm), torch.full_like(whole, injection.oedema_edge_mm), infiltrating
    )
    alpha = _soft_step(whole / width) * free.flatten()
    # oedema spreads in tissue: sulci and ventricles stay
    fluid = reference.fluid_share(under).flatten()
    alpha = alpha * (1 - fluid * (0.5 - core / 2.0).clamp(0.0, 1.0))
    labels = torch.where(alpha > 0.5, shape_labels(levels), 0).to(torch.uint8)

    chosen = torch.nonzero(alpha > 0)[:, 0]
    texture = under.flatten(1).clone()
    texture[:, chosen] = _tissue(transplant, points[chosen], levels[:, chosen], reference, injection)
    shell = (whole.abs() < (4 * width).clamp_max(_SHELL_MM)) & (alpha > 0)
    fused = fuse(texture.view_as(under), under, alpha.view(shape), shell.view(shape), injection.sweeps)
    images, all_labels = case.images.clone(), case.labels.clone()
    crop.of(images).copy_(fused)
    crop.of(all_labels).copy_(torch.where(labels.view(shape) > 0, labels.view(shape), crop.of(case.labels)))
    return replace(case, images=images, labels=all_labels)


def _tissue(
    transplant: Transplant, points: Tensor, levels: Tensor, reference: Reference, injection: Injection
) -> Tensor:
    """What the lesion looks like in the background's intensities ``[C, n]`` at points of its frame."""
    lesion = transplant.lesion
    labels = torch.where(levels[0] > 0, shape_labels(levels), levels[2:].argmax(0) + 1)
    where = transplant.source_points(points)
    own = lesion.levels_at(where)
    missing = own.gather(0, (labels.long() + 1)[None])[0] < -0.5
    mean, residual = lesion.texture.at(lesion.crop.voxels(where), labels, missing)
    values = harmonise(mean, residual, lesion.reference, reference, injection.residual)
    if injection.gamma == 1.0:
        return values
    inside = values[:, levels[0] > 0]
    low, high = (torch.quantile(inside[:, :: max(1, inside.shape[1] // 20000)], q, dim=1) for q in (0.01, 0.99))
    return contrast_curve(values, low, high, injection.gamma)


def _soft_step(distance: Tensor) -> Tensor:
    """A sigmoid that is exactly 0 and 1 from 4 widths on."""
    end = torch.sigmoid(torch.tensor(-4.0, device=distance.device))
    step: Tensor = ((torch.sigmoid(distance) - end) / (1 - 2 * end)).clamp(0.0, 1.0)
    return step
