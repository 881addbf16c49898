"""Outlines of targets and of what surrounds them."""

from collections.abc import Callable

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter

from oncoprompt.synthesis.pictures.noise import smooth_noise, warped

Mask = NDArray[np.bool_]
_LEAST_PIXELS = 60


def random_shape(rng: np.random.Generator, side: int) -> Mask:
    """One target [side, side] of a random kind, size and place; never empty."""
    while True:
        kind = _KINDS[rng.choice(len(_KINDS), p=_SHARES)]
        mask = kind(rng, side)
        if rng.random() < 0.5:
            mask = warped(rng, mask.astype(np.float32), rng.uniform(1.0, 0.05 * side), int(rng.integers(3, 9))) > 0.5
        if np.count_nonzero(mask) >= _LEAST_PIXELS:
            return mask


def partition(rng: np.random.Generator, side: int) -> NDArray[np.int64]:
    """Labels [side, side] of regions that fill the plane, like organs or tissues of a slice."""
    regions = int(rng.integers(2, 12))
    fields = smooth_noise(rng, side, int(rng.integers(3, 12)), regions)
    return np.asarray(np.argmax(fields + rng.normal(0, 0.4, (regions, 1, 1)), axis=0))


def region_of(rng: np.random.Generator, labels: NDArray[np.int64]) -> Mask | None:
    """A connected region of a partition that is neither tiny nor most of the plane, or None."""
    parts = cc3d.connected_components((labels + 1).astype(np.int32), connectivity=4)
    sizes = np.bincount(parts.ravel())
    fitting = np.flatnonzero((sizes >= 2 * _LEAST_PIXELS) & (sizes < 0.3 * labels.size))
    fitting = fitting[fitting > 0]
    return np.asarray(parts == rng.choice(fitting)) if fitting.size else None


def _offsets(rng: np.random.Generator, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Columns and rows seen from a random centre, turned and stretched, and a radius."""
    radius = side * float(np.exp(rng.uniform(np.log(0.06), np.log(0.32))))
    centre = rng.uniform(0.5 * side - 0.15 * side, 0.5 * side + 0.15 * side, 2)
    y, x = np.mgrid[:side, :side] - centre[::-1, None, None]
    angle, stretch = rng.uniform(0, np.pi), float(np.exp(rng.uniform(0, 0.55)))
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    return along / stretch, across * stretch, radius


def _ellipse(rng: np.random.Generator, side: int) -> Mask:
    x, y, radius = _offsets(rng, side)
    power = rng.uniform(1.6, 4.0)
    return np.asarray(np.abs(x) ** power + np.abs(y) ** power < radius**power)


def _star(rng: np.random.Generator, side: int) -> Mask:
    """Smooth to ragged outlines that every ray from the centre crosses once."""
    x, y, radius = _offsets(rng, side)
    angle = np.arctan2(y, x)
    orders = np.arange(1, int(rng.integers(3, 16)))
    amplitude = rng.normal(0, 1, (2, len(orders))) * rng.uniform(0.03, 0.3) / orders ** rng.uniform(0.4, 1.6)
    wave = sum(a * np.cos(n * angle) + b * np.sin(n * angle) for n, a, b in zip(orders, *amplitude, strict=True))
    return np.asarray(np.hypot(x, y) < radius * np.clip(1.0 + wave, 0.25, 2.0))


def _blob(rng: np.random.Generator, side: int) -> Mask:
    """The largest part of a noise field above a level, in an elliptic window: fingers, lobes, bays."""
    x, y, radius = _offsets(rng, side)
    reach = np.hypot(x, y) / radius
    field = smooth_noise(rng, side, int(rng.integers(8, 30)))[0] * rng.uniform(0.2, 0.8) + (1.0 - reach)
    mask = _largest(field > 0)
    return np.asarray(binary_fill_holes(mask)) if rng.random() < 0.8 else mask


def _polygon(rng: np.random.Generator, side: int) -> Mask:
    """A convex polygon, as coarse outlines are."""
    x, y, radius = _offsets(rng, side)
    mask = np.ones((side, side), dtype=bool)
    for angle in np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 14)))):
        mask &= x * np.cos(angle) + y * np.sin(angle) < radius * rng.uniform(0.75, 1.1)
    return mask & (np.hypot(x, y) < 2 * radius)


def _bow(rng: np.random.Generator, side: int) -> Mask:
    """An arc of a ring: crescents, muscle walls, tubes."""
    x, y, radius = _offsets(rng, side)
    reach = np.hypot(x, y)
    thick = radius * rng.uniform(0.12, 0.45)
    arc = np.abs(np.arctan2(y, x)) < rng.uniform(0.4, np.pi)
    return np.asarray((np.abs(reach - radius) < thick) & arc)


def _several(rng: np.random.Generator, side: int) -> Mask:
    """Two or three separate parts that one box holds together."""
    mask = np.zeros((side, side), dtype=bool)
    for _ in range(int(rng.integers(2, 4))):
        mask |= _star(rng, side) if rng.random() < 0.5 else _ellipse(rng, side)
    return mask


def _spiky(rng: np.random.Generator, side: int) -> Mask:
    """A round body with spikes."""
    x, y, radius = _offsets(rng, side)
    angle = np.arctan2(y, x)
    spikes = np.maximum(0.0, np.cos(angle * int(rng.integers(3, 9)) + rng.uniform(0, 6.3))) ** rng.uniform(2, 10)
    mask = np.hypot(x, y) < radius * (0.7 + rng.uniform(0.1, 0.5) * spikes)
    return np.asarray(gaussian_filter(mask.astype(np.float32), 1.0) > 0.5)


def _largest(mask: Mask) -> Mask:
    parts = cc3d.connected_components(mask, connectivity=4)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray((parts == sizes.argmax()) & mask)


_KINDS: tuple[Callable[[np.random.Generator, int], Mask], ...] = (
    _ellipse,
    _star,
    _blob,
    _polygon,
    _bow,
    _several,
    _spiky,
)
_SHARES = (0.14, 0.32, 0.26, 0.06, 0.08, 0.06, 0.08)
