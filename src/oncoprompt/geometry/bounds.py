"""Where in an array a mask lies."""

import numpy as np
from numpy.typing import NDArray


def mask_bounds(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Tight half-open bounds (number of axes, 2), along the array's axes, of a mask that is not empty."""
    others = [tuple(other for other in range(mask.ndim) if other != axis) for axis in range(mask.ndim)]
    lines = [np.flatnonzero(mask.any(axis=axes)) for axes in others]
    return np.array([[line[0], line[-1] + 1] for line in lines], dtype=np.int64)
