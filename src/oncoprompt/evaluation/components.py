"""Connected components of a mask as lesions: near ones joined, matched with those of another mask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.optimize import linear_sum_assignment

Box = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Components:
    """Components of a mask: numbers 1..N (I, J, K), and for each its box in the array and its voxels."""

    labels: NDArray[np.uint32]
    boxes: tuple[Box, ...]
    voxels: NDArray[np.int64]

    @classmethod
    def of(cls, mask: NDArray[np.bool_], dilation: int = 0) -> Components:
        """26-connected components of a mask, or of the mask dilated so many times, cut back to it."""
        grown = dilated(np.pad(mask, dilation), dilation)
        labels = cc3d.connected_components(grown, connectivity=26, binary_image=True, out_dtype=np.uint32)
        inner = tuple(slice(dilation, dilation + n) for n in mask.shape)
        return cls._numbered(np.where(mask, labels[inner], 0))

    @classmethod
    def _numbered(cls, labels: NDArray[np.uint32]) -> Components:
        boxes = tuple(find_objects(labels.view(np.int32)))
        return cls(labels, boxes, np.bincount(labels.reshape(-1), minlength=len(boxes) + 1)[1:])

    def __len__(self) -> int:
        return len(self.boxes)

    def larger_than(self, voxels: float) -> Components:
        """Those of more than so many voxels, numbered anew in their order."""
        kept = self.voxels > voxels
        if kept.all():
            return self
        numbers = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.uint32)
        return self._numbered(numbers[self.labels])

    def mask(self, numbers: Iterable[int], box: Box) -> NDArray[np.bool_]:
        """Where in a box the components of those numbers are."""
        wanted = np.zeros(len(self) + 1, dtype=bool)
        wanted[list(numbers)] = True
        return np.asarray(wanted[self.labels[box]])


def dilated(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """The mask dilated so many times with the 18-neighbourhood: the squares of the three planes through a voxel."""
    for _ in range(times):
        i, j = _spread(mask, 0), _spread(mask, 1)
        mask = _spread(i, 1) | _spread(i, 2) | _spread(j, 2)
    return mask


def touching(truth: Components, prediction: Components, dilation: int) -> list[list[int]]:
    """For each component of the truth, the predicted ones that its dilation touches; one may touch several."""
    found = []
    for number, box in enumerate(truth.boxes, start=1):
        near = tuple(slice(max(0, s.start - dilation), s.stop + dilation) for s in box)
        reach = dilated(truth.labels[near] == number, dilation)
        touched = np.unique(prediction.labels[near][reach])
        found.append([int(other) for other in touched if other])
    return found


def paired(truth: Components, prediction: Components, smallest_dice: float) -> list[list[int]]:
    """For each component of the truth, the predicted one it is paired with, if any.

    Pairs are one to one, have the largest possible sum of Dice, and reach `smallest_dice` each.
    """
    found: list[list[int]] = [[] for _ in truth.boxes]
    both = (truth.labels > 0) & (prediction.labels > 0)
    meetings = np.stack([truth.labels[both], prediction.labels[both]], axis=-1)
    pairs, common = np.unique(meetings, axis=0, return_counts=True)
    # Components that meet none are left out: a map of noise has thousands of them.
    rows, row = np.unique(pairs[:, 0], return_inverse=True)
    columns, column = np.unique(pairs[:, 1], return_inverse=True)
    dice = np.zeros((len(rows), len(columns)))
    dice[row, column] = 2.0 * common / (truth.voxels[pairs[:, 0] - 1] + prediction.voxels[pairs[:, 1] - 1])
    for r, c in zip(*linear_sum_assignment(dice, maximize=True), strict=True):
        if dice[r, c] >= smallest_dice:
            found[int(rows[r]) - 1] = [int(columns[c])]
    return found


def covering(boxes: Iterable[Box]) -> Box:
    """The smallest box around boxes."""
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def _spread(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """The mask and its neighbours along an axis."""
    out = mask.copy()
    to, of = np.moveaxis(out, axis, 0), np.moveaxis(mask, axis, 0)
    to[1:] |= of[:-1]
    to[:-1] |= of[1:]
    return out
