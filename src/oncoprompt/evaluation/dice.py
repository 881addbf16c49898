"""Overlap of two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError


def dice(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """Dice = 2 |P and T| / (|P| + |T|); 1.0 where both are empty, 0.0 where one is.

    Raises InputError where shapes differ.
    """
    if prediction.shape != truth.shape:
        raise InputError(f"Masks differ in shape: {prediction.shape} and {truth.shape}.")
    p, t = prediction.astype(bool), truth.astype(bool)
    total = int(np.count_nonzero(p)) + int(np.count_nonzero(t))
    return 2.0 * int(np.count_nonzero(p & t)) / total if total else 1.0
