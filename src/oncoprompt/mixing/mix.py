"""New labelled cases between anchors: one head moved part of the way to several others, its lesion carried along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.mixing.velocity_field import VelocityField, flow_displacement
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import BOX_MM, box_points, jacobian_determinant, sample

GUARD_SPACING_MM = 4.0
LEAST_DETERMINANT = 0.1
_SHRINKING, _SHRINKINGS = 0.8, 5


@dataclass(frozen=True)
class Mixture:
    """What one mixed case is made of: the anchor that moves, whom it moves towards, how much of each, how far.

    ``weights`` (one for each partner) in the simplex and ``time`` in [0, 1] interpolate; anything else extrapolates.
    """

    anchor: str
    partners: tuple[str, ...]
    weights: tuple[float, ...]
    time: float

    @classmethod
    def random(cls, anchor: str, partners: Sequence[str], rng: np.random.Generator, most: int = 3) -> Mixture:
        """Draw K <= ``most`` of the partners, weights ~ Dirichlet(1, ..., 1) and time ~ U(0.2, 1)."""
        if not partners:
            raise InputError(f"Case '{anchor}' has no partner to mix with; fit a velocity field from it first.")
        count = int(rng.integers(1, min(most, len(partners)) + 1))
        chosen = rng.choice(len(partners), count, replace=False)
        weights = rng.dirichlet(np.ones(count))
        return cls(
            anchor,
            tuple(partners[index] for index in chosen),
            tuple(float(weight) for weight in weights),
            float(rng.uniform(0.2, 1.0)),
        )


def mix(
    anchor: LabelledCase,
    fields: Sequence[VelocityField],
    weights: Sequence[float],
    time: float = 1.0,
    log_domain: bool | None = None,
) -> LabelledCase:
    """The anchor pulled back by `mixed_displacement`: images trilinear, labels by the largest share.

    Raises InputError where fields and weights do not pair up or a field starts from another case.
    """
    strangers = [field.source for field in fields if field.source != anchor.name]
    if strangers:
        raise InputError(
            f"A field from '{strangers[0]}' cannot move case '{anchor.name}'; take fields that start there."
        )
    return warp(anchor, mixed_displacement(fields, weights, time, log_domain).to(anchor.images.device))


def mixed_displacement(
    fields: Sequence[VelocityField], weights: Sequence[float], time: float = 1.0, log_domain: bool | None = None
) -> Tensor:
    """`combined_displacement` shrunk until nothing folds, as `without_folds` does."""
    return without_folds(combined_displacement(fields, weights, time, log_domain))


def combined_displacement(
    fields: Sequence[VelocityField], weights: Sequence[float], time: float = 1.0, log_domain: bool | None = None
) -> Tensor:
    """Displacement in mm ``[3, K, J, I]`` of a mix, on the grid of velocities.

    Linear, u = sum_k w_k (phi_k^time - id), or in the log domain, u = exp(time sum_k w_k v_k) - id. By default linear
    where weights lie in the simplex and time in [0, 1], and the log domain outside, where the linear mix folds.
    """
    if not fields or len(fields) != len(weights):
        raise InputError(f"A mix needs one weight for each field; found {len(fields)} fields, {len(weights)} weights.")
    if not np.isfinite([*weights, time]).all():
        raise InputError(f"Weights and time of a mix must be finite; found {tuple(weights)} and {time}.")
    if log_domain is None:
        log_domain = not (min(weights) >= 0.0 and sum(weights) <= 1.0 + 1e-6 and 0.0 <= time <= 1.0)
    pairs = list(zip(fields, weights, strict=True))
    if log_domain:
        velocity = torch.stack([field.velocity.float() * weight for field, weight in pairs]).sum(0)
        return flow_displacement(velocity * time)
    return torch.stack([field.displacement(time) * weight for field, weight in pairs]).sum(0)


def without_folds(displacement_mm: Tensor) -> Tensor:
    """The displacement, scaled by 0.8 up to five times while its map's determinant falls below 0.1 at 4 mm."""
    points = box_points(GUARD_SPACING_MM, displacement_mm.device)
    for _ in range(_SHRINKINGS):
        moved = points + sample(displacement_mm, points).permute(1, 2, 3, 0)
        if float(jacobian_determinant(moved, GUARD_SPACING_MM).min()) >= LEAST_DETERMINANT:
            break
        displacement_mm = displacement_mm * _SHRINKING
    return displacement_mm


def warp(case: LabelledCase, displacement_mm: Tensor) -> LabelledCase:
    """A case pulled back by a displacement ``[3, K, J, I]`` in mm at any spacing of the head box."""
    nodes = _near_brain(case.brain, displacement_mm)
    rows, columns = case.brain.shape[1:]
    voxels = (nodes[:, 0] * rows + nodes[:, 1]) * columns + nodes[:, 2]
    points = nodes.flip(1) + 0.5 - torch.tensor(BOX_MM, device=nodes.device) / 2
    points = points + _at(displacement_mm, points).T
    inside = _at(case.brain[None].float(), points, padding="zeros")[0] > 0.5
    voxels, points = voxels[inside], points[inside]
    images, labels, brain = (
        torch.zeros(field.shape, dtype=field.dtype, device=field.device)
        for field in (case.images, case.labels, case.brain)
    )
    images.flatten(1).index_copy_(1, voxels, _at(case.images, points))
    labels.view(-1).index_copy_(0, voxels, _moved_labels(case.labels, points))
    brain.view(-1).index_fill_(0, voxels, True)
    return LabelledCase(case.name, case.channels, images, labels, brain)


def _moved_labels(labels: Tensor, points_mm: Tensor) -> Tensor:
    """The label with the largest share at points ``[N, 3]``; shares are wanted only where a lesion is near."""
    moved = torch.zeros(len(points_mm), dtype=torch.uint8, device=labels.device)
    touched = _at((labels > 0)[None].float(), points_mm)[0] > 0
    if bool(touched.any()):
        masks = torch.stack([labels == value for value in range(int(labels.max()) + 1)])
        moved[touched] = _at(masks.float(), points_mm[touched]).argmax(0).to(torch.uint8)
    return moved


def _near_brain(brain: Tensor, displacement_mm: Tensor) -> Tensor:
    """Indices ``[N, 3]`` (k, j, i) of the voxels whose surroundings the displacement pulls from near the brain."""
    step = int(GUARD_SPACING_MM)
    points = box_points(GUARD_SPACING_MM, brain.device)
    points = points + sample(displacement_mm, points).permute(1, 2, 3, 0)
    coarse = sample(F.max_pool3d(brain[None].float(), step), points) > 0
    near = F.interpolate(F.max_pool3d(coarse.float(), 3, 1, 1)[None], scale_factor=step)
    return near[0, 0].nonzero()


def _at(field: Tensor, points_mm: Tensor, padding: str = "border") -> Tensor:
    """Values ``[C, N]`` of a box field at a list of points ``[N, 3]``."""
    return sample(field, points_mm[None, None], padding)[:, 0, 0]
