"""Sparse markers: boxes or axes on some slices of a target become boxes on all slices between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.propagation import PropagationSettings, propagate
from oncoprompt.methods.medsam.slice_model import SliceModel, SlicePrompt
from oncoprompt.prompts.slice_box import SliceBox, grown

Point = tuple[float, float]
Segment = tuple[Point, Point]
"""Two pixel centres (x, y); the first pixel's is (0, 0)."""


@dataclass(frozen=True)
class Marker:
    """What a person draws of a target on slice ``index``: a box (x0, y0, x1, y1), half-open in pixels.

    Raises InputError for an inverted box.
    """

    index: int
    box: SliceBox

    def __post_init__(self) -> None:
        SlicePrompt(box=self.box)  # raises for an inverted box

    @classmethod
    def of_axes(cls, index: int, long: Segment, short: Segment) -> Marker:
        """The smallest box that holds the pixels at the ends of a long and a short axis; else InputError."""
        ends = np.asarray([*long, *short], dtype=np.float64)
        if ends.shape != (4, 2) or not np.isfinite(ends).all():
            raise InputError(f"A long and a short axis are two points (x, y) each; found {long} and {short}.")
        (x0, y0), (x1, y1) = ends.min(axis=0).tolist(), ends.max(axis=0).tolist()
        return cls(index, (x0, y0, x1 + 1, y1 + 1))


@dataclass(frozen=True)
class MarkerSettings:
    """How markers are read.

    Boxes grow on each side by ``margin`` times the longer side of a slice. The paper's grow by 5 of 1024 pixels twice,
    which suits models trained with boxes too large; without, they fit their targets better. Beyond the outermost
    markers they go as ``propagation`` says.
    """

    margin: float = 0.0
    propagation: PropagationSettings = field(default_factory=PropagationSettings)


def interpolated_boxes(markers: Sequence[Marker]) -> dict[int, SliceBox]:
    """A box on every slice from the first to the last marker of one target; each edge goes linearly between markers.

    Raises InputError for no marker, and for two on one slice.
    """
    ordered = sorted(markers, key=lambda marker: marker.index)
    marked = [marker.index for marker in ordered]
    if not marked:
        raise InputError("A target has no marker; draw a box or two axes on at least one slice.")
    twice = sorted({first for first, second in pairwise(marked) if first == second})
    if twice:
        raise InputError(f"A target has two markers on slices {twice}; draw one around all of it.")
    edges = np.asarray([marker.box for marker in ordered], dtype=np.float64)
    every = np.arange(marked[0], marked[-1] + 1)
    x0, y0, x1, y1 = (np.interp(every, marked, edge).tolist() for edge in edges.T)
    return dict(zip(every.tolist(), zip(x0, y0, x1, y1, strict=True), strict=True))


def segment_markers(
    model: SliceModel,
    encodings: Callable[[int], Any],
    shape: tuple[int, int, int],
    targets: Sequence[Sequence[Marker]],
    ends: tuple[int, int] | None = None,
    settings: MarkerSettings = MarkerSettings(),
) -> NDArray[np.float32]:
    """Logits [N, D, H, W] of N targets from the markers of each, in a stack of ``shape`` [D, H, W].

    ``encodings(index)`` gives what the model keeps of a slice; it is called once a slice and target. A target goes from
    its first to its last marker, or, where ``ends`` (half-open) are given, on from these as far as its answers lead, at
    most to there. Raises InputError for markers outside the stack or the ends, and as `interpolated_boxes` does.
    """
    answers = [_segment_target(model, encodings, shape, markers, ends, settings) for markers in targets]
    return np.stack(answers) if answers else np.zeros((0, *shape), np.float32)


def _segment_target(
    model: SliceModel,
    encodings: Callable[[int], Any],
    shape: tuple[int, int, int],
    markers: Sequence[Marker],
    ends: tuple[int, int] | None,
    settings: MarkerSettings,
) -> NDArray[np.float32]:
    boxes = {
        index: SlicePrompt(box=grown(box, settings.margin, shape[1:]))
        for index, box in interpolated_boxes(markers).items()
    }
    first, last = ends or (min(boxes), max(boxes) + 1)
    key = max(markers, key=lambda marker: _area(marker.box)).index
    return propagate(model, encodings, shape, key, boxes[key], first, last, settings.propagation, boxes)


def _area(box: SliceBox) -> float:
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0)
