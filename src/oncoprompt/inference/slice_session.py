"""One picture or scan under a model of slices: slices encoded once, any number of targets prompted on them."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oncoprompt import __version__
from oncoprompt.errors import InputError
from oncoprompt.inference.device import device_named
from oncoprompt.inference.prompt_check import PromptCheck
from oncoprompt.inference.segmentation import Provenance
from oncoprompt.inference.slice_images import SliceImages
from oncoprompt.inference.slice_targets import PixelBox, Target, targets_of
from oncoprompt.inference.targets import MOST_TARGETS, TargetLogits, TargetSegmentation
from oncoprompt.methods.interface import Prompt, listed
from oncoprompt.methods.medsam.propagation import NOT_TARGET, propagate
from oncoprompt.methods.medsam.slice_model import SliceModel, SlicePrompt
from oncoprompt.methods.registry import load_slice_model
from oncoprompt.prompts import Click
from oncoprompt.prompts.slice_box import mask_box
from oncoprompt.study import Study

_LOG = logging.getLogger(__name__)
_MOST_ENCODINGS = 128
_MOST_ANSWERS = 32
_TARGETS_A_BATCH = 16


@runtime_checkable
class VolumeModel(Protocol):
    """A model of slices that follows a target through a volume by itself."""

    def segment_volume(
        self, stack: NDArray[np.float32], key: int, prompt: SlicePrompt, first: int, last: int
    ) -> NDArray[np.float32]: ...


class SliceSession:
    """Segments targets on a picture or a scan from boxes, clicks and words, one target a box.

    Slices across ``plane`` (by default that of the largest spacing) show ``channel`` (by default the only one, or a
    picture's colours) after ``window``, a preset of `methods.medsam.intensities`. Raises InputError for a plane,
    channel, window, model or device that is not known, WeightsError where the model's weights are missing.
    """

    def __init__(
        self,
        study: Study,
        model: str | SliceModel = "medsam-compact",
        device: str = "auto",
        plane: str | None = None,
        channel: str | None = None,
        window: str | None = None,
    ) -> None:
        self.study = study
        self.images = SliceImages.of(study, plane, channel, window)
        self._model = load_slice_model(model, device_named(device)) if isinstance(model, str) else model
        self._checks = PromptCheck(study)
        self._encodings: OrderedDict[int, Any] = OrderedDict()
        self._answers: OrderedDict[tuple[Target, bool], TargetLogits] = OrderedDict()
        self._asked: tuple[tuple[Prompt, ...], bool] = (), True
        self._encode_s = 0.0

    def segment(self, prompt: Prompt | Sequence[Prompt], propagate: bool = True) -> TargetSegmentation:
        """Segment a target for each box; clicks correct the target they are nearest to, and words go to all.

        In a volume, a box one slice thick is the target on that slice, and the model follows it up and down to where it
        ends; a thicker box says where it ends. Without ``propagate`` a box is asked on each of its slices as it is, and
        no other slice is looked at. Clicks without a box show one target, to models that take them. Raises InputError
        for kinds of prompts that the model does not know, and as `PromptCheck` does.
        """
        prompts, doubts = self._checks.of(listed(prompt))
        targets = targets_of(prompts, self.images.stack)
        if len(targets) > MOST_TARGETS:
            raise InputError(f"{len(targets)} boxes were given; a label map numbers at most {MOST_TARGETS} targets.")
        began, encoded_before = time.perf_counter(), self._encode_s
        if self.images.stack.shape[0] == 1:
            self._answer_picture(targets)
        found = [self._answer(target, propagate) for target in targets]
        encoding = self._encode_s - encoded_before
        timings = {"encode": encoding, "decode": time.perf_counter() - began - encoding}
        self._asked = prompts, propagate
        return self._told(prompts, found, timings, doubts)

    def click(self, click: Click) -> TargetSegmentation:
        """Correct the last answer with one more click; no slice and no other target is looked at again."""
        prompts, propagate = self._asked
        return self.segment((*prompts, click), propagate)

    def _told(
        self,
        prompts: tuple[Prompt, ...],
        found: Sequence[TargetLogits],
        timings: dict[str, float],
        doubts: Sequence[str],
    ) -> TargetSegmentation:
        nothing = (
            f"Nothing was found for target {number}. Check where its box or click lies."
            for number, target in enumerate(found, start=1)
            if not (target.values > 0).any()
        )
        warnings = (*doubts, *nothing)
        for warning in warnings:
            _LOG.warning("%s", warning)
        provenance = Provenance(self._model.name, self._model.weights_sha256, prompts, __version__, timings)
        images = self.images
        done = images.intensities.to_mapping()
        return TargetSegmentation(self.study, found, provenance, images.stack.plane, images.channels, done, warnings)

    def _answer_picture(self, targets: Sequence[Target]) -> None:
        """Answer all targets of a single slice together, and keep the answers."""
        new = [target for target in dict.fromkeys(targets) if (target, True) not in self._answers]
        for start in range(0, len(new), _TARGETS_A_BATCH):
            some = new[start : start + _TARGETS_A_BATCH]
            answers = self._model.decode(self._encoded(0), [target.prompt(0, target.pixels) for target in some])
            for target, logits in zip(some, answers, strict=True):
                self._keep(target, True, logits[None])
                self._keep(target, False, logits[None])

    def _answer(self, target: Target, propagate: bool) -> TargetLogits:
        if (target, propagate) not in self._answers:
            self._keep(target, propagate, self._follow(target) if propagate else self._box_by_box(target))
        self._answers.move_to_end((target, propagate))
        return self._answers[target, propagate]

    def _keep(self, target: Target, propagate: bool, logits: NDArray[np.float32]) -> None:
        self._answers[target, propagate] = TargetLogits.cropped(self.images.stack.volume(logits))
        while len(self._answers) > max(_MOST_ANSWERS, 2 * MOST_TARGETS):
            self._answers.popitem(last=False)

    def _box_by_box(self, target: Target) -> NDArray[np.float32]:
        """Logits [D, H, W] of a box asked on each of its slices."""
        logits = np.full(self.images.stack.shape, NOT_TARGET, dtype=np.float32)
        indices = range(*target.box[0]) if target.box is not None else {point.index for point in target.points}
        for index in indices:
            logits[index] = self._model.decode(self._encoded(index), [target.prompt(index, target.pixels)])[0]
        return logits

    def _follow(self, target: Target) -> NDArray[np.float32]:
        """Logits [D, H, W] of a target followed through the volume, with its clicks on further slices."""
        slices = self.images.stack.shape[0]
        first, last = target.extent(slices)
        shown = target.prompt(target.key, target.pixels)
        corrected = {index: target.prompt(index, self._box_on(target, index)) for index in target.beyond}
        corrected = {index: prompt for index, prompt in corrected.items() if first <= index < last}
        if isinstance(self._model, VolumeModel):
            logits = self._model.segment_volume(self.images.values, target.key, shown, first, last)
            for index, prompt in corrected.items():
                logits[index] = self._model.decode(self._encoded(index), [prompt])[0]
            return logits
        return propagate(
            self._model,
            self._encoded,
            self.images.stack.shape,
            target.key,
            shown,
            first,
            last,
            boxes=corrected,
            within=target.limits,
            images=self.images.slice,
        )

    def _box_on(self, target: Target, index: int) -> PixelBox | None:
        """Where a target lies on a slice by the answer without the clicks beyond its first slice, else its box."""
        before = self._answer(target.on_key_alone(), True)
        found = np.zeros(self.study.grid.shape, dtype=bool)
        found[before.window] = before.values > 0
        return mask_box(self.images.stack.slices(found)[index]) or target.pixels

    def _encoded(self, index: int) -> Any:
        if index not in self._encodings:
            began = time.perf_counter()
            while len(self._encodings) >= _MOST_ENCODINGS:
                self._encodings.popitem(last=False)
            self._encodings[index] = self._model.encode(self.images.slice(index))
            self._encode_s += time.perf_counter() - began
        self._encodings.move_to_end(index)
        return self._encodings[index]
