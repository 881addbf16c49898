"""Sensitivity and specificity over voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sensitivity_and_specificity(
    prediction: NDArray[np.generic], truth: NDArray[np.generic], voxels: int
) -> tuple[float, float]:
    """TP / (TP + FN) and TN / (TN + FP) of two masks that are empty outside their arrays, in a scan of so many voxels.

    Both are 1 where both masks are empty. Maps of component numbers are taken as the code of the 2024 challenges takes
    them: TP where both are 1, TN where neither is, FP and FN what is left of the sums of numbers.
    """
    p_total, t_total = int(prediction.sum(dtype=np.int64)), int(truth.sum(dtype=np.int64))
    if not (p_total or t_total):
        return 1.0, 1.0
    p, t = prediction == 1, truth == 1
    both = int(np.count_nonzero(p & t))
    neither = voxels - int(np.count_nonzero(p | t))
    return both / max(t_total, 1), neither / max(neither + p_total - both, 1)
