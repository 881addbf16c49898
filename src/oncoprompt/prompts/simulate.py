"""Simulated users for training and benchmarks: boxes that are not quite right, clicks inside a lesion."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oncoprompt.errors import InputError


def jitter_box(
    box_voxels: ArrayLike, fraction: float, rng: np.random.Generator, shape: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Half-open box (3, 2) with each of its six sides moved by uniform(-fraction, +fraction) of the side length.

    Sides are rounded to voxels and clipped to the grid of `shape`; the box stays at least one voxel thick. Raises
    InputError for an inverted box, a box outside the grid, or a negative fraction.
    """
    box = np.asarray(box_voxels, dtype=np.float64)
    sizes = np.asarray(shape, dtype=np.int64)
    if box.shape != (3, 2) or np.any(box[:, 1] <= box[:, 0]) or np.any(box[:, 1] <= 0) or np.any(box[:, 0] >= sizes):
        raise InputError(f"Cannot move the sides of box {box.tolist()} on a grid of {tuple(shape)}.")
    if not 0.0 <= fraction < np.inf:
        raise InputError(f"The fraction by which sides move must not be negative; found {fraction}.")
    side = box[:, 1:] - box[:, :1]
    moved = np.round(box + rng.uniform(-fraction, fraction, size=(3, 2)) * side).astype(np.int64)
    low = np.clip(moved.min(axis=1), 0, sizes - 1)
    high = np.clip(moved.max(axis=1), low + 1, sizes)
    return np.stack([low, high], axis=1)


def random_clicks(mask: NDArray[np.generic], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Voxels (count, 3) drawn uniformly from `mask` (I, J, K), without repetition while there are enough.

    Raises InputError for an empty mask or a negative count.
    """
    inside = np.flatnonzero(mask)
    if inside.size == 0 or count < 0:
        raise InputError(f"Cannot draw {count} clicks from a mask of {inside.size} voxels.")
    chosen = rng.choice(inside, size=count, replace=count > inside.size)
    return np.stack(np.unravel_index(chosen, mask.shape), axis=1).astype(np.int64)
