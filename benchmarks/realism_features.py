"""Figures of one labelled case, real or synthetic, at 1 mm: form of its regions, intensities, texture."""

from __future__ import annotations

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace

CHANNELS = ("t1n", "t1c", "t2w", "t2f")
REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "NETC": (1,), "SNFH": (2,)}
"""Regions by their labels in schema brats2024-gli."""

FEWEST_VOXELS = 50
"""Regions of fewer voxels (mm3) have a volume and no other figure, components of fewer are fragments."""
HEALTHY_MARGIN_MM = 4.0
DEEP_MM = 8.0
PROFILE_MM = np.arange(-6.0, 7.0)
"""Signed distances of the profiles across an edge, positive outside."""

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Figures = dict[str, float]


def region(labels: NDArray[np.uint8], name: str) -> Mask:
    """Voxels of a region."""
    return np.isin(labels, REGIONS[name])


def form_figures(labels: NDArray[np.uint8]) -> Figures:
    """Volumes, ratios, compactness, components and thickness of the regions of a label map at 1 mm."""
    found: Figures = {}
    masks = {name: region(labels, name) for name in REGIONS}
    for name, mask in masks.items():
        found[f"{name} volume ml"] = float(mask.sum()) / 1000.0
    for name in ("WT", "TC", "ET"):
        mask = masks[name]
        components = component_volumes(mask)
        found[f"{name} components"] = float((components > FEWEST_VOXELS).sum())
        if mask.sum() < FEWEST_VOXELS:
            continue
        found[f"{name} fragments"] = float((components <= FEWEST_VOXELS).sum())
        found[f"{name} largest component share"] = float(components.max() / components.sum())
        found[f"{name} sphericity"] = sphericity(mask)
        found[f"{name} share left by opening 3 mm"] = float(opened(mask, 3.0).sum() / mask.sum())
    found["TC/WT"] = ratio(masks["TC"], masks["WT"])
    found["ET/TC"] = ratio(masks["ET"], masks["TC"])
    if masks["ET"].sum() >= FEWEST_VOXELS:
        found["ET half thickness mm (95 %)"] = float(np.quantile(edt.edt(masks["ET"])[masks["ET"]], 0.95))
        found["ET share of TC surface"] = surface_share(masks["TC"], masks["ET"])
    if min(masks["TC"].sum(), masks["SNFH"].sum()) >= FEWEST_VOXELS:
        beyond = edt.edt(~masks["TC"])[masks["SNFH"]]
        found["SNFH reach mm (95 %)"] = float(np.quantile(beyond, 0.95))
        found["SNFH share of TC surface"] = surface_share(masks["TC"], touching(masks["SNFH"], masks["TC"]))
    return found


def edge_figures(labels: NDArray[np.uint8], brain: Mask) -> Figures:
    """Size of the brain, and how much of the surface of WT and TC lies within 2 mm of its edge."""
    depth = edt.edt(brain)
    found = {"brain volume ml": float(brain.sum()) / 1000.0}
    for axis, (low, high) in zip("SAR", bounds(brain), strict=True):
        found[f"brain extent {axis} mm"] = float(high - low)
    for name in ("WT", "TC"):
        mask = region(labels, name)
        if mask.sum() >= FEWEST_VOXELS:
            found[f"{name} surface within 2 mm of the brain's edge"] = float((depth[surface(mask)] <= 2.0).mean())
    return found


