"""Cubes that TAGS looks at: around clicks, over a box, as windows over an organ; and their way back to the study."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from monai.data.utils import compute_importance_map, dense_patch_slices
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from oncoprompt.geometry import Grid, resample, roi_grid
from oncoprompt.methods.interface import RegionProbabilities

_SAME_MM = 1e-4


@dataclass(frozen=True)
class CropPolicy:
    """A crop has `side` voxels of `voxel_mm` along each of the study's axes; the published one 128 of 1 mm.

    overlap: of neighbouring windows, as a share of the side. reach: clicks further apart than this share of the side
    get crops of their own; the released code has one crop whatever the clicks, which is a reach of infinity. margin: a
    click this share of the side or more from a crop's faces is seen well enough not to need a new crop.
    """

    side: int = 128
    voxel_mm: float = 1.0
    overlap: float = 0.5
    reach: float = 0.75
    margin: float = 0.125

    @property
    def side_mm(self) -> float:
        """Length of a side."""
        return self.side * self.voxel_mm

    def over(self, grid: Grid, box_voxels: ArrayLike) -> list[Grid]:
        """Crops over a half-open voxel box (3, 2) of a study's grid: one centred on it, or windows if it is larger."""
        box = np.asarray(box_voxels, dtype=np.float64)
        spacing = np.asarray(grid.spacing_mm)
        lack = np.maximum(self.side_mm / spacing - (box[:, 1] - box[:, 0]), 0.0)
        low = box[:, 0] - lack / 2
        # A scan with the crop's spacing is cut at its own voxels, which keeps them sharp.
        low = np.where(np.abs(spacing - self.voxel_mm) < _SAME_MM, np.round(low), low)
        whole = roi_grid(grid, np.stack([low, low + box[:, 1] - box[:, 0] + lack], axis=1), self.voxel_mm, 1)
        step = max(1, round(self.side * (1.0 - self.overlap)))
        windows = dense_patch_slices(whole.shape, (self.side,) * 3, (step,) * 3)
        return [whole.part([(side.start, side.stop) for side in window]) for window in windows]

    def groups(self, grid: Grid, points_mm: ArrayLike) -> list[NDArray[np.float64]]:
        """Clicks (N, 3) in world mm, parted so that those of one group (n, 3) fit into one crop.

        Complete linkage by the largest distance along any of the study's axes.
        """
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        if len(points) < 2:
            return [points]
        along = grid.to_voxels(points) * np.asarray(grid.spacing_mm)
        tree = linkage(along, method="complete", metric="chebyshev")
        number = fcluster(tree, self.reach * self.side_mm, criterion="distance")
        return [points[number == n] for n in np.unique(number)]

    def around(self, grid: Grid, points_mm: ArrayLike) -> Grid:
        """The crop centred at the mid-range of clicks (N, 3) in world mm."""
        voxels = grid.to_voxels(np.asarray(points_mm, dtype=np.float64).reshape(-1, 3))
        middle = (voxels.min(axis=0) + voxels.max(axis=0)) / 2.0
        return self.over(grid, np.stack([middle, middle + 1.0], axis=1))[0]

    def holds(self, crop: Grid, points_mm: ArrayLike) -> bool:
        """Whether all points (N, 3) lie in a crop with `margin` between them and its faces."""
        voxels = crop.to_voxels(np.asarray(points_mm, dtype=np.float64).reshape(-1, 3))
        least = self.margin * self.side - 0.5
        return bool(np.all(voxels >= least) and np.all(voxels <= self.side - 1 - least))


def blended(answers: Iterable[NDArray[np.float32]], crops: Sequence[Grid], grid: Grid) -> RegionProbabilities:
    """Probabilities [D, H, W] of crops (R, A, S) as one answer on the study's grid: WT, with TC and ET zero.

    sum(w p) / sum(w) with a Gaussian w about each crop's middle, 0 where no crop reaches. Each answer is brought back
    before the next is asked for.
    """
    low, high = grid.reach(crops).T
    total, weights = (np.zeros(high - low, dtype=np.float32) for _ in range(2))
    for crop, answer in zip(crops, answers, strict=True):
        bounds = grid.reach([crop])
        window = grid.part(bounds)
        gaussian = np.asarray(compute_importance_map(crop.shape, mode="gaussian").numpy(), dtype=np.float32)
        weight = resample(gaussian, crop, window)
        inside = tuple(slice(a, b) for a, b in (bounds - low[:, None]).tolist())
        total[inside] += weight * resample(np.ascontiguousarray(answer.transpose(2, 1, 0)), crop, window)
        weights[inside] += weight
    values = np.zeros((3, *total.shape), dtype=np.float32)
    np.divide(total, weights, out=values[0], where=weights > 0)
    return RegionProbabilities(np.clip(values, 0.0, 1.0), (int(low[0]), int(low[1]), int(low[2])))
