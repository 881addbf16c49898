"""The shape of a labelled lesion as signed distances, and shapes between two lesions."""

import torch
from torch import Tensor

from oncoprompt.synthesis.growth import signed_distance

LEVELS = ("whole", "core", "necrosis", "oedema", "enhancing", "cavity")
"""Signed distances of a shape: two nested regions, then the labels 1 to 4 of case.SCHEMA."""

ABSENT_MM = -30.0
"""The level of a region that a lesion does not have, and the least of any level."""

_CORE_LABELS = (1, 3, 4)


def shape_levels(labels: Tensor) -> Tensor:
    """Signed distances ``[6, k, j, i]`` in mm, positive inside, in the order of LEVELS, of labels at 1 mm."""
    core = torch.zeros_like(labels, dtype=torch.bool)
    for label in _CORE_LABELS:
        core |= labels == label
    regions = [labels > 0, core, *(labels == label for label in (1, 2, 3, 4))]
    levels = [_bounded_distance(region) for region in regions]
    return torch.stack(levels)


def shape_labels(levels: Tensor) -> Tensor:
    """Labels ``[...]`` of levels ``[6, ...]``: oedema outside the core, in the core the part with the highest level.

    Regions are nested however the levels were changed, and a core that has grown keeps the part next to it.
    """
    whole, core = levels[0], levels[1]
    labels = torch.where((core > 0) & (levels[[2, 4, 5]].amax(0) > ABSENT_MM), core_part(levels), 2)
    return torch.where(whole > 0, labels, 0).to(torch.uint8)


def core_part(levels: Tensor) -> Tensor:
    """The label 1, 3 or 4 whose level is highest, ``[...]``."""
    return torch.tensor(_CORE_LABELS, device=levels.device)[levels[[2, 4, 5]].argmax(0)]


def grown(levels: Tensor, distance_mm: float) -> Tensor:
    """The shape with its whole and its core grown (shrunk below 0) by a distance: ``d' = d + distance``."""
    shift = torch.zeros(len(LEVELS), device=levels.device)
    shift[:2] = distance_mm
    return torch.where(levels > ABSENT_MM, levels + shift.view(-1, *[1] * (levels.ndim - 1)), levels)


def morph(one: Tensor, two: Tensor, t: float) -> Tensor:
    """The shape ``d' = (1 - t) d_1 + t d_2`` between two sets of levels on the same, centred grid."""
    return torch.lerp(one, two, t)


def restricted(levels: Tensor, labels: frozenset[int]) -> Tensor:
    """The shape without the parts that are not among ``labels``; their place falls to a part that is left."""
    out = levels.clone()
    for label in {1, 2, 3, 4} - labels:
        out[1 + label] = ABSENT_MM
    if not labels & set(_CORE_LABELS):
        out[1] = ABSENT_MM
    if 2 not in labels:
        out[0] = torch.minimum(out[0], out[1])
    return out


def _bounded_distance(region: Tensor) -> Tensor:
    if not bool(region.any()):
        return torch.full(region.shape, ABSENT_MM, device=region.device)
    return signed_distance(region, 1.0).clamp_min(ABSENT_MM)
