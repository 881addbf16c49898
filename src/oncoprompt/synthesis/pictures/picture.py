"""A picture with its outlined target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PictureWithTarget:
    """A picture [H, W] or [H, W, 3] of 8 bits and the target [H, W] on it."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