def intensity_figures(images: Array, labels: NDArray[np.uint8], brain: Mask) -> tuple[Figures, dict[str, Array]]:
    """Figures of images ``[4, K, J, I]`` (order of CHANNELS) in z-scores of the brain, and profiles across edges.

    Healthy is brain at least 4 mm off the tumour; its white matter the deep and flat part that is bright on T1.
    """
    masks = {name: region(labels, name) & brain for name in REGIONS}
    tumour = masks["WT"]
    outside = edt.edt(~tumour) if tumour.any() else np.full(brain.shape, 99.0, np.float32)
    healthy = brain & (outside >= HEALTHY_MARGIN_MM)
    deep = healthy & (edt.edt(brain) >= DEEP_MM)
    white = flat_white(images[0], deep)
    found: Figures = {}
    profiles: dict[str, Array] = {}
    scaled = {}
    for channel, image in zip(CHANNELS, images, strict=True):
        values = image[brain]
        z = (image - values.mean()) / values.std()
        scaled[channel] = z
        levels = np.quantile(z[healthy], (0.05, 0.25, 0.5, 0.75, 0.95))
        for percent, level in zip((5, 25, 50, 75, 95), levels, strict=True):
            found[f"{channel} healthy {percent} % z"] = float(level)
        middle = float(np.median(image[healthy]))
        fine = z - gaussian_filter(z, 1.5)
        steps = [np.abs(np.diff(z, axis=axis))[along(healthy, axis)] for axis in range(3)]
        found[f"{channel} gradient S to in-plane"] = float(
            steps[0].mean() / (0.5 * (steps[1].mean() + steps[2].mean()))
        )
        found[f"{channel} mean step in healthy z/mm"] = float(np.mean([s.mean() for s in steps]))
        # a Laplacian of seven points has the variance of 36 + 6 voxels of noise
        found[f"{channel} noise in white z"] = float(1.4826 * np.median(np.abs(laplace(z)[white])) / np.sqrt(42.0))
        found[f"{channel} white sd z"] = float(z[white].std())
        found[f"{channel} white fine sd z"] = float(fine[white].std())
        for name in ("ET", "NETC", "SNFH"):
            mask = masks[name]
            if mask.sum() < FEWEST_VOXELS:
                continue
            found[f"{channel} {name} z"] = float(np.median(z[mask]))
            found[f"{channel} {name} to healthy"] = float(np.median(image[mask])) / middle
            found[f"{channel} {name} sd z"] = float(z[mask].std())
            found[f"{channel} {name} fine sd z"] = float(fine[mask].std())
    enhancing = masks["ET"]
    if enhancing.sum() >= FEWEST_VOXELS:
        found["t1c less t1n in ET z"] = float(np.median((scaled["t1c"] - scaled["t1n"])[enhancing]))
    found["t1c less t1n correlation in healthy"] = float(
        np.corrcoef(scaled["t1n"][healthy], scaled["t1c"][healthy])[0, 1]
    )
    for channel, name in (("t2f", "WT"), ("t2w", "WT"), ("t1c", "TC"), ("t1n", "TC")):
        if masks[name].sum() >= FEWEST_VOXELS:
            profiles[f"{channel} across {name}"] = profile(scaled[channel], masks[name], brain)
    for channel in CHANNELS:
        counts, _ = np.histogram(scaled[channel][healthy], bins=60, range=(-3, 4), density=True)
        profiles[f"{channel} healthy histogram"] = counts.astype(np.float32)
    for name, curve in profiles.items():
        if " across " in name:
            inside, outer = curve[2], curve[10]
            found[f"{name} step z"] = float(inside - outer)
            if abs(inside - outer) > 0.5:
                # how much of the way from 4 mm inside to 4 mm outside is gone within 1 mm either side of the edge
                found[f"{name} edge sharpness"] = float((curve[5] - curve[7]) / (inside - outer))
    return found, profiles


def profile(z: Array, mask: Mask, brain: Mask) -> Array:
    """Median z at signed distances PROFILE_MM from a mask's edge, positive outside; NaN where there is nothing."""
    near = tuple(slice(max(0, low - 8), high + 8) for low, high in bounds(mask))
    distance = np.where(mask[near], 0.5 - edt.edt(mask[near]), edt.edt(~mask[near]) - 0.5)
    inside, values = brain[near], z[near]
    chosen = [inside & (np.abs(distance - d) <= 0.5) for d in PROFILE_MM]
    return np.array([np.median(values[c]) if c.sum() > 20 else np.nan for c in chosen], dtype=np.float32)


def bounds(mask: Mask) -> list[tuple[int, int]]:
    """Half-open bounds of a mask along each axis."""
    found = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        found.append((int(used[0]), int(used[-1]) + 1))
    return found


def flat_white(t1n: Array, deep: Mask) -> Mask:
    """The deep voxels that are bright on smoothed T1, with neighbours that are, too."""
    smooth = gaussian_filter(t1n, 1.0)
    low, high = np.quantile(smooth[deep], (0.55, 0.98))
    white = deep & (smooth > low) & (smooth < high)
    inner: Mask = edt.edt(white) > 1.9
    return inner


def along(mask: Mask, axis: int) -> Mask:
    """Where a voxel and the next along an axis both lie in a mask; one shorter along it."""
    n = mask.shape[axis]
    return mask.take(range(n - 1), axis) & mask.take(range(1, n), axis)


def component_volumes(mask: Mask) -> NDArray[np.int64]:
    """Voxels of each 26-connected component."""
    return np.bincount(cc3d.connected_components(mask, connectivity=26).ravel())[1:]


def sphericity(mask: Mask) -> float:
    """``pi^(1/3) (6 V)^(2/3) / A`` with A two thirds of the area of voxel faces, true on average of directions."""
    padded = np.pad(mask, 1)
    faces = sum(int((np.diff(padded.view(np.int8), axis=axis) != 0).sum()) for axis in range(3))
    return float(np.pi ** (1 / 3) * (6 * mask.sum()) ** (2 / 3) / (faces * 2 / 3))


def opened(mask: Mask, radius_mm: float) -> Mask:
    """A mask without its parts thinner than a ball."""
    core = edt.edt(np.pad(mask, 1)) > radius_mm
    grown: Mask = edt.edt(~core) < radius_mm + 0.5
    return grown[1:-1, 1:-1, 1:-1] & mask


def surface(mask: Mask) -> Mask:
    """Voxels of a mask that touch its outside by a face."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(mask.ndim):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return mask & ~inner[1:-1, 1:-1, 1:-1]


def touching(outer: Mask, inner: Mask) -> Mask:
    """Voxels of ``inner`` that a voxel of ``outer`` touches by a face."""
    touched: Mask = inner & (edt.edt(~outer) <= 1.0)
    return touched


def surface_share(mask: Mask, part: Mask) -> float:
    """Share of a mask's surface voxels that lie in ``part``."""
    return ratio(part & surface(mask), surface(mask))


def ratio(part: Mask, whole: Mask) -> float:
    total = int(whole.sum())
    return float(part.sum()) / total if total else float("nan")
