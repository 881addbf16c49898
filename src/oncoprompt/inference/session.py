"""One study under the eyes of one person: encode once, prompt as often as they like."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oncoprompt import __version__
from oncoprompt.errors import InputError
from oncoprompt.inference.box_check import box_warnings
from oncoprompt.inference.calibration import calibration_of
from oncoprompt.inference.device import device_named
from oncoprompt.inference.familiarity import intensity_statistics
from oncoprompt.inference.kinds import KindSegmentation
from oncoprompt.inference.prompt_check import PromptCheck
from oncoprompt.inference.search import places_of_interest
from oncoprompt.inference.segmentation import Provenance, Segmentation
from oncoprompt.methods.interface import Encoding, Method, Prompt, RegionProbabilities, enough_for, listed
from oncoprompt.methods.registry import load_model
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study import Study

_LOG = logging.getLogger(__name__)
_MOST_ENCODINGS = 8
_UNPOINTED = (
    "What is found in such a scan without a click or box is often no tumour. Check every place; click on the tumour."
)


@runtime_checkable
class Checking(Protocol):
    """A method that tells what it does not read before a scan is looked at."""

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise InputError for kinds of prompts, and for words, that the method does not read."""
        ...


class Session:
    """Segments a study from boxes, clicks, words, an anatomy mask or nothing, and keeps what is slow to compute.

    Raises InputError for a model or device that is not known and for a study that does not state the sizes of its
    voxels, WeightsError where the model's weights are missing.
    """

    def __init__(self, study: Study, model: str | Method = "msm-seg-compact", device: str = "auto") -> None:
        if study.sizes != "volume":
            unknown = "the thickness of its one slice" if study.sizes == "area" else "the size of its pixels"
            raise InputError(
                f"Study '{study.name}' does not state {unknown}, so this model can tell no volume in ml. Use a "
                "model of slices, such as medsam-compact."
            )
        self.study = study
        self._model = load_model(model, device_named(device)) if isinstance(model, str) else model
        self._calibration = calibration_of(self._model, self._model.weights_sha256)
        self._encodings: dict[bytes, Encoding] = {}
        self._checks = PromptCheck(study)
        self._prompts: tuple[Prompt, ...] = ()
        self._last: Segmentation | None = None

    def segment(self, prompt: Prompt | Sequence[Prompt] | None = None) -> Segmentation:
        """Segment from a box, several (one a lesion), clicks, words, an anatomy mask, a mixture of these, or nothing.

        Every box is looked at closely on its own and the answers are joined. Without a box the whole scan is searched
        first, and what is found is looked at closely. Words and the anatomy mask go along with every look. Raises
        InputError for prompts that the model does not read, and as `PromptCheck` does.
        """
        given = listed(prompt)
        self._check_read(given)
        prompts, doubts = self._checks.of(given)
        timings: dict[str, float] = {}
        drawn = [item for item in prompts if isinstance(item, Box)]
        others = [item for item in prompts if not isinstance(item, Box)]
        said: list[str] = []
        found = self._looked(drawn, others, timings) if drawn else self._searched(others, timings, said)
        joined = _join(found) if found else RegionProbabilities(np.zeros((3, 1, 1, 1), np.float32), (0, 0, 0))
        self._prompts = prompts
        provenance = Provenance(self._model.name, self._model.weights_sha256, prompts, __version__, timings)
        warnings = (*self._unfamiliar, *doubts, *self._misplaced(drawn, found), *said, *_unmet(prompts, joined))
        for warning in warnings:
            _LOG.warning("%s", warning)
        self._last = Segmentation(self.study, joined, provenance, calibration=self._calibration, warnings=warnings)
        return self._last

    def segment_kinds(self, words: Sequence[str], prompt: Prompt | Sequence[Prompt] | None = None) -> KindSegmentation:
        """Ask for one kind of tumour after another, each with the same other prompts, and number them in that order.

        Raises InputError for no words, words given twice and `Text` among the prompts, and as `segment` does.
        """
        prompts = listed(prompt)
        if not words or len(set(words)) < len(words) or any(isinstance(item, Text) for item in prompts):
            raise InputError(
                f"Kinds are asked for by different words, each once, beside other prompts. Found: "
                f"{', '.join(words) or 'no words'}."
            )
        texts = [Text(said) for said in words]
        for text in texts:
            self._check_read((*prompts, text))
        answers = {text.words: self.segment((*prompts, text)) for text in texts}
        timings: dict[str, float] = {}
        for answer in answers.values():
            for step, seconds in answer.provenance.timings_s.items():
                timings[step] = timings.get(step, 0.0) + seconds
        last = next(reversed(answers.values())).provenance
        others = [item for item in last.prompts if not isinstance(item, Text)]
        return KindSegmentation(self.study, answers, replace(last, prompts=(*others, *texts), timings_s=timings))

    def click(self, click: Click) -> Segmentation:
        """Correct the last answer with one more click; nothing already looked at is encoded again."""
        return self.segment((*self._prompts, click))

    @cached_property
    def _unfamiliar(self) -> list[str]:
        """What looks unlike the training studies, as far as the model's calibration knows them."""
        if self._calibration is None:
            return []
        return self._calibration.familiarity.warnings(intensity_statistics(self.study))

    def _misplaced(self, boxes: Sequence[Box], found: Sequence[RegionProbabilities]) -> list[str]:
        """What speaks against the boxes that were drawn, each beside its answer."""
        if not boxes:
            return []
        least = 0.0 if self._calibration is None else self._calibration.least_certainty
        said = []
        for box, answer in zip(boxes, found, strict=True):
            said += box_warnings(box.to_voxels(self.study.grid), answer, self._checks.foreground, least)
        return said

    def _check_read(self, prompts: Sequence[Prompt]) -> None:
        if isinstance(self._model, Checking):
            self._model.check(prompts)

    def _looked(
        self, boxes: Sequence[Box], prompts: Sequence[Prompt], timings: dict[str, float]
    ) -> list[RegionProbabilities]:
        """Segment each box from its surroundings."""
        found = []
        for box in boxes:
            encoding = self._encode(box.to_voxels(self.study.grid), timings)
            found.append(self._decode(encoding, [box, *prompts], timings))
        return found

    def _searched(
        self, prompts: Sequence[Prompt], timings: dict[str, float], said: list[str]
    ) -> list[RegionProbabilities]:
        """Answers about the lesions that a look at the whole scan shows, closer ones where they tell more."""
        encoding = self._encode(None, timings)
        seen = self._decode(encoding, prompts, timings)
        enough = enough_for(encoding, prompts)
        if enough is None:
            return self._looked(self._places(prompts, seen, encoding.seen, said), prompts, timings)
        boxes = self._places(prompts, seen, enough, said)
        if boxes:
            said.append(_UNPOINTED)
        return [_within(seen, box.to_voxels(self.study.grid)) for box in boxes]

    def _places(self, prompts: Sequence[Prompt], seen: RegionProbabilities, least: float, said: list[str]) -> list[Box]:
        """Boxes of the lesions that are seen; with positive clicks, of those they hit.

        Without such clicks, lesions outside the organ of an anatomy mask are left out, and that is `said`.
        """
        offset = np.asarray(seen.offset)
        points = [c.to_voxel(self.study.grid) - offset for c in prompts if isinstance(c, Click) and c.positive]
        last = np.asarray(seen.values.shape[1:]) - 1
        hits = [np.clip(point, 0, last) for point in points]
        places = places_of_interest(seen.values[0], self.study.grid.spacing_mm, hits, least)
        boxes = [Box.from_voxels(place + offset[:, None], self.study.grid) for place in places]
        organs = [prompt for prompt in prompts if isinstance(prompt, Anatomy)]
        if hits or not organs:
            return boxes
        inside = [box for box in boxes if any(organ.touches(box) for organ in organs)]
        if len(inside) < len(boxes):
            lying = "lies" if len(boxes) - len(inside) == 1 else "lie"
            said.append(
                f"Of {len(boxes)} places found, {len(boxes) - len(inside)} {lying} outside the anatomy mask and "
                "stay out. Click on one to have it outlined."
            )
        return inside

    def _encode(self, region: NDArray[np.int64] | None, timings: dict[str, float]) -> Encoding:
        key = b"whole" if region is None else region.tobytes()
        if key not in self._encodings:
            began = time.perf_counter()
            if len(self._encodings) >= _MOST_ENCODINGS:
                self._encodings.pop(next(iter(self._encodings)))
            self._encodings[key] = self._model.encode(self.study, region)
            timings["encode"] = timings.get("encode", 0.0) + time.perf_counter() - began
        return self._encodings[key]

    def _decode(self, encoding: Encoding, prompts: Sequence[Prompt], timings: dict[str, float]) -> RegionProbabilities:
        began = time.perf_counter()
        previous = self._last.probabilities if self._last is not None else None
        out = self._model.decode(encoding, prompts, self.study, previous)
        timings["decode"] = timings.get("decode", 0.0) + time.perf_counter() - began
        return out


