"""What a simulated person draws of a target on slices and how an answer is corrected, counted in actions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oncoprompt.methods.medsam.markers import Marker
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.prompts.slice_annotators import (
    BOX_ACTIONS,
    CLICK_ACTIONS,
    correcting_click,
    drawn_axes,
    drawn_box,
    drawn_volume_box,
    worst_slices,
)
from oncoprompt.prompts.slice_box import SliceBox

Mask = NDArray[np.bool_]
Point = tuple[float, float]


@dataclass(frozen=True)
class Annotator:
    """A simulated person who knows a target; what is drawn on a slice depends on the seed and the slice alone."""

    truth: Mask
    jitter: float
    seed: int
    clicks: bool = True

    def box(self, index: int) -> SliceBox:
        """A box on a slice."""
        return drawn_box(self.truth[index], self.jitter, self._rng(index))

    def axes(self, index: int) -> SliceBox:
        """The box of two axes on a slice."""
        return Marker.of_axes(index, *drawn_axes(self.truth[index], self.jitter, self._rng(index))).box

    def volume_box(self) -> tuple[SliceBox, int, int]:
        """A box in three dimensions: its box on every slice, and its first and last slice (half-open)."""
        (first, last), (y0, y1), (x0, x1) = drawn_volume_box(self.truth, self.jitter, self._rng(-1)).tolist()
        return (x0, y0, x1, y1), first, last

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, index + 1])


@dataclass
class Drawing:
    """What was drawn of one target so far, on which slices it may be (half-open), and the actions this took."""

    first: int
    last: int
    boxes: dict[int, SliceBox] = field(default_factory=dict)
    rough: set[int] = field(default_factory=set)
    clicks: dict[int, list[tuple[Point, bool]]] = field(default_factory=dict)
    empty: set[int] = field(default_factory=set)
    within: SliceBox | None = None
    key: int = 0
    actions: int = 0

    def prompt(self, index: int, box: SliceBox | None) -> SlicePrompt:
        """A box with the clicks on its slice."""
        clicks = self.clicks.get(index)
        if not clicks:
            return SlicePrompt(box=box)
        points, positive = zip(*clicks, strict=True)
        return SlicePrompt(box=box, points=np.asarray(points, np.float64), positive=np.asarray(positive, np.bool_))


def correct(drawing: Drawing, answer: Mask, annotator: Annotator) -> bool:
    """Correct an answer [D, H, W] on its worst slice; False where nothing is left to correct.

    A slice without the target is clicked away, with all beyond it where the target does not come back; one that has no
    box gets one, and axes are replaced by a box; on a slice with a box, the middle of the largest error is clicked.
    """
    truth = annotator.truth
    for index in worst_slices(answer, truth):
        if not truth[index].any():
            _click_away(drawing, index, truth)
            drawing.actions += CLICK_ACTIONS
            return True
        if index not in drawing.boxes or index in drawing.rough:
            drawing.boxes[index] = annotator.box(index)
            drawing.rough.discard(index)
            drawing.first, drawing.last = min(drawing.first, index), max(drawing.last, index + 1)
            drawing.actions += BOX_ACTIONS
            return True
        if annotator.clicks and (click := correcting_click(answer[index], truth[index])):
            drawing.clicks.setdefault(index, []).append(click)
            drawing.actions += CLICK_ACTIONS
            return True
    return False


def _click_away(drawing: Drawing, index: int, truth: Mask) -> None:
    if index > drawing.key and not truth[index:].any():
        drawing.last = min(drawing.last, index)
    elif index < drawing.key and not truth[: index + 1].any():
        drawing.first = max(drawing.first, index + 1)
    else:
        drawing.empty.add(index)
