"""What of a channel is head or body and what is air, and its intensities there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import mask_bounds

if TYPE_CHECKING:
    from oncoprompt.study.study import Study

_PADDING_SHARE = 0.1
_BODY_HU = -500.0


@dataclass(frozen=True)
class Foreground:
    """Mean and standard deviation of a channel over its foreground, and the foreground's half-open bounds (3, 2)."""

    mean: float
    deviation: float
    bounds: NDArray[np.int64]


def foreground_mask(array: NDArray[np.float32], channel: str = "") -> NDArray[np.bool_]:
    """Foreground of a channel (I, J, K): what is not padding in a stripped scan, else what is brighter than air.

    A scan whose corner value fills a tenth of it has been stripped or masked, and that value is its padding. Otherwise
    air and head are told apart at a fifth of the 98th percentile. Of channel "ct" (Hounsfield units) nothing below -500
    is foreground. A channel of one value is foreground throughout.
    """
    corner = array[0, 0, 0]
    inside = array != corner
    padded = inside.mean() <= 1.0 - _PADDING_SHARE
    if channel == "ct":
        body = array > _BODY_HU
        inside = inside & body if padded else body
    elif not padded:
        sample = array[::2, ::2, ::2]
        inside = array > 0.2 * float(np.percentile(sample, 98))
    return inside if inside.any() else np.ones_like(inside)


def find_foreground(array: NDArray[np.float32], channel: str = "") -> Foreground:
    """Mean, deviation and bounds of a channel over `foreground_mask`."""
    inside = foreground_mask(array, channel)
    values = array[inside]
    return Foreground(float(values.mean()), max(float(values.std()), 1e-6), mask_bounds(inside))


class Foregrounds:
    """Foregrounds of a study's channels, kept for the study that was asked about last."""

    def __init__(self) -> None:
        self._last: tuple[Study, dict[str, Foreground]] | None = None

    def of(self, study: Study) -> dict[str, Foreground]:
        """The foreground of each channel."""
        if self._last is None or self._last[0] is not study:
            self._last = (study, {name: find_foreground(array, name) for name, array in study.channels.items()})
        return self._last[1]
