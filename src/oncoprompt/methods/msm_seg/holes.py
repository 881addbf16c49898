"""A slice through a tumour has no hole: what tumour surrounds is tumour."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

FILLED_LOGIT = 0.1


def fill_holes(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Nested logits ``[3, D, H, W]`` with holes of WT and TC in axial planes raised to just above one half.

    In 46 expert label maps of gliomas such holes are 0.4 % of WT and 0.07 % of TC. ET is left alone: its hole is
    necrosis.
    """
    filled = logits.copy()
    for region in (1, 0):
        for plane in range(filled.shape[1]):
            inside = filled[region, plane] > 0
            if inside.any():
                holes = binary_fill_holes(inside) & ~inside
                # what is core is whole tumour too
                filled[: region + 1, plane, holes] = np.maximum(filled[: region + 1, plane, holes], FILLED_LOGIT)
    return filled
