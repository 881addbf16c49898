"""A labelled case in the head box: where real, mixed, injected and synthetic studies meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, mask_bounds
from oncoprompt.geometry.resample import resample
from oncoprompt.study import LabelMap, Study, convert
from oncoprompt.study.foreground import foreground_mask
from oncoprompt.synthesis.fields import BOX_MM
from oncoprompt.synthesis.relaxometry import CHANNELS

SCHEMA = "brats2024-gli"
"""Labels of every case in the head box: 1 NETC, 2 SNFH, 3 ET, 4 RC."""


@dataclass(frozen=True)
class LabelledCase:
    """Images ``[C, K, J, I]`` of named channels, labels ``[K, J, I]`` uint8 in SCHEMA and the brain mask, at 1 mm.

    The array covers the head box (fields.BOX_MM, axes R, A, S) with the brain in its middle; images are zero outside
    the mask and otherwise on the scale they came with.
    """

    name: str
    channels: tuple[str, ...]
    images: Tensor
    labels: Tensor
    brain: Tensor

    @classmethod
    def of_study(cls, study: Study, label_map: LabelMap) -> LabelledCase:
        """Bring a real study into the head box; raises InputError where the grids differ or no MRI channel is there."""
        if not study.grid.matches(label_map.grid):
            raise InputError(
                f"Case '{study.name}': the label map lies on another grid than the images: "
                f"{study.grid.difference(label_map.grid)} first."
            )
        names = tuple(name for name in CHANNELS if name in study.channels)
        if not names:
            raise InputError(
                f"Case '{study.name}' has none of the channels {', '.join(CHANNELS)}. "
                f"Found: {', '.join(study.channels)}."
            )
        foreground = np.logical_or.reduce([foreground_mask(study.channels[name]) for name in names])
        grid = head_grid_round(study.grid, foreground)
        labels = convert(label_map.labels, label_map.schema, SCHEMA, merge={"CC": "NETC"})
        brain = _box_array(resample(foreground.astype(np.uint8), study.grid, grid, order=0)) > 0
        images = [_box_array(resample(study.channels[name], study.grid, grid)) for name in names]
        return cls(
            name=study.name,
            channels=names,
            images=torch.from_numpy(np.stack(images)) * torch.from_numpy(brain),
            labels=torch.from_numpy(_box_array(resample(labels, study.grid, grid, order=0))),
            brain=torch.from_numpy(brain),
        )

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the brain, ``[C]``."""
        values = self.images[:, self.brain]
        return values.mean(1), values.std(1).clamp_min(1e-6)

    def study(self) -> Study:
        """The images as a study on the head box's grid."""
        return Study(
            {name: as_volume(image) for name, image in zip(self.channels, self.images, strict=True)},
            head_grid(),
            name=self.name,
        )


def head_grid() -> Grid:
    """The 1 mm grid of the head box, its middle at the origin."""
    affine = np.eye(4)
    affine[:3, 3] = [0.5 - extent / 2 for extent in BOX_MM]
    return Grid((int(BOX_MM[0]), int(BOX_MM[1]), int(BOX_MM[2])), affine)


def as_volume(field: Tensor) -> NDArray[Any]:
    """A field ``[K, J, I]`` as an array (I, J, K)."""
    return np.ascontiguousarray(field.permute(2, 1, 0).cpu().numpy())


def _box_array(volume: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(volume.transpose(2, 1, 0))


def head_grid_round(grid: Grid, brain: NDArray[np.bool_]) -> Grid:
    """The head box's grid moved, in the world of a scan, so that its middle is the middle of the brain."""
    bounds = mask_bounds(brain) if brain.any() else np.array([[0, n] for n in grid.shape])
    # Rounded so that the voxels of a 1 mm scan stay whole: half a voxel off, interpolation would blur them all.
    bounds[:, 1] += bounds.sum(axis=1) % 2
    corners: Sequence[tuple[float, float, float]] = [
        (i - 0.5, j - 0.5, k - 0.5) for i in bounds[0] for j in bounds[1] for k in bounds[2]
    ]
    world = np.asarray(corners) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    head = head_grid()
    affine = head.affine.copy()
    affine[:3, 3] += (world.min(axis=0) + world.max(axis=0)) / 2
    return Grid(head.shape, affine)