def _unmet(prompts: Sequence[Prompt], answer: RegionProbabilities) -> list[str]:
    """Words for which nothing was found."""
    if (answer.values[0] > 0.5).any():
        return []
    return [f"Nothing was found for '{item.words}'." for item in prompts if isinstance(item, Text)]


def _within(seen: RegionProbabilities, box: NDArray[np.int64]) -> RegionProbabilities:
    """The part of an answer in half-open voxels (3, 2) of the study, which it covers."""
    i, j, k = (slice(low - o, high - o) for o, (low, high) in zip(seen.offset, box.tolist(), strict=True))
    first = box[:, 0].tolist()
    return RegionProbabilities(seen.values[:, i, j, k], (first[0], first[1], first[2]))


def _join(found: Sequence[RegionProbabilities]) -> RegionProbabilities:
    """The most likely of several answers, voxel by voxel; a maximum of nested probabilities is nested."""
    if len(found) == 1:
        return found[0]
    low = np.min([f.offset for f in found], axis=0)
    high = np.max([np.asarray(f.offset) + f.values.shape[1:] for f in found], axis=0)
    values = np.zeros((3, *(high - low)), dtype=np.float32)
    for f in found:
        start = np.asarray(f.offset) - low
        i, j, k = (slice(int(s), int(s) + n) for s, n in zip(start, f.values.shape[1:], strict=True))
        np.maximum(values[:, i, j, k], f.values, out=values[:, i, j, k])
    return RegionProbabilities(values, (int(low[0]), int(low[1]), int(low[2])))
