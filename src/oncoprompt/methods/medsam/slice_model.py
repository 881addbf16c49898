"""What every model of slices does: encode a slice once, answer as many prompts on it as there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError


@dataclass(frozen=True, eq=False)
class SlicePrompt:
    """What a person shows of one target on a slice [H, W]: a box, points, a mask, words, or several of these.

    ``box`` is (x0, y0, x1, y1) in pixels with x to the right, y down and both half-open: a target that fills columns 3
    to 7 has x0 = 3, x1 = 8. ``points`` (P, 2) are (x, y) of pixel centres (the first pixel's is 0, 0) and ``positive``
    (P,) says whether each lies on the target. ``mask`` [H, W] is a rough drawing or an earlier answer: above 0 target,
    below 0 not, 0 not known. Raises InputError for an empty or inverted box, and for points without a sign each.
    """

    box: tuple[float, float, float, float] | None = None
    points: NDArray[np.float64] | None = None
    positive: NDArray[np.bool_] | None = None
    mask: NDArray[np.float32] | None = None
    words: str | None = None

    def __post_init__(self) -> None:
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not (np.isfinite(self.box).all() and x1 > x0 and y1 > y0):
                raise InputError(
                    f"The box {[float(v) for v in self.box]} is inverted or empty; give X0 Y0 X1 Y1 with X0 < X1 "
                    "and Y0 < Y1."
                )
        if (self.points is None) != (self.positive is None) or (
            self.points is not None and self.positive is not None and self.points.shape != (len(self.positive), 2)
        ):
            raise InputError("Points of a slice are (x, y) pairs, each with a sign: on the target or not.")


class SliceModel(Protocol):
    """A network with weights that segments single slices."""

    @property
    def name(self) -> str: ...

    @property
    def weights_sha256(self) -> str: ...

    def encode(self, image: NDArray[np.float32]) -> Any:
        """Features of a slice [H, W] or [H, W, 3] of any range, to be kept for all of its prompts."""
        ...

    def decode(self, features: Any, prompts: Sequence[SlicePrompt]) -> NDArray[np.float32]:
        """Logits [N, H, W] of the slice's own pixels, one target a prompt; above 0 is target.

        Raises InputError for a kind of prompt that the model does not know.
        """
        ...
