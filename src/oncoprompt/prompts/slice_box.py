"""A box on one slice: (x0, y0, x1, y1) in pixels, x to the right, y down, half-open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import mask_bounds

SliceBox = tuple[float, float, float, float]


def mask_box(mask: NDArray[np.bool_]) -> SliceBox | None:
    """Tight half-open box around a mask [H, W]; None where it is empty."""
    if not mask.any():
        return None
    (y0, y1), (x0, x1) = mask_bounds(mask).tolist()
    return float(x0), float(y0), float(x1), float(y1)


def grown(box: SliceBox, margin: float, shape: tuple[int, int]) -> SliceBox:
    """The box with each side moved out by ``margin`` times the longer side of a slice [H, W], at most to its edge."""
    pixels = margin * max(shape)
    x0, y0, x1, y1 = box
    return max(x0 - pixels, 0.0), max(y0 - pixels, 0.0), min(x1 + pixels, shape[1]), min(y1 + pixels, shape[0])


def pixels_of(box: SliceBox) -> tuple[int, int, int, int]:
    """Half-open ranges (x0, y0, x1, y1), from 0 on, of the pixels whose centres lie in a box."""
    x0, y0, x1, y1 = (max(0, int(np.ceil(edge - 0.5))) for edge in box)
    return x0, y0, x1, y1
