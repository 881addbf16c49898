"""From a look at the whole brain to the places worth a closer look."""

from collections.abc import Sequence

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import max_pool3d

from oncoprompt.geometry import mask_bounds

REACH_MM = 5.0
CUBE_MM = 50.0
LEAST_ML = 0.1
SEEN = 0.05
"""A lesion reaches as far as tumour is at least so likely."""
SURE_SHARE = 0.15
"""Of a lesion, so much is more likely tumour than not; what merely looks a little like one has less."""
GROWTH = 0.1
"""The coarse look sees less of a lesion than there is."""
MOST_PLACES = 8


def places_of_interest(
    probability: NDArray[np.float32], spacing_mm: Sequence[float], hits: Sequence[NDArray[np.int64]] = ()
) -> list[NDArray[np.int64]]:
    """Half-open boxes (3, 2) about the lesions seen in a probability (I, J, K) of tumour, largest first.

    A lesion is where the probability is above SEEN; parts within twice REACH_MM of each other are one. Lesions of which
    less than LEAST_ML or SURE_SHARE is above 0.5 are left out, and so are those after the MOST_PLACES largest. Voxels
    in ``hits`` choose the lesions they lie in or near; a voxel that hits none chooses a cube about itself.
    """
    tumour = probability > SEEN
    lesions = _joined(tumour, spacing_mm)
    sizes = np.bincount(lesions[tumour], minlength=1)
    sure = np.bincount(lesions[probability > 0.5], minlength=len(sizes))
    least = np.maximum(LEAST_ML * 1000.0 / float(np.prod(spacing_mm)), SURE_SHARE * sizes)
    found = [int(n) for n in np.argsort(-sizes, kind="stable") if n > 0 and sure[n] >= least[n]]
    chosen = [int(lesions[tuple(voxel)]) for voxel in hits]
    wanted = [n for n in found if n in chosen] if hits else found
    missed = [voxel for voxel, lesion in zip(hits, chosen, strict=True) if lesion not in found]
    cubes = [_cube(voxel, spacing_mm, tumour.shape) for voxel in missed]
    return [_bounds(tumour & (lesions == n)) for n in wanted[:MOST_PLACES]] + cubes


def _joined(tumour: NDArray[np.bool_], spacing_mm: Sequence[float]) -> NDArray[np.uint32]:
    """Numbers (I, J, K) of the connected parts of a mask grown by REACH_MM, axis by axis."""
    grown = torch.from_numpy(tumour)[None, None].float()
    for axis, spacing in enumerate(spacing_mm):
        reach = round(REACH_MM / spacing)
        if reach > 0:
            kernel, padding = [1, 1, 1], [0, 0, 0]
            kernel[axis], padding[axis] = 2 * reach + 1, reach
            grown = max_pool3d(grown, kernel, stride=1, padding=padding)
    return np.asarray(cc3d.connected_components(grown[0, 0].numpy() > 0, connectivity=26), dtype=np.uint32)


def _cube(voxel: NDArray[np.int64], spacing_mm: Sequence[float], shape: Sequence[int]) -> NDArray[np.int64]:
    """Half-open box (3, 2) of CUBE_MM about a voxel, cut to the scan."""
    half = np.ceil(CUBE_MM / 2 / np.asarray(spacing_mm)).astype(np.int64)
    low, high = np.maximum(voxel - half, 0), np.minimum(voxel + half + 1, shape)
    return np.stack([low, high], axis=1)


def _bounds(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Half-open box (3, 2) of a mask with GROWTH of each side added at both ends, cut to the scan."""
    box = mask_bounds(mask)
    growth = np.ceil(GROWTH * (box[:, 1] - box[:, 0])).astype(np.int64)
    return np.stack([np.maximum(box[:, 0] - growth, 0), np.minimum(box[:, 1] + growth, mask.shape)], axis=1)
