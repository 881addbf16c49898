"""A made-up picture with one target among other things."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt, gaussian_filter

from oncoprompt.synthesis.pictures.looks import LOOK_SHARES, LOOKS, as_stored, coloured
from oncoprompt.synthesis.pictures.noise import smooth_noise, texture
from oncoprompt.synthesis.pictures.picture import PictureWithTarget
from oncoprompt.synthesis.pictures.shapes import Mask, partition, random_shape, region_of

SIDE = 176
"""Rows and columns of a made-up picture."""

Plane = NDArray[np.float32]


def random_picture(rng: np.random.Generator) -> PictureWithTarget:
    """A picture of SIDE x SIDE pixels drawn from a generator; the target is never empty."""
    labels = partition(rng, SIDE)
    region = region_of(rng, labels) if rng.random() < 0.35 else None
    mask = random_shape(rng, SIDE) if region is None else region
    plane = _surroundings(rng, labels)
    if region is None:
        plane = _with_others(rng, plane, mask)
        plane = _with_target(rng, plane, mask)
    plane = gaussian_filter(plane, rng.uniform(0, 1.0))
    soft = gaussian_filter(mask.astype(np.float32), 1.0)
    if rng.random() < 0.22:
        image = coloured(rng, plane, soft)
    else:
        look = LOOKS[rng.choice(len(LOOKS), p=LOOK_SHARES)]
        image = np.asarray(look(rng, plane, soft), dtype=np.float32)
    return PictureWithTarget(as_stored(rng, image), _as_outlined(rng, mask))


def _surroundings(rng: np.random.Generator, labels: NDArray[np.int64]) -> Plane:
    """Brightness of tissues: a level and a texture for each region, or one ground for all, perhaps in a body."""
    count = int(labels.max()) + 1
    spread = rng.choice([0.05, 0.15, 0.35])
    levels = np.clip(rng.normal(rng.uniform(0.25, 0.75), spread, count), 0, 1)
    grain = np.abs(rng.normal(0, 0.06, count))
    plane = levels[labels] + grain[labels] * texture(rng, SIDE)
    plane = plane + rng.uniform(0, 0.15) * smooth_noise(rng, SIDE, 3)[0]
    if rng.random() < 0.3:
        y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
        reach = np.hypot(x / rng.uniform(0.35, 0.8), y / rng.uniform(0.35, 0.8))
        outside = reach + 0.05 * smooth_noise(rng, SIDE, 5)[0] > 1
        plane = np.where(outside, rng.choice([0.0, 0.0, 1.0]), plane)
    return np.asarray(plane, dtype=np.float32)


def _with_others(rng: np.random.Generator, plane: Plane, mask: Mask) -> Plane:
    """Other things near the target, some as bright as it may be."""
    for _ in range(int(rng.integers(0, 4))):
        other = random_shape(rng, SIDE) & ~mask
        plane = np.where(other, rng.uniform(0, 1) + 0.05 * texture(rng, SIDE), plane)
    return plane


def _with_target(rng: np.random.Generator, plane: Plane, mask: Mask) -> Plane:
    """The target painted in: a level apart from its ground, texture, and perhaps a rim, a core, a slope, spots."""
    ring = binary_dilation(mask, iterations=6) & ~mask
    ground = float(plane[ring].mean()) if ring.any() else 0.5
    contrast = rng.choice([-1, 1]) * (0.04 + rng.gamma(1.6, 0.12))
    level = ground + contrast
    inner = np.full(plane.shape, level, dtype=np.float32) + abs(rng.normal(0, 0.06)) * texture(rng, SIDE)
    depth = distance_transform_edt(mask)
    deepest = max(float(depth.max()), 1.0)
    if rng.random() < 0.3:
        core = depth + 0.15 * deepest * smooth_noise(rng, SIDE, 10)[0] > deepest * rng.uniform(0.15, 0.7)
        inner = np.where(core, ground + rng.normal(0, 0.25), inner)
    if rng.random() < 0.3:
        inner = inner + rng.uniform(-0.4, 0.4) * abs(contrast) * smooth_noise(rng, SIDE, 3)[0]
    if rng.random() < 0.25:
        spots = smooth_noise(rng, SIDE, int(rng.integers(12, 40)))[0] > rng.uniform(0.8, 1.8)
        inner = np.where(spots, rng.uniform(0, 1), inner)
    if rng.random() < 0.3:
        # part of the target shows what lies beneath it
        inner = inner + (plane - inner) * rng.uniform(0, 0.5)
    edge = rng.choice([0.3, 0.8, 1.5, 3.0], p=[0.35, 0.35, 0.2, 0.1])
    share = gaussian_filter(mask.astype(np.float32), edge)
    if rng.random() < 0.15:
        # the border is lost on one side
        fade = np.clip(0.6 + smooth_noise(rng, SIDE, 3)[0], 0.15, 1)
        share = share * fade
    if rng.random() < 0.15:
        rim = (depth > 0) & (depth < rng.uniform(1.5, 4))
        inner = np.where(rim, ground - contrast * rng.uniform(0.2, 1.0), inner)
    return np.asarray(plane * (1 - share) + inner * share, dtype=np.float32)


def _as_outlined(rng: np.random.Generator, mask: Mask) -> Mask:
    """The outline as a person draws it: exact, a little wide, or a little narrow."""
    draw = rng.random()
    if draw < 0.12:
        return np.asarray(binary_dilation(mask, iterations=int(rng.integers(1, 3))))
    if draw < 0.18:
        narrow = binary_erosion(mask)
        return narrow if np.count_nonzero(narrow) > np.count_nonzero(mask) // 2 else mask
    return mask
