"""Grey levels of a whole volume or picture before its slices are shown to a slice model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError

WINDOWS: Mapping[str, tuple[float, float]] = {
    "soft-tissue": (400.0, 40.0),
    "lung-l160": (1500.0, -160.0),
    "lung-l600": (1500.0, -600.0),
    "brain": (80.0, 40.0),
    "mediastinum": (350.0, 50.0),
}
"""Width and level in Hounsfield units. MedSAM's paper has the lung at -160, its code and Slicer plug-in at -600."""

AUTO, PERCENTILES, UNCHANGED = "auto", "percentiles", "unchanged"
PRESETS = (AUTO, *WINDOWS, PERCENTILES, UNCHANGED)

_PICTURE_CHANNELS = ("grey", "red", "green", "blue", "rgb")
_FULL = 255.0
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Intensities:
    """What was done: the preset and the values that became 0 and 255 (0 and 255 themselves where left alone)."""

    preset: str
    low: float
    high: float

    def to_mapping(self) -> dict[str, Any]:
        """The same for a provenance record."""
        return asdict(self)


def rescale(
    image: NDArray[np.number[Any]], channel: str = "", preset: str = AUTO
) -> tuple[NDArray[np.float32], Intensities]:
    """A whole volume or picture of any shape on 0..255, and what was done to it.

    - A window (a name of WINDOWS, or WIDTH/LEVEL such as "350/50") clips to level -+ width / 2, which become 0 and 255;
      the window's bounds are used, not the values found, so that a grey level does not depend on the field of view.
    - "percentiles" clips at the 0.5 and 99.5 percentile of the values other than 0; what was 0 stays 0.
    - "unchanged" leaves the values alone.
    - "auto" takes the soft-tissue window for channel "ct", leaves a picture ("grey", "red", "green", "blue", "rgb")
      alone if it lies in 0..255, and takes percentiles otherwise.

    Colours of one picture belong into one call. Raises InputError for an unknown preset and for values that are not
    finite. Source: MedSAM, Nature Communications 15:654 (2024), and its published pre-processing.
    """
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise InputError("The image has values that are not finite (NaN or infinite). Repair it, then try again.")
    chosen = automatic_preset(values, channel) if preset == AUTO else preset
    if chosen == UNCHANGED:
        return values, Intensities(UNCHANGED, 0.0, _FULL)
    if chosen == PERCENTILES:
        low, high = _percentiles(values)
        scaled = np.where(values == 0, np.float32(0.0), _stretch(values, low, high))
        return scaled, Intensities(PERCENTILES, low, high)
    width, level = window(chosen)
    low, high = level - width / 2, level + width / 2
    return _stretch(values, low, high), Intensities(chosen, low, high)


def automatic_preset(values: NDArray[np.float32], channel: str) -> str:
    """The preset that "auto" stands for, see `rescale`."""
    if channel.lower() == "ct":
        return "soft-tissue"
    in_range = values.size == 0 or (values.min() >= 0.0 and values.max() <= _FULL)
    return UNCHANGED if channel.lower() in _PICTURE_CHANNELS and in_range else PERCENTILES


def window(preset: str) -> tuple[float, float]:
    """Width and level of a window by name or as WIDTH/LEVEL; raises InputError for anything else."""
    if preset in WINDOWS:
        return WINDOWS[preset]
    number = r"[+-]?\d+(?:\.\d+)?"
    match = re.fullmatch(rf"({number})/({number})", preset.strip())
    if match and float(match[1]) > 0:
        return float(match[1]), float(match[2])
    raise InputError(
        f"There is no window '{preset}'. Known: {', '.join(PRESETS)}, or WIDTH/LEVEL in HU such as 350/50."
    )


def _percentiles(values: NDArray[np.float32]) -> tuple[float, float]:
    body = values[values != 0]
    if body.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(body, _PERCENTILES)
    return float(low), float(high)


def _stretch(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    if high <= low:
        return np.zeros_like(values)
    return np.asarray((np.clip(values, low, high) - low) * (_FULL / (high - low)), dtype=np.float32)
