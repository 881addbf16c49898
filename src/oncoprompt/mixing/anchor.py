"""What a velocity field is fitted to: a labelled case at low resolution, its lesion set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import box_points, box_shape, sample

SPACING_MM = 3.0
"""Spacing of an anchor; the fields between anchors are smoother than 8 mm."""

LESION_MARGIN_MM = 6.0
"""Tissue this near to a lesion is set aside with it."""


@dataclass(frozen=True)
class Anchor:
    """One head at SPACING_MM: images, tissues and where neither lesion nor its surroundings are.

    ``images`` ``[C, K, J, I]`` are z-scored over the healthy brain and zero outside the brain; ``tissues``
    ``[T, K, J, I]`` are shares in [0, 1], by default of the brain alone; ``healthy`` ``[K, J, I]`` is 0 within
    LESION_MARGIN_MM of the lesion and 1 elsewhere.
    """

    name: str
    channels: tuple[str, ...]
    images: Tensor
    tissues: Tensor
    healthy: Tensor

    @classmethod
    def of_case(cls, case: LabelledCase, tissues: Tensor | None = None) -> Anchor:
        """Average a case down; ``tissues`` ``[T, K, J, I]`` cover the head box at any spacing."""
        lesion = _averaged((case.labels > 0)[None].float())[0] > 0
        distance_mm = torch.from_numpy(distance_transform_edt(~lesion.cpu().numpy())).float() * SPACING_MM
        # Without a lesion there is nothing to be far from, and the transform is undefined.
        far = distance_mm.to(lesion.device) > LESION_MARGIN_MM if bool(lesion.any()) else ~lesion
        inside = case.brain & (case.labels == 0)
        if not bool(inside.any()):
            raise InputError(f"Case '{case.name}' has no healthy brain to compare with others; leave it out.")
        values = case.images[:, inside]
        mean, deviation = values.mean(1), values.std(1).clamp_min(1e-6)
        images = ((case.images - mean[:, None, None, None]) / deviation[:, None, None, None]).clamp(-4, 4) * case.brain
        shares = case.brain[None].float() if tissues is None else tissues
        return cls(case.name, case.channels, _averaged(images), _averaged(shares), far.float())

    def shared(self, other: Anchor) -> tuple[Tensor, Tensor]:
        """Images of both in the channels they have in common; raises InputError where there is none."""
        names = [name for name in self.channels if name in other.channels]
        if not names:
            raise InputError(
                f"Cases '{self.name}' ({', '.join(self.channels)}) and '{other.name}' ({', '.join(other.channels)}) "
                "have no channel in common. Mix cases that share one."
            )
        return _picked(self, names), _picked(other, names)


@dataclass(frozen=True)
class Agreement:
    """How alike two heads are outside both lesions: correlation of the images, Dice of each tissue."""

    correlation: float
    tissue_dice: tuple[float, ...]


def agreement(source: Anchor, target: Anchor, displacement_mm: Tensor | None = None) -> Agreement:
    """Compare ``source`` pulled back by a displacement ``[3, K, J, I]`` (any spacing; None for none) with ``target``.

    Correlation is Pearson's over either brain, averaged over the shared channels; tissues are cut at one half.
    """
    points = box_points(SPACING_MM, source.images.device)
    if displacement_mm is not None:
        points = points + sample(displacement_mm, points).permute(1, 2, 3, 0)
    own, others = source.shared(target)
    moved = sample(torch.cat([own, source.tissues, source.healthy[None]]), points)
    images, tissues, healthy = moved[: len(own)], moved[len(own) : -1], moved[-1]
    clear = (healthy > 0.5) & (target.healthy > 0.5)
    seen = clear & ((tissues.amax(0) > 0.5) | (target.tissues.amax(0) > 0.5))
    pairs = torch.stack([images[:, seen], others[:, seen]])
    pairs = pairs - pairs.mean(2, keepdim=True)
    correlation = (pairs[0] * pairs[1]).sum(1) / (pairs.norm(dim=2).prod(0)).clamp_min(1e-6)
    first, second = tissues[:, clear] > 0.5, target.tissues[:, clear] > 0.5
    dice = 2.0 * (first & second).sum(1) / (first.sum(1) + second.sum(1)).clamp_min(1)
    return Agreement(float(correlation.mean()), tuple(float(value) for value in dice))


def _averaged(field: Tensor) -> Tensor:
    """A field ``[C, K, J, I]`` of the head box averaged to SPACING_MM."""
    averaged: Tensor = F.adaptive_avg_pool3d(field[None], box_shape(SPACING_MM))[0]
    return averaged


def _picked(anchor: Anchor, names: Sequence[str]) -> Tensor:
    return anchor.images[[anchor.channels.index(name) for name in names]]
