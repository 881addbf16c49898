"""From a prompt on one slice to all slices of a target: each slice's answer gives the next slice's box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.slice_model import SliceModel, SlicePrompt
from oncoprompt.prompts.slice_box import SliceBox, grown, mask_box, pixels_of

NOT_TARGET = -20.0
"""Logit of slices and pixels that were not looked at."""

_NONE: Mapping[int, SlicePrompt] = MappingProxyType({})


@dataclass(frozen=True)
class PropagationSettings:
    """How boxes go from slice to slice; lengths are shares of the longer side of a slice.

    A slice is asked with the box around the answer before, grown by ``margin`` on each side. A model that fills its box
    makes each answer larger by that much, so it is 0; one that was trained with boxes too large wants more (LiteMedSAM:
    3 of 256). Answers are cut ``reach`` beyond the box they were asked with. One leaks where its box is more than
    ``most_growth`` times as wide or high as on the key slice, or where it fills more than ``most_fill`` of the box it
    was asked with; it is cut to the box before. Where no extent is given, a target ends after ``patience`` slices in a
    row that are empty, leak, or fade: keep less than ``least_contrast`` of the contrast that the key slice has.
    """

    margin: float = 0.0
    reach: float = 3 / 256
    patience: int = 2
    most_growth: float = 2.0
    most_fill: float = 0.98
    least_contrast: float = 0.3

    def __post_init__(self) -> None:
        lengths = 0 <= self.margin < 1 and 0 <= self.reach < 1
        shares = 0 < self.most_fill <= 1 and 0 <= self.least_contrast < 1
        if not (lengths and shares and self.patience >= 1 and self.most_growth >= 1):
            raise InputError(
                "Propagation needs margin, reach and least_contrast in [0, 1), most_fill in (0, 1], patience and "
                f"most_growth at least 1; found {self}."
            )


def propagate(
    model: SliceModel,
    encodings: Callable[[int], Any],
    shape: tuple[int, int, int],
    key: int,
    prompt: SlicePrompt,
    first: int,
    last: int,
    settings: PropagationSettings = PropagationSettings(),
    boxes: Mapping[int, SlicePrompt] = _NONE,
    within: SliceBox | None = None,
    images: Callable[[int], NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Logits [D, H, W] of a target shown on slice ``key``, followed down to ``first`` and up to ``last`` (half-open).

    ``encodings(index)`` gives what the model keeps of a slice. ``boxes`` are prompts on further slices, used where they
    are. ``within`` is what a box in three dimensions leaves of every slice: without a prompt of its own, no slice is
    answered beyond it and the reach, and one after an empty slice is asked with all of it. Without it, the target ends
    after ``patience`` lost slices; ``images(index)`` [H, W] or [H, W, 3] let it end where it fades. Raises InputError
    for slices that are not there.
    """
    _check(shape, key, first, last, boxes)
    walk = _Walk(model, encodings, settings, within, np.full(shape, NOT_TARGET, np.float32), images)
    walk.begin(key, prompt)
    for indices in (range(key + 1, last), range(key - 1, first - 1, -1)):
        walk.follow(indices, mask_box(walk.logits[key] > 0), boxes)
    return walk.logits


