"""How often a thing told with a probability is so: the reliability diagram and its summary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reliability:
    """Bins of probability that hold any voxel: mean probability, share of truth and share of all voxels [bins]."""

    told: NDArray[np.float64]
    true: NDArray[np.float64]
    share: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: sum over bins of share * |true - told| (Naeini et al. 2015)."""
        return float(np.sum(self.share * np.abs(self.true - self.told)))


def reliability(probabilities: NDArray[np.float32], truth: NDArray[np.bool_], bins: int = 10) -> Reliability:
    """Reliability of probabilities (N,) of a truth (N,), in bins of equal width."""
    index = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins)
    used = counts > 0
    told = np.bincount(index, weights=probabilities, minlength=bins)[used] / counts[used]
    true = np.bincount(index, weights=truth, minlength=bins)[used] / counts[used]
    return Reliability(told, true, counts[used] / max(1, counts.sum()))
