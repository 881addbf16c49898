"""Display and training windows of CT in Hounsfield units."""

from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor

from oncoprompt.errors import InputError


@dataclass(frozen=True)
class Window:
    """Level (middle) and width of a window in HU."""

    level: float
    width: float


WINDOWS = MappingProxyType(
    {
        "abdomen": Window(50, 400),
        "liver": Window(57.5, 211),
        "kidney": Window(96.5, 301),
        "pancreas": Window(82.5, 243),
        "lung": Window(-600, 1500),
        "bone": Window(400, 1800),
    }
)
"""Presets: abdomen, lung and bone as radiologists set them; liver, kidney and pancreas are the clip ranges of TAGS:
-48..163, -54..247 and -39..204 HU."""


def window(name: str) -> Window:
    """The preset of that name; raises InputError with the names there are."""
    if name not in WINDOWS:
        raise InputError(f"There is no CT window '{name}'. Known: {', '.join(WINDOWS)}.")
    return WINDOWS[name]


def apply_window(hu: Tensor, level: float, width: float) -> Tensor:
    """Map level - width/2 .. level + width/2 HU to 0 .. 1, clipped; any shape. Raises InputError unless width > 0."""
    if width <= 0:
        raise InputError(f"A CT window needs a width above 0 HU, found {width:g}.")
    return ((hu - level) / width + 0.5).clamp(0.0, 1.0)
