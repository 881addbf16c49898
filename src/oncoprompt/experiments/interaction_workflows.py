"""Ways of annotating a target on slices: a box on each, sparse markers, one box in three dimensions, one slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from oncoprompt.experiments.interaction_drawing import Annotator, Drawing, Mask, correct
from oncoprompt.experiments.slice_answers import AnsweredOnce
from oncoprompt.methods.medsam.markers import Marker, MarkerSettings, interpolated_boxes
from oncoprompt.methods.medsam.propagation import propagate
from oncoprompt.prompts.slice_annotators import (
    AXES_ACTIONS,
    BOX_ACTIONS,
    VOLUME_BOX_ACTIONS,
    key_slice,
    marked_slices,
)
from oncoprompt.prompts.slice_box import SliceBox, grown

EVERY_SLICE = "box on every slice"
"""The workflow that others are compared with."""


@dataclass(frozen=True)
class Workflow:
    """A way of annotating: its name, a sentence for people, what is drawn first, and the answer to a drawing."""

    name: str
    sentence: str
    begin: Callable[[Annotator], Drawing]
    answer: Callable[[AnsweredOnce, Drawing], Mask]

    def steps(self, model: AnsweredOnce, annotator: Annotator) -> Iterator[tuple[int, Mask]]:
        """Actions so far and the answer to them, first to what is drawn at once, then after every correction."""
        drawing = self.begin(annotator)
        while True:
            answer = self.answer(model, drawing)
            answer[: drawing.first], answer[drawing.last :], answer[sorted(drawing.empty)] = False, False, False
            yield drawing.actions, answer
            if not correct(drawing, answer, annotator):
                return


def box_on_every_slice() -> Workflow:
    """A box on each slice that shows the target."""

    def begin(annotator: Annotator) -> Drawing:
        return _marked(annotator, 1, annotator.box, BOX_ACTIONS)

    return Workflow(EVERY_SLICE, "a box on every slice that shows the target", begin, _slice_by_slice)


def sparse_boxes(step: int) -> Workflow:
    """A box on one slice in ``step`` and on the last; edges between are interpolated."""

    def begin(annotator: Annotator) -> Drawing:
        return _marked(annotator, step, annotator.box, BOX_ACTIONS)

    sentence = f"a box on one slice in {step} and on the last, edges between them interpolated"
    return Workflow(f"box every {step}", sentence, begin, _between_markers)


def sparse_axes(step: int) -> Workflow:
    """A long and a short axis on one slice in ``step`` and on the last; edges of their boxes are interpolated."""

    def begin(annotator: Annotator) -> Drawing:
        drawing = _marked(annotator, step, annotator.axes, AXES_ACTIONS)
        drawing.rough = set(drawing.boxes)
        return drawing

    sentence = f"a long and a short axis on one slice in {step} and on the last, edges of their boxes interpolated"
    return Workflow(f"axes every {step}", sentence, begin, _between_markers)


def volume_box() -> Workflow:
    """One box in three dimensions, followed from its middle slice."""

    def begin(annotator: Annotator) -> Drawing:
        within, first, last = annotator.volume_box()
        return Drawing(first, last, within=within, key=(first + last - 1) // 2, actions=VOLUME_BOX_ACTIONS)

    return Workflow("3-D box", "one box in three dimensions, propagated from its middle slice", begin, _followed)


def key_slice_box() -> Workflow:
    """A box on the slice where the target is largest, followed up and down as far as the answers lead."""

    def begin(annotator: Annotator) -> Drawing:
        key = key_slice(annotator.truth)
        boxes = {key: annotator.box(key)}
        return Drawing(0, len(annotator.truth), boxes=boxes, key=key, actions=BOX_ACTIONS)

    sentence = "a box on the slice where the target is largest, propagated up and down, its ends not given"
    return Workflow("key slice", sentence, begin, _followed)


def _marked(annotator: Annotator, step: int, draw: Callable[[int], SliceBox], actions: int) -> Drawing:
    marked = marked_slices(annotator.truth, step)
    boxes = {index: draw(index) for index in marked}
    return Drawing(marked[0], marked[-1] + 1, boxes=boxes, actions=actions * len(marked))


def _slice_by_slice(model: AnsweredOnce, drawing: Drawing) -> Mask:
    return _answers(model, drawing, drawing.boxes)


def _between_markers(model: AnsweredOnce, drawing: Drawing) -> Mask:
    boxes = interpolated_boxes([Marker(index, box) for index, box in drawing.boxes.items()])
    margin = MarkerSettings().margin
    return _answers(model, drawing, {index: grown(box, margin, model.shape[1:]) for index, box in boxes.items()})


def _answers(model: AnsweredOnce, drawing: Drawing, boxes: Mapping[int, SliceBox]) -> Mask:
    """The answer to a box on each of some slices, with the clicks there."""
    found = np.zeros(model.shape, bool)
    for index, box in boxes.items():
        found[index] = model.decode(index, [drawing.prompt(index, box)])[0] > 0
    return found


def _followed(model: AnsweredOnce, drawing: Drawing) -> Mask:
    """The answer propagated from the key slice, with the boxes and clicks of other slices."""
    key = drawing.key
    prompts = {index: drawing.prompt(index, box) for index, box in drawing.boxes.items() if index != key}
    logits = propagate(
        model,
        lambda index: index,
        model.shape,
        key,
        drawing.prompt(key, drawing.boxes.get(key, drawing.within)),
        drawing.first,
        drawing.last,
        boxes=prompts,
        within=drawing.within,
        images=model.image,
    )
    return np.asarray(logits > 0)
