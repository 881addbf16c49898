"""What of a channel is head and what is air, and the intensities of the head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import mask_bounds

_PADDING_SHARE = 0.1


@dataclass(frozen=True)
class Foreground:
    """Mean and standard deviation of a channel over its foreground, and the foreground's half-open bounds (3, 2)."""

    mean: float
    deviation: float
    bounds: NDArray[np.int64]


def foreground_mask(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Foreground of a channel (I, J, K): what is not padding in a stripped scan, else what is brighter than air.

    A scan whose corner value fills a tenth of it has been stripped or masked, and that value is its padding. Otherwise
    air and head are told apart at a fifth of the 98th percentile. A channel of one value is foreground throughout.
    """
    corner = array[0, 0, 0]
    inside = array != corner
    if inside.mean() > 1.0 - _PADDING_SHARE:
        sample = array[::2, ::2, ::2]
        inside = array > 0.2 * float(np.percentile(sample, 98))
    return inside if inside.any() else np.ones_like(inside)


def find_foreground(array: NDArray[np.float32]) -> Foreground:
    """Mean, deviation and bounds of a channel over `foreground_mask`."""
    inside = foreground_mask(array)
    values = array[inside]
    return Foreground(float(values.mean()), max(float(values.std()), 1e-6), mask_bounds(inside))
