"""A stored head seen anew: another pose, other contrast, thick slices, channels that do not quite fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncoprompt.geometry import mask_bounds
from oncoprompt.geometry.resample import ANTI_ALIAS_ABOVE
from oncoprompt.methods.tags.vocabulary import BRAIN
from oncoprompt.synthesis.anatomy import LOW_SPACING_MM
from oncoprompt.synthesis.fields import BOX_MM, box_points
from oncoprompt.training.augmentation import Augmentation
from oncoprompt.training.items import regions_of
from oncoprompt.training.stored_heads import StoredHead
from oncoprompt.training.tags_scenes import Crop, Overview, View

_REACH = 4
_WIDER_GAMMA = 1.6
_SEARCH_MARGIN_MM = 4.0


@dataclass(frozen=True)
class Acquisition:
    """How the channels of a study were measured: slices and displacements, one entry a channel.

    ``slice_mm``: thickness of the slices along an axis of (D, H, W), 0 for as thin as the crop's voxels. ``shift_mm``
    moves a channel (R, A, S) against the labels.
    """

    axes: tuple[int, ...]
    slice_mm: tuple[float, ...]
    shift_mm: tuple[tuple[float, float, float], ...]

    @staticmethod
    def random(rng: np.random.Generator, channels: int, thick_share: float, shift_share: float) -> Acquisition:
        """Slices of 3 to 7 mm with ``thick_share``, mostly along one axis; shifts up to 2 mm with ``shift_share``."""
        thick = rng.random() < thick_share
        axis, slice_mm = int(rng.choice(3, p=(0.7, 0.15, 0.15))), rng.uniform(3.0, 7.0)
        axes, sizes = [axis] * channels, [slice_mm if thick else 0.0] * channels
        for channel in range(channels):
            if thick and rng.random() < 0.25:
                # one of the scans of such a study is often a volume, or lies across the others
                axes[channel], sizes[channel] = int(rng.integers(3)), float(rng.choice([0.0, rng.uniform(3.0, 7.0)]))
        moved = rng.random() < shift_share
        shifts = [tuple(rng.uniform(-1.2, 1.2, 3)) if moved and rng.random() < 0.5 else (0.0,) * 3 for _ in axes]
        return Acquisition(tuple(axes), tuple(sizes), tuple((float(x), float(y), float(z)) for x, y, z in shifts))


@dataclass(frozen=True)
class HeadScene:
    """A stored head as training items look at it: changed by an augmentation, measured by an acquisition.

    ``brain_found``: intensities and the region of a search are those of the brain, as for stripped scans; otherwise of
    all that is shown.
    """

    head: StoredHead
    change: Augmentation
    acquisition: Acquisition
    brain_found: bool

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of the head."""
        return self.head.channels

    @property
    def words(self) -> tuple[str, ...]:
        """Kinds of tumour that people may ask for in a head."""
        return BRAIN

    def overview(self) -> Overview:
        """Whole tumours of each kind at 2 mm, and the bounds of a search."""
        corner = -np.array(BOX_MM) / 2
        labels = dict(zip(self.head.kinds, self._low[2:], strict=True))
        tumours = {kind: ((label > 0) & (label < 4)).numpy() for kind, label in labels.items()}
        cores = {kind: ((label == 1) | (label == 3)).numpy() for kind, label in labels.items()}
        searched = self._low[0] if self.brain_found else self._low[1]
        bounds = mask_bounds(searched.numpy() > 0)[::-1] * LOW_SPACING_MM + corner[:, None]
        bounds = bounds + np.array([[-_SEARCH_MARGIN_MM, _SEARCH_MARGIN_MM]])
        some = {kind: mask for kind, mask in tumours.items() if mask.any()}
        return Overview(some, corner, LOW_SPACING_MM, bounds, cores)

    def view(self, crop: Crop) -> View:
        """Images as measured and labels of a crop; the brain is the anatomy of all kinds."""
        head, spacing = self.head, (crop.spacing_mm,) * 3
        there = self.change.to_case(crop.points())
        window = _Window.around(there, head)
        brain = window.sample(window.cut(head.brain)[None].float())[0] > 0.5
        images = window.sample(_smoothed(window.cut(head.images).float(), crop.spacing_mm, head.spacing_mm))
        for channel, shift in enumerate(self.acquisition.shift_mm):
            if any(shift):
                moved = window.moved(shift)
                images[channel] = moved.sample(window.cut(head.images)[channel : channel + 1].float())[0]
        images = self.change.contrast(images, self._top)
        for channel, (axis, mm) in enumerate(zip(self.acquisition.axes, self.acquisition.slice_mm, strict=True)):
            if mm > crop.spacing_mm:
                images[channel] = in_slices(images[channel], axis, mm / crop.spacing_mm)
        images = self.change.disturb(images, brain if head.stripped else torch.ones_like(brain), spacing)
        labels = {kind: window.labels(window.cut(label)) for kind, label in zip(head.kinds, head.labels, strict=True)}
        return View(images, labels, dict.fromkeys(self.words, brain))

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over what is looked at, about as the changed contrast has it."""
        row = 0 if self.brain_found else 1
        mean, std = self.head.mean[row], self.head.std[row]
        # a power changes the spread by its slope at the mean
        slope = self.change.contrast(mean + 0.05 * std, self._top) - self.change.contrast(mean - 0.05 * std, self._top)
        return self.change.contrast(mean, self._top), (slope * 10.0).abs().clamp_min(1e-3)

    @cached_property
    def _top(self) -> Tensor:
        return (self.head.mean[0] + 2.0 * self.head.std[0]).clamp_min(1e-3)

    @cached_property
    def _low(self) -> Tensor:
        """Brain, what is shown, and the labels of each kind ``[2 + N, K, J, I]`` uint8 at 2 mm, nearest voxels."""
        head = self.head
        there = self.change.to_case(box_points(LOW_SPACING_MM, torch.device("cpu")))
        voxels = (there - torch.tensor(head.corner_mm)) / head.spacing_mm
        i, j, k = (voxels[..., axis].floor().long() for axis in range(3))
        size = head.brain.shape
        inside = (i >= 0) & (j >= 0) & (k >= 0) & (i < size[2]) & (j < size[1]) & (k < size[0])
        i, j, k = i.clamp(0, size[2] - 1), j.clamp(0, size[1] - 1), k.clamp(0, size[0] - 1)
        fields = torch.cat([head.brain[None], torch.ones_like(head.brain)[None], head.labels])
        return fields[:, k, j, i] * inside


def in_slices(image: Tensor, axis: int, voxels: float) -> Tensor:
    """An image ``[D, H, W]`` as slices of ``voxels`` voxels along an axis show it, interpolated back linearly."""
    count = image.shape[axis]
    centres = torch.arange(0.5 * voxels, count + 0.5 * voxels, voxels)
    line = torch.arange(count, dtype=torch.float32) + 0.5
    share = (0.5 * voxels + 0.5 - (line[None] - centres[:, None]).abs()).clamp(0.0, 1.0)
    share = share / share.sum(1, keepdim=True).clamp_min(1e-6)
    back = (1.0 - (line[:, None] - centres[None]).abs() / voxels).clamp_min(0.0)
    back = back / back.sum(1, keepdim=True).clamp_min(1e-6)
    matrix = back @ share
    return torch.movedim(torch.tensordot(matrix, image, dims=([1], [axis])), 0, axis).contiguous()


@dataclass(frozen=True)
class _Window:
    """The voxels of a stored head around some points, and the points ``[1, k, j, i, 3]`` in grid_sample's numbers."""

    bounds: tuple[slice, slice, slice]
    grid: Tensor
    voxel: Tensor

    @classmethod
    def around(cls, points_mm: Tensor, head: StoredHead) -> _Window:
        size = torch.tensor([float(n) for n in reversed(head.brain.shape)])
        voxels = (points_mm - torch.tensor(head.corner_mm)) / head.spacing_mm
        low = (voxels.flatten(0, -2).amin(0).floor() - _REACH).clamp_min(0).minimum(size - 1)
        high = (voxels.flatten(0, -2).amax(0).ceil() + _REACH).minimum(size).maximum(low + 1)
        (x0, y0, z0), (x1, y1, z1) = low.int().tolist(), high.int().tolist()
        grid = ((voxels - low) / (high - low) * 2 - 1)[None]
        return cls((slice(z0, z1), slice(y0, y1), slice(x0, x1)), grid, 2.0 / ((high - low) * head.spacing_mm))

    def cut(self, field: Tensor) -> Tensor:
        """The window of a field ``[..., K, J, I]``."""
        return field[(..., *self.bounds)]

    def moved(self, shift_mm: Sequence[float]) -> _Window:
        """The same window seen from points moved by (R, A, S)."""
        return _Window(self.bounds, self.grid + torch.tensor(shift_mm) * self.voxel, self.voxel)

    def sample(self, field: Tensor) -> Tensor:
        """Linear values ``[C, k, j, i]`` of a field ``[C, ...]`` of the window; zero outside of the head."""
        values: Tensor = F.grid_sample(field[None], self.grid, padding_mode="zeros", align_corners=False)[0]
        return values

    def labels(self, labels: Tensor) -> Tensor:
        """Labels at the points: each region, and the cavity, where its mask interpolates to more than a half."""
        out = torch.zeros(self.grid.shape[1:4], dtype=torch.uint8)
        if not labels.any():
            return out
        masks = torch.cat([regions_of(labels), (labels == 4).to(torch.uint8)[None]])
        whole, core, enhancing, cavity = self.sample(masks.float()) > 0.5
        for mask, label in ((whole, 2), (core, 1), (enhancing, 3), (cavity, 4)):
            out[mask] = label
        return out


