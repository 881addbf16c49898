"""What machines make of a plane: ultrasound, skin photographs, CT, projections and the damage files suffer."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from oncoprompt.synthesis.pictures.noise import smooth_noise, texture

Plane = NDArray[np.float32]


def plain(rng: np.random.Generator, plane: Plane, target: Plane) -> Plane:
    """Noise of a random strength and grain."""
    noise = rng.normal(0, 1, plane.shape)
    if rng.random() < 0.4:
        noise = gaussian_filter(noise, rng.uniform(0.5, 1.2))
        noise /= noise.std()
    return np.asarray(plane + noise * abs(rng.normal(0, 0.06)), dtype=np.float32)


def ultrasound(rng: np.random.Generator, plane: Plane, target: Plane) -> Plane:
    """Speckle of a beam from above, brightness lost with depth, streaks, and shadow or enhancement below the target."""
    side = plane.shape[0]
    spread, depth = rng.uniform(0.8, 3.5), rng.uniform(0.5, 1.2)
    beams = gaussian_filter(rng.normal(0, 1, (2, side, side)), (0, depth, spread))
    speckle = np.hypot(*beams)
    speckle /= speckle.mean()
    level = np.clip(plane, 0.02, None)
    if rng.random() < 0.6:
        streaks = gaussian_filter(rng.normal(0, 1, (side, side)), (rng.uniform(0.6, 1.5), rng.uniform(8, 25)))
        strength = rng.uniform(0.05, 0.35) * (1 - 0.8 * target)
        level = level * np.exp(strength * streaks / streaks.std())
    if rng.random() < 0.5:
        below = np.cumsum(target, axis=0) / side * (1 - target)
        level = level * np.exp(gaussian_filter(below, 2.0) * rng.uniform(-4, 2.5))
    rows = np.linspace(0, 1, side)[:, None]
    level = level * np.exp(-rows * rng.uniform(-0.4, 1.6)) * speckle ** rng.uniform(0.3, 1.0)
    return np.asarray(np.log1p(level * rng.uniform(2, 15)) / 3.0)


def computed_tomography(rng: np.random.Generator, plane: Plane, target: Plane) -> Plane:
    """A window with clipped ends and noise with the grain of a reconstruction."""
    noise = rng.normal(0, 1, plane.shape)
    noise = gaussian_filter(noise, 0.6) - 0.5 * gaussian_filter(noise, 1.8)
    noisy = plane + noise / noise.std() * abs(rng.normal(0, 0.05))
    low, high = rng.uniform(-0.2, 0.3), rng.uniform(0.7, 1.3)
    return np.asarray(np.clip((noisy - low) / (high - low), 0, 1))


def projection(rng: np.random.Generator, plane: Plane, target: Plane) -> Plane:
    """Structures that lie over each other, as in a radiograph: soft, added up, ribs and vessels across."""
    side = plane.shape[0]
    sheet = plane * rng.uniform(0.3, 0.8) + 0.4 * smooth_noise(rng, side, 3)[0]
    for _ in range(int(rng.integers(0, 6))):
        rows = np.abs(smooth_noise(rng, side, 3)[0] + rng.uniform(-1, 1))
        sheet = sheet + rng.uniform(-0.3, 0.3) * (rows < rng.uniform(0.02, 0.2))
    return plain(rng, gaussian_filter(sheet, rng.uniform(0.3, 1.5)), target)


def magnetic_resonance(rng: np.random.Generator, plane: Plane, target: Plane) -> Plane:
    """A smooth coil profile and noise of the magnitude of a complex signal."""
    profile = np.exp(rng.uniform(0, 0.4) * smooth_noise(rng, plane.shape[0], 2)[0])
    parts = rng.normal(0, abs(rng.normal(0, 0.05)), (2, *plane.shape))
    return np.asarray(np.hypot(plane * profile + parts[0], parts[1]))


LOOKS: tuple[Callable[[np.random.Generator, Plane, Plane], Plane], ...] = (
    plain,
    ultrasound,
    computed_tomography,
    projection,
    magnetic_resonance,
)
LOOK_SHARES = (0.22, 0.28, 0.2, 0.06, 0.24)


def coloured(rng: np.random.Generator, plane: Plane, target: Plane) -> Plane:
    """A colour photograph [side, side, 3]: a tint that goes with brightness, hairs, gleams and uneven light."""
    side = plane.shape[0]
    dark, light = rng.uniform(0.0, 0.6, 3), rng.uniform(0.4, 1.0, 3)
    if rng.random() < 0.6:
        dark, light = np.sort(dark)[::-1], np.sort(light)[::-1]
    share = np.clip(plane, -0.2, 1.2)[..., None]
    image = dark + share * (light - dark)
    other = rng.normal(0, 0.12, 3) * target[..., None] * rng.integers(0, 2)
    image = image + other + 0.04 * texture(rng, side)[..., None] * rng.uniform(0, 1, 3)
    image = image * (1 + 0.2 * rng.uniform(0, 1) * smooth_noise(rng, side, 2)[0])[..., None]
    if rng.random() < 0.4:
        image = _with_lines(rng, image)
    if rng.random() < 0.3:
        gleam = smooth_noise(rng, side, int(rng.integers(15, 40)))[0] > rng.uniform(2.0, 3.0)
        bright = gaussian_filter(gleam.astype(np.float32), 0.7)[..., None] > 0.3
        image = np.where(bright, np.float32(1.0), image)
    return np.asarray(image, dtype=np.float32)


def _with_lines(rng: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thin dark or light curves across the picture: hairs, rulers, vessels."""
    side = image.shape[0]
    drawn = np.zeros((side, side), dtype=bool)
    t = np.linspace(0, 1, 2 * side)[:, None]
    for _ in range(int(rng.integers(1, 18))):
        a, b, c = rng.uniform(-0.2, 1.2, (3, 2)) * side
        path = np.round((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c).astype(int)
        path = path[((path >= 0) & (path < side)).all(axis=1)]
        drawn[path[:, 1], path[:, 0]] = True
    ink = gaussian_filter(drawn.astype(np.float32), rng.uniform(0.4, 1.0))[..., None]
    ink = np.clip(ink / max(float(ink.max()), 1e-6) * rng.uniform(0.5, 1.2), 0, 1)
    return np.asarray(image * (1 - ink) + ink * rng.uniform(0, 0.7, 3))


def as_stored(rng: np.random.Generator, image: Plane) -> NDArray[np.uint8]:
    """The picture as 8 bits after gamma, inversion, blur, a coarser stage and JPEG, each by chance."""
    low, high = np.percentile(image, (rng.uniform(0, 2), rng.uniform(98, 100)))
    image = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    image = image ** float(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.12:
        image = 1 - image
    if rng.random() < 0.3:
        sigma = rng.uniform(0.3, 1.6)
        image = gaussian_filter1d(gaussian_filter1d(image, sigma, axis=0), sigma, axis=1)
    low, high = rng.uniform(0, 0.15), rng.uniform(0.6, 1.0)
    stored = np.clip((low + image * (high - low)) * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        stored = _coarser(rng, stored)
    if rng.random() < 0.3:
        file = io.BytesIO()
        Image.fromarray(stored).save(file, "JPEG", quality=int(rng.integers(25, 90)))
        return np.asarray(Image.open(file), dtype=np.uint8)
    return np.asarray(stored, dtype=np.uint8)


def _coarser(rng: np.random.Generator, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (stored.shape[1], stored.shape[0])
    small = tuple(max(16, int(n * rng.uniform(0.4, 0.9))) for n in size)
    smaller = Image.fromarray(stored).resize((small[0], small[1]), Image.Resampling.BOX)
    return np.asarray(smaller.resize(size, Image.Resampling.BILINEAR))
