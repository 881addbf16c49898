"""From a look at the whole scan to the places worth a closer look."""

from collections.abc import Sequence

import cc3d
import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.interface import SEEN

REACH_MM = 5.0
CUBE_MM = 50.0
LEAST_ML = 0.1
SURE_SHARE = 0.15
"""Of a lesion, so much is more likely tumour than not; what merely looks a little like one has less."""
GROWTH = 0.1
"""The coarse look sees less of a lesion than there is."""
MOST_PLACES = 8


def places_of_interest(
    probability: NDArray[np.float32],
    spacing_mm: Sequence[float],
    hits: Sequence[NDArray[np.int64]] = (),
    seen: float = SEEN,
) -> list[NDArray[np.int64]]:
    """Half-open boxes (3, 2) about the lesions seen in a probability (I, J, K) of tumour, largest first.

    A lesion is where the probability is above ``seen``; parts within twice REACH_MM of each other are one. Lesions of
    which less than LEAST_ML or SURE_SHARE is above 0.5 are left out, and so are those after the MOST_PLACES largest.
    Voxels in ``hits`` choose the lesions they lie in or near; a voxel that hits none chooses a cube about itself.
    """
    tumour = probability > seen
    if not tumour.any():
        return [_cube(voxel, spacing_mm, tumour.shape) for voxel in hits]
    # scans of the trunk are large, and nothing out of reach belongs to a lesion
    window, start = _reached(tumour, spacing_mm)
    near = tumour[window]
    lesions = _joined(near, spacing_mm)
    sizes = np.bincount(lesions[near], minlength=1)
    sure = np.bincount(lesions[probability[window] > 0.5], minlength=len(sizes))
    least = np.maximum(LEAST_ML * 1000.0 / float(np.prod(spacing_mm)), SURE_SHARE * sizes)
    found = [int(n) for n in np.argsort(-sizes, kind="stable") if n > 0 and sure[n] >= least[n]]
    chosen = [_number_at(lesions, voxel - start) for voxel in hits]
    wanted = [n for n in found if n in chosen] if hits else found
    missed = [voxel for voxel, lesion in zip(hits, chosen, strict=True) if lesion not in found]
    boxes = [mask_bounds(near & (lesions == n)) + start[:, None] for n in wanted[:MOST_PLACES]]
    cubes = [_cube(voxel, spacing_mm, tumour.shape) for voxel in missed]
    return [_widened(box, tumour.shape) for box in boxes] + cubes


def _reached(tumour: NDArray[np.bool_], spacing_mm: Sequence[float]) -> tuple[tuple[slice, ...], NDArray[np.int64]]:
    """Window that holds a mask and REACH_MM around it, and its first voxel."""
    reach = np.array([round(REACH_MM / spacing) for spacing in spacing_mm])
    bounds = mask_bounds(tumour)
    start = np.maximum(bounds[:, 0] - reach, 0)
    return tuple(slice(low, high) for low, high in zip(start, bounds[:, 1] + reach, strict=True)), start


def _number_at(lesions: NDArray[np.uint32], voxel: NDArray[np.int64]) -> int:
    """Number of the lesion at a voxel, 0 outside of the window."""
    inside = bool(np.all((voxel >= 0) & (voxel < lesions.shape)))
    return int(lesions[tuple(voxel)]) if inside else 0


def _joined(tumour: NDArray[np.bool_], spacing_mm: Sequence[float]) -> NDArray[np.uint32]:
    """Numbers (I, J, K) of the connected parts of a mask grown by REACH_MM, axis by axis."""
    grown = tumour.copy()
    for axis, spacing in enumerate(spacing_mm):
        _grow(np.moveaxis(grown, axis, 0), round(REACH_MM / spacing))
    return np.asarray(cc3d.connected_components(grown, connectivity=26), dtype=np.uint32)


def _grow(mask: NDArray[np.bool_], reach: int) -> None:
    """Grow a mask in place by `reach` along its first axis, in steps that leave no gap."""
    grown = 0
    while grown < reach:
        step = min(2 * grown + 1, reach - grown)
        before = mask.copy()
        mask[step:] |= before[:-step]
        mask[:-step] |= before[step:]
        grown += step


def _cube(voxel: NDArray[np.int64], spacing_mm: Sequence[float], shape: Sequence[int]) -> NDArray[np.int64]:
    """Half-open box (3, 2) of CUBE_MM about a voxel, cut to the scan."""
    half = np.ceil(CUBE_MM / 2 / np.asarray(spacing_mm)).astype(np.int64)
    low, high = np.maximum(voxel - half, 0), np.minimum(voxel + half + 1, shape)
    return np.stack([low, high], axis=1)


def _widened(box: NDArray[np.int64], shape: Sequence[int]) -> NDArray[np.int64]:
    """Half-open box (3, 2) with GROWTH of each side added at both ends, cut to the scan."""
    growth = np.ceil(GROWTH * (box[:, 1] - box[:, 0])).astype(np.int64)
    return np.stack([np.maximum(box[:, 0] - growth, 0), np.minimum(box[:, 1] + growth, shape)], axis=1)
