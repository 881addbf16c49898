"""Where in an array a mask lies."""

import numpy as np
from numpy.typing import NDArray


def mask_bounds(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Tight half-open bounds (3, 2), along the array's axes, of a mask that is not empty."""
    lines = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    return np.array([[line[0], line[-1] + 1] for line in lines], dtype=np.int64)
