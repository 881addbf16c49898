"""Which prompts make which target, in slices, rows and columns of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.methods.interface import Prompt
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study.slices import SliceStack

Ranges = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Half-open ranges of slices, rows and columns."""

PixelBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class Point:
    """A click on a slice."""

    index: int
    row: int
    column: int
    positive: bool


@dataclass(frozen=True)
class Target:
    """What a person showed of one target: a box, clicks, words, or several of these."""

    box: Ranges | None = None
    points: tuple[Point, ...] = ()
    words: str | None = None

    @property
    def key(self) -> int:
        """The slice to begin with: the middle of the box, else that of the first positive click."""
        if self.box is not None:
            return (self.box[0][0] + self.box[0][1]) // 2
        return next((point.index for point in self.points if point.positive), 0)

    @property
    def deep(self) -> bool:
        """Whether its box is more than one slice thick, and so says where the target ends."""
        return self.box is not None and self.box[0][1] - self.box[0][0] > 1

    @property
    def beyond(self) -> tuple[int, ...]:
        """Slices with clicks other than the one to begin with."""
        return tuple(sorted({point.index for point in self.points} - {self.key}))

    def extent(self, slices: int) -> tuple[int, int]:
        """Half-open slices to follow it through: those of a deep box, grown to hold positive clicks, else all."""
        if self.box is None or not self.deep:
            return 0, slices
        clicked = [point.index for point in self.points if point.positive]
        (first, last) = self.box[0]
        return min([first, *clicked]), max([last, *(index + 1 for index in clicked)])

    @property
    def limits(self) -> PixelBox | None:
        """What a deep box leaves of every slice, grown to hold positive clicks; None for other targets."""
        if not self.deep or self.pixels is None:
            return None
        return _holding(self.pixels, [point for point in self.points if point.positive])

    def on_key_alone(self) -> Target:
        """The same without clicks on other slices."""
        return replace(self, points=tuple(point for point in self.points if point.index == self.key))

    def prompt(self, index: int, box: PixelBox | None) -> SlicePrompt:
        """Prompt on a slice: a box, grown where a positive click lies outside it, the slice's clicks, and the words."""
        here = [point for point in self.points if point.index == index]
        if box is not None:
            box = _holding(box, [point for point in here if point.positive])
        if not here:
            return SlicePrompt(box=box, words=self.words)
        xy = np.asarray([(point.column, point.row) for point in here], dtype=np.float64)
        return SlicePrompt(box, xy, np.asarray([point.positive for point in here]), words=self.words)

    @property
    def pixels(self) -> PixelBox | None:
        """The box in pixels of a slice (x0, y0, x1, y1)."""
        if self.box is None:
            return None
        _, (y0, y1), (x0, x1) = self.box
        return float(x0), float(y0), float(x1), float(y1)


def targets_of(prompts: Sequence[Prompt], stack: SliceStack) -> list[Target]:
    """One target a box, in order, each with the clicks nearest to it; without boxes one target of clicks and words.

    Words go to every target. Raises InputError for no prompt, prompts outside the scan, only negative clicks, several
    texts, words alone on a volume, and an anatomy mask.
    """
    if any(isinstance(p, Anatomy) for p in prompts):
        raise InputError("A model of slices reads no anatomy mask. Leave it out, or use tags-compact.")
    boxes = [_ranges(stack.ranges(p.to_voxels(stack.grid))) for p in prompts if isinstance(p, Box)]
    points = [_point(p, stack) for p in prompts if isinstance(p, Click)]
    words = _words([p for p in prompts if isinstance(p, Text)])
    if not boxes:
        _check_without_box(points, words, stack)
        return [Target(None, tuple(points), words)]
    owners = [_nearest(boxes, point, stack.spacing_mm) for point in points]
    owned = [tuple(p for p, owner in zip(points, owners, strict=True) if owner == n) for n in range(len(boxes))]
    return [Target(box, mine, words) for box, mine in zip(boxes, owned, strict=True)]


def _check_without_box(points: Sequence[Point], words: str | None, stack: SliceStack) -> None:
    if not points and words is None:
        raise InputError("A model of slices must be shown its targets. Give a box around each one.")
    if points and not any(point.positive for point in points):
        raise InputError("Only clicks outside a target were given. Add a box around it, or a click on it.")
    if not points and stack.shape[0] > 1:
        raise InputError("Words alone do not say which slice of a volume to look at. Add a box.")


def _words(texts: Sequence[Text]) -> str | None:
    if len(texts) > 1:
        raise InputError(f"A slice model reads one text; found {len(texts)}. Ask once for each.")
    return texts[0].words if texts else None


def _point(click: Click, stack: SliceStack) -> Point:
    return Point(*stack.pixel(click.to_voxel(stack.grid)), positive=click.positive)


def _ranges(found: NDArray[np.int64]) -> Ranges:
    d, y, x = ((int(low), int(high)) for low, high in found)
    return d, y, x


def _nearest(boxes: Sequence[Ranges], point: Point, spacing_mm: Sequence[float]) -> int:
    return min(range(len(boxes)), key=lambda number: _distance(boxes[number], point, spacing_mm))


def _distance(box: Ranges, point: Point, spacing_mm: Sequence[float]) -> tuple[float, int]:
    """Millimetres from a box (0 inside it), then the size of the box: the smaller of two that hold a click has it."""
    place = (point.index, point.row, point.column)
    apart = [max(low - at, at - high + 1, 0) for (low, high), at in zip(box, place, strict=True)]
    return float(np.linalg.norm(np.asarray(apart) * spacing_mm)), int(np.prod([high - low for low, high in box]))


def _holding(box: PixelBox, points: Sequence[Point]) -> PixelBox:
    columns, rows = [point.column for point in points], [point.row for point in points]
    x0, y0, x1, y1 = box
    return (
        float(min([x0, *columns])),
        float(min([y0, *rows])),
        float(max([x1, *(column + 1 for column in columns)])),
        float(max([y1, *(row + 1 for row in rows)])),
    )