@dataclass
class _Walk:
    """A propagation under way: what it asks with, and the logits [D, H, W] it has so far."""

    model: SliceModel
    encodings: Callable[[int], Any]
    settings: PropagationSettings
    within: SliceBox | None
    logits: NDArray[np.float32]
    images: Callable[[int], NDArray[np.float32]] | None
    key_box: SliceBox | None = None
    key_contrast: float = 0.0

    def begin(self, key: int, prompt: SlicePrompt) -> None:
        """Ask on the key slice."""
        found = self.ask(key, prompt, self.within and self._grown(self.within, self.settings.reach))
        self.key_box = found or self.within or prompt.box
        self.key_contrast = self._contrast(key)

    def ask(self, index: int, prompt: SlicePrompt, limit: SliceBox | None = None) -> SliceBox | None:
        """Keep the answer to a prompt, as far as ``limit``; the box around it, None where it is empty."""
        self.logits[index] = self.model.decode(self.encodings(index), [prompt])[0]
        if limit is not None:
            _cut(self.logits[index], limit)
        return mask_box(self.logits[index] > 0)

    def follow(self, indices: Iterable[int], found: SliceBox | None, boxes: Mapping[int, SlicePrompt]) -> None:
        """Go through the slices after one whose answer has the box ``found``."""
        known = found or self.key_box
        lost: list[int] = []
        for index in indices:
            if index in boxes:
                found = self.ask(index, boxes[index])
                known, lost = found or boxes[index].box or known, []
            elif known is not None and (self.within is not None or len(lost) < self.settings.patience):
                found, sure = self._ask_near(index, found or self.within or known)
                known = found or known
                lost = [] if sure else [*lost, index]
        if self.within is None and len(lost) == self.settings.patience:
            self.logits[lost] = NOT_TARGET

    def _ask_near(self, index: int, before: SliceBox) -> tuple[SliceBox | None, bool]:
        """Ask with the box before; the box around the answer, and whether it is sure to be the target."""
        asked = self._grown(before, self.settings.margin)
        found = self.ask(index, SlicePrompt(box=asked), self._grown(before, self.settings.margin + self.settings.reach))
        if found is None:
            return None, False
        if self._leaks(index, found, asked):
            _cut(self.logits[index], before)
            return mask_box(self.logits[index] > 0), False
        return found, not self._fades(index)

    def _leaks(self, index: int, found: SliceBox, asked: SliceBox) -> bool:
        x0, y0, x1, y1 = pixels_of(asked)
        covered = np.count_nonzero(self.logits[index, y0:y1, x0:x1] > 0)
        if covered > self.settings.most_fill * (x1 - x0) * (y1 - y0):
            return True
        if self.within is not None or self.key_box is None:
            return False
        return any(
            found[axis + 2] - found[axis] > self.settings.most_growth * (self.key_box[axis + 2] - self.key_box[axis])
            for axis in (0, 1)
        )

    def _fades(self, index: int) -> bool:
        """Whether the answer differs from what is around it much less than on the key slice, or the other way."""
        share = self.settings.least_contrast
        return self.key_contrast != 0 and self._contrast(index) / self.key_contrast < share

    def _contrast(self, index: int) -> float:
        """Mean of the answer less that of as wide a surrounding as a quarter of its box; 0 where that tells nothing."""
        mask = self.logits[index] > 0
        box = mask_box(mask)
        if self.images is None or self.within is not None or box is None:
            return 0.0
        wide, high = max(2.0, 0.25 * (box[2] - box[0])), max(2.0, 0.25 * (box[3] - box[1]))
        x0, y0, x1, y1 = pixels_of((box[0] - wide, box[1] - high, box[2] + wide, box[3] + high))
        image = self.images(index)[y0:y1, x0:x1]
        values, inside = image.reshape(*image.shape[:2], -1).mean(axis=2), mask[y0:y1, x0:x1]
        return 0.0 if inside.all() else float(values[inside].mean() - values[~inside].mean())

    def _grown(self, box: SliceBox, margin: float) -> SliceBox:
        """The box with a margin, no further than the reach around ``within``."""
        size = self.logits.shape[1:]
        x0, y0, x1, y1 = grown(box, margin, (size[0], size[1]))
        if self.within is None:
            return x0, y0, x1, y1
        left, top, right, bottom = grown(self.within, self.settings.reach, (size[0], size[1]))
        return max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)


def _cut(logits: NDArray[np.float32], box: SliceBox) -> None:
    """Make everything outside a box not target."""
    x0, y0, x1, y1 = pixels_of(box)
    logits[:y0], logits[y1:] = NOT_TARGET, NOT_TARGET
    logits[:, :x0], logits[:, x1:] = NOT_TARGET, NOT_TARGET


def _check(shape: tuple[int, int, int], key: int, first: int, last: int, boxes: Mapping[int, SlicePrompt]) -> None:
    if not 0 <= first <= key < last <= shape[0]:
        raise InputError(
            f"A target goes from slice {first} to before slice {last} and is shown on slice {key}; these must be in "
            f"that order and within the {shape[0]} slices."
        )
    outside = [index for index in boxes if not first <= index < last]
    if outside:
        raise InputError(f"There are prompts on slices {outside}, outside the slices {first} to {last - 1} asked for.")
