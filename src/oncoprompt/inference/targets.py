"""The answer of a slice model: every target's probabilities on the scan's grid, a label map, and where it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from oncoprompt.errors import InputError
from oncoprompt.geometry import mask_bounds
from oncoprompt.inference.segmentation import Provenance
from oncoprompt.study import LabelSchema, Study, write_nifti
from oncoprompt.study.output import overwriting, write_output
from oncoprompt.study.picture import is_picture, png_of
from oncoprompt.study.slices import thin_axis

if TYPE_CHECKING:
    from oncoprompt.geometry import Grid

MOST_TARGETS = 255
"""Numbers that a label map of eight bits has."""

SCHEMA = "targets"
"""Name of the label schema of files: the number of a target is that of its prompt, from 1."""

_FLOOR = -10.0
_ALL_OF_ONE = 255


@dataclass(frozen=True, eq=False)
class TargetLogits:
    """Logits (I, J, K) float32 of one target in a window of the study's grid, far below 0 elsewhere.

    ``offset`` is the window's first voxel.
    """

    values: NDArray[np.float32]
    offset: tuple[int, int, int]

    @classmethod
    def cropped(cls, logits: NDArray[np.float32]) -> TargetLogits:
        """The part of logits (I, J, K) of a whole grid that is not far below 0, copied."""
        near = logits > _FLOOR
        bounds = mask_bounds(near) if near.any() else np.array([[0, 1]] * 3)
        window = tuple(slice(low, high) for low, high in bounds.tolist())
        low = bounds[:, 0].tolist()
        return cls(np.array(logits[window], dtype=np.float32, order="C"), (low[0], low[1], low[2]))

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Where the values lie on the grid."""
        i, j, k = (slice(start, start + size) for start, size in zip(self.offset, self.values.shape, strict=True))
        return i, j, k


@dataclass(frozen=True, eq=False)
class TargetSegmentation:
    """Targets numbered from 1 in the order of their prompts, on the study's grid.

    ``plane`` and ``channels`` are what the model was shown, ``intensities`` what was done to the grey levels first.
    ``warnings`` are sentences about the prompts and answers.
    """

    study: Study
    targets: Sequence[TargetLogits]
    provenance: Provenance
    plane: str
    channels: tuple[str, ...]
    intensities: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The study's grid."""
        return self.study.grid

    @property
    def count(self) -> int:
        """Number of targets."""
        return len(self.targets)

    def mask(self, number: int = 1) -> NDArray[np.bool_]:
        """Where a target is more likely than not, (I, J, K), whether or not another is more likely still."""
        target = self._target(number)
        out = np.zeros(self.grid.shape, dtype=bool)
        out[target.window] = target.values > 0
        return out

    def probability(self, number: int = 1) -> NDArray[np.float32]:
        """Probability (I, J, K) of a target, the model's own."""
        target = self._target(number)
        out = np.zeros(self.grid.shape, dtype=np.float32)
        out[target.window] = expit(target.values)
        return out

    def label_map(self) -> NDArray[np.uint8]:
        """Numbers of the targets (I, J, K), 0 for none; where targets overlap the higher logit wins, then the first."""
        labels = np.zeros(self.grid.shape, dtype=np.uint8)
        highest = np.zeros(self.grid.shape, dtype=np.float32)
        for number, target in enumerate(self.targets, start=1):
            wins = target.values > highest[target.window]
            labels[target.window][wins] = number
            highest[target.window][wins] = target.values[wins]
        return labels

    def voxels(self, number: int = 1) -> int:
        """Voxels, or pixels of a picture, of a target's mask."""
        return int(np.count_nonzero(self._target(number).values > 0))

    def volume_ml(self, number: int = 1) -> float | None:
        """Volume of a target's mask in millilitres; None for pictures and for a slice of unknown thickness."""
        unknown = self.study.sizes != "volume" or is_picture(self.study)
        return None if unknown else self.voxels(number) * self.grid.voxel_volume_ml

    def area_mm2(self, number: int = 1) -> float | None:
        """Area of a target's mask in a scan one slice thick; None for volumes and for pictures."""
        axis = thin_axis(self.grid)
        if axis is None or is_picture(self.study):
            return None
        return float(self.voxels(number) * np.prod(np.delete(self.grid.spacing_mm, axis)))

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the label map whole or not at all: .nii or .nii.gz on the study's grid, .png for one slice.

        A PNG has the rows and columns of the picture as stored; it is 0 and 255 for one target, numbers for several.
        Raises InputError for other endings, for a PNG of a volume, and where a file is there that OncoPrompt did not
        write, or that was changed since, unless ``overwrite``.
        """
        target = Path(path)
        if not target.name.lower().endswith(".png"):
            write_nifti(target, self.label_map(), like=self.study, schema=_schema(self.count), overwrite=overwrite)
            return
        axis = thin_axis(self.grid)
        if axis is None:
            raise InputError(
                f"'{target.name}' cannot hold a volume of shape {self.grid.shape}; write a .nii.gz file instead."
            )
        if not target.parent.is_dir():
            raise InputError(f"Folder '{target.parent}' does not exist; make it first.")
        labels = np.take(self.label_map(), 0, axis=axis).T
        if self.count == 1:
            labels = labels * np.uint8(_ALL_OF_ONE)
        with overwriting(overwrite):
            write_output(target, png_of(np.ascontiguousarray(labels)))

    def _target(self, number: int) -> TargetLogits:
        if not 1 <= number <= self.count:
            raise InputError(f"There is no target {number}; they are numbered 1 to {self.count}.")
        return self.targets[number - 1]


def _schema(count: int) -> LabelSchema:
    return LabelSchema(SCHEMA, tuple((f"target {number}", number) for number in range(1, count + 1)))
