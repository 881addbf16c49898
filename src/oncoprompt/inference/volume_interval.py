"""A volume as a range: the error that the predicted volumes of held-out studies had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oncoprompt.errors import InputError

_OFFSET_ML = 0.1


@dataclass(frozen=True)
class VolumeError:
    """The middle ``share`` of log((true + 0.1 ml) / (predicted + 0.1 ml)) over held-out studies.

    The offset keeps regions of no volume in the count.
    """

    low: float
    high: float
    share: float

    @classmethod
    def fit(cls, true_ml: Sequence[float], predicted_ml: Sequence[float], share: float = 0.8) -> VolumeError:
        """Split conformal prediction (Vovk et al. 2005) with equal tails.

        For n studies the ceil((n + 1) * tail)-th most extreme error bounds each tail, so that a study like them is
        covered with at least the stated share. Raises InputError where n is too small for that.
        """
        errors = np.sort(np.log((np.asarray(true_ml) + _OFFSET_ML) / (np.asarray(predicted_ml) + _OFFSET_ML)))
        tail = (1.0 - share) / 2.0
        rank = int(np.floor((len(errors) + 1) * tail + 1e-9))
        if rank < 1:
            needed = int(np.ceil(1.0 / tail - 1e-9)) - 1
            raise InputError(f"A volume interval of {share:.0%} needs {needed} studies or more. Found: {len(errors)}.")
        return cls(round(float(errors[rank - 1]), 4), round(float(errors[-rank]), 4), share)

    def interval_ml(self, predicted_ml: float) -> tuple[float, float]:
        """Lowest and highest volume (ml) to expect; the predicted volume always lies between."""
        low, high = ((predicted_ml + _OFFSET_ML) * float(np.exp(error)) - _OFFSET_ML for error in (self.low, self.high))
        return min(max(0.0, low), predicted_ml), max(high, predicted_ml)
