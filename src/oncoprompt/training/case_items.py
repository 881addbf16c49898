"""Training items from labelled cases: real, mixed or injected, each seen anew every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cc3d
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncoprompt.geometry.resample import ANTI_ALIAS_ABOVE
from oncoprompt.synthesis.anatomy import LOW_SPACING_MM
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import BOX_MM, box_points
from oncoprompt.synthesis.subject import Picture
from oncoprompt.training.augmentation import NO_CHANGE, Augmentation
from oncoprompt.training.items import ItemConfig, TrainingItem, draw_item, in_whole_tumour, regions_of

_LEAST_PART_ML = 1.0
_REACH = 5


@dataclass(frozen=True)
class CaseItems:
    """Endless items of labelled cases; ``item(index)`` depends on the seed and the index alone."""

    cases: Sequence[LabelledCase]
    config: ItemConfig
    seed: int = 0
    augment: bool = True

    def item(self, index: int) -> TrainingItem:
        """Draw a case, the changes it is seen with, and item ``index`` of it."""
        rng = np.random.default_rng([self.seed, index])
        case = self.cases[int(rng.integers(len(self.cases)))]
        change = Augmentation.random(rng, len(case.channels)) if self.augment else NO_CHANGE
        return draw_item(CasePatient(case, change), self.config, rng)


@dataclass(frozen=True)
class CasePatient:
    """A labelled case as a patient, changed by an augmentation."""

    case: LabelledCase
    change: Augmentation = NO_CHANGE

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of the case."""
        return self.case.channels

    @property
    def scattered(self) -> bool:
        """Whether at least two parts of the tumour have a millilitre."""
        parts, count = cc3d.connected_components(
            in_whole_tumour(self.label_map()).numpy(), connectivity=26, return_N=True
        )
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:] * LOW_SPACING_MM**3 / 1000.0
        return int((sizes >= _LEAST_PART_ML).sum()) > 1

    def label_map(self) -> Tensor:
        """Labels of the changed case at 2 mm."""
        return self._low[0]

    def brain(self) -> Tensor:
        """Brain mask of the changed case at 2 mm."""
        return self._low[1] > 0

    def picture(self, points_mm: Tensor, spacing_mm: tuple[float, float, float]) -> Picture:
        """The case at points of the changed head, averaged where the points lie further apart than its voxels."""
        there = self.change.to_case(points_mm)
        window = _Window.around(there)
        case = self.case
        brain = window.sample(window.cut(case.brain)[None].float())[0] > 0.5
        images = window.sample(_smoothed(window.cut(case.images), spacing_mm))
        images = self.change.disturb(self.change.contrast(images, self._top), brain, spacing_mm)
        return Picture(images, _labels(window, window.cut(case.labels)), brain)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the brain, after the change of contrast."""
        values = self.change.contrast(self._values, self._top)
        return values.mean(1), values.std(1).clamp_min(1e-6)

    @cached_property
    def _low(self) -> Tensor:
        """Labels and brain ``[2, K, J, I]`` uint8 at 2 mm; a voxel has the greatest of the labels that it holds."""
        there = self.change.to_case(box_points(LOW_SPACING_MM, torch.device("cpu")))
        return _nearest(torch.stack([self.case.labels, self.case.brain.to(torch.uint8)]), there)

    @cached_property
    def _values(self) -> Tensor:
        """Intensities ``[C, N]`` of every second voxel of the brain along each axis."""
        every = slice(None, None, 2)
        return self.case.images[:, every, every, every][:, self.case.brain[every, every, every]]

    @cached_property
    def _top(self) -> Tensor:
        return self._values[:, ::8].abs().quantile(0.99, dim=1).clamp_min(1e-6)


def _nearest(fields: Tensor, points_mm: Tensor) -> Tensor:
    """Values ``[C, ...]`` of the voxels of 1 mm fields that hold the points, zero outside the head box."""
    index = [((points_mm[..., axis] + BOX_MM[axis] / 2).floor().long()) for axis in range(3)]
    inside = torch.stack([(i >= 0) & (i < int(n)) for i, n in zip(index, BOX_MM, strict=True)]).all(dim=0)
    i, j, k = (line.clamp(0, int(n) - 1) for line, n in zip(index, BOX_MM, strict=True))
    return fields[:, k, j, i] * inside


@dataclass(frozen=True)
class _Window:
    """The voxels of the 1 mm head box around some points, and the points ``[1, k, j, i, 3]`` relative to them."""

    bounds: tuple[slice, slice, slice]
    grid: Tensor

    @classmethod
    def around(cls, points_mm: Tensor) -> _Window:
        size = torch.tensor(BOX_MM)
        voxels = points_mm + size / 2
        low = (voxels.flatten(0, -2).amin(0).floor() - _REACH).clamp_min(0).minimum(size - 1)
        high = (voxels.flatten(0, -2).amax(0).ceil() + _REACH).minimum(size).maximum(low + 1)
        first, last = low.int().tolist(), high.int().tolist()
        i, j, k = (slice(a, b) for a, b in zip(first, last, strict=True))
        return cls((k, j, i), ((voxels - low) / (high - low) * 2 - 1)[None])

    def cut(self, field: Tensor) -> Tensor:
        """The window of a field ``[..., K, J, I]``."""
        return field[(..., *self.bounds)]

    def sample(self, field: Tensor) -> Tensor:
        """Trilinear values ``[C, k, j, i]`` of a field ``[C, ...]`` of the window; zero outside the head box."""
        values: Tensor = F.grid_sample(field[None], self.grid, padding_mode="zeros", align_corners=False)[0]
        return values


def _labels(window: _Window, labels: Tensor) -> Tensor:
    """Labels at the points: each region, and the cavity, where its mask interpolates to more than a half."""
    masks = torch.cat([regions_of(labels), (labels == 4).to(torch.uint8)[None]])
    whole, core, enhancing, cavity = window.sample(masks.float()) > 0.5
    out = torch.zeros(whole.shape, dtype=torch.uint8)
    for mask, label in ((whole, 2), (core, 1), (enhancing, 3), (cavity, 4)):
        out[mask] = label
    return out


def _smoothed(images: Tensor, spacing_mm: tuple[float, float, float]) -> Tensor:
    """Images ``[C, K, J, I]`` of 1 mm blurred as `geometry.resample` does before it samples further apart."""
    for axis, step in enumerate(spacing_mm, start=1):
        if step > ANTI_ALIAS_ABOVE:
            line = torch.arange(images.shape[axis], dtype=torch.float32)
            weights = torch.exp(-3.0 * (line[None] - line[:, None]) ** 2 / (step**2 - 1.0))
            weights = weights / weights.sum(1, keepdim=True)
            # dense matrices: a fraction of the time of a sliding kernel at these sizes
            images = (weights @ images.flatten(axis + 1)).view(images.shape) if axis < 3 else images @ weights.T
    return images