def _smoothed(images: Tensor, spacing_mm: float, stored_mm: float) -> Tensor:
    """Images ``[C, K, J, I]`` blurred as `geometry.resample` does before it samples further apart."""
    step = spacing_mm / stored_mm
    if step <= ANTI_ALIAS_ABOVE:
        return images
    # three weights with the variance of that Gaussian, as far as three can have it
    side = min((step**2 - 1.0) / 12.0, 1.0 / 3.0)
    for axis in range(1, 4):
        count = images.shape[axis]
        middle = images.narrow(axis, 1, count - 2)
        beside = images.narrow(axis, 0, count - 2) + images.narrow(axis, 2, count - 2)
        middle = middle.mul(1.0 - 2.0 * side).add_(beside, alpha=side)
        first, last = images.narrow(axis, 0, 1), images.narrow(axis, count - 1, 1)
        images = torch.cat([first, middle, last], dim=axis)
    return images


def random_scene(
    head: StoredHead, rng: np.random.Generator, thick_share: float, shift_share: float, brain_found_share: float
) -> HeadScene:
    """A head with changes drawn at random; stripped heads are always looked at as what there is."""
    change = Augmentation.random(rng, len(head.channels))
    if change.gamma is not None:
        # synthetic oedema stands out more than real oedema often does
        change = replace(change, gamma=tuple(gamma**_WIDER_GAMMA for gamma in change.gamma))
    thick = thick_share if not head.stripped else 0.3 * thick_share
    acquisition = Acquisition.random(rng, len(head.channels), thick, shift_share)
    found = head.stripped or bool(rng.random() < brain_found_share)
    return HeadScene(head, change, acquisition, found)
