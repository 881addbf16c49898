"""What a model is told of a tumour: clicks of a sure or an unsure hand, a right or wrong word, a good or bad mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from oncoprompt.experiments.guided_cases import DILATION_MM, GuidedStudy
from oncoprompt.experiments.protocol import PromptProtocol, moved_box
from oncoprompt.inference import Segmentation, Session
from oncoprompt.methods.interface import Prompt
from oncoprompt.prompts import Anatomy, Click, Text, random_clicks

SHIFT_MM = 30.0
CLICKS, WORD, ANATOMY, BOX = "clicks", "word", "anatomy", "box"
"""What a model may be able to read."""

Mask = NDArray[np.bool_]

_ANATOMIES: Mapping[str, Callable[[GuidedStudy, np.random.Generator], Mask]] = {
    "right": lambda study, _: study.organ,
    "shifted": lambda study, rng: _shifted(study, rng),
    "dilated": lambda study, _: study.dilated,
    "eroded": lambda study, _: study.eroded,
}


@dataclass(frozen=True)
class Guidance:
    """clicks: how many, drawn uniformly from the whole tumour; off_mm: each moved so far in a direction of its own.

    border: from the tumour's outermost voxels instead. word: "right", "wrong" or None. anatomy: "right", "shifted",
    "dilated", "eroded" or None. box: a box around the whole tumour, its sides moved by up to 10 %, and nothing else.
    """

    name: str
    clicks: int = 3
    off_mm: float = 0.0
    border: bool = False
    word: str | None = "right"
    anatomy: str | None = "right"
    box: bool = False

    @property
    def told(self) -> frozenset[str]:
        """What a model has to read for all of it to matter."""
        if self.box:
            return frozenset({BOX})
        parts = {CLICKS: self.clicks > 0, WORD: self.word is not None, ANATOMY: self.anatomy is not None}
        return frozenset(part for part, given in parts.items() if given)

    def only(self, reads: frozenset[str]) -> Guidance:
        """The part of it that a model can read."""
        return replace(
            self,
            clicks=self.clicks if CLICKS in reads else 0,
            word=self.word if WORD in reads else None,
            anatomy=self.anatomy if ANATOMY in reads else None,
        )

    def prompts(self, study: GuidedStudy, rng: np.random.Generator) -> list[Prompt]:
        """The prompts of one draw; clicks are drawn first, so that they are the same whatever else is told."""
        prompts: list[Prompt] = [Click.at_voxel(voxel, study.study.grid) for voxel in self._voxels(study, rng)]
        if self.word is not None:
            prompts.append(Text(study.word if self.word == "right" else study.wrong_word))
        if self.anatomy is not None:
            prompts.append(Anatomy(_ANATOMIES[self.anatomy](study, rng), study.study.grid))
        return prompts

    def protocol(self, study: GuidedStudy, draws: int) -> PromptProtocol:
        """How this study is asked; drawn once where nothing is random."""
        if self.box:
            return moved_box(0.1, draws)

        def ask(session: Session, _: Mask, rng: np.random.Generator) -> Segmentation:
            return session.segment(self.prompts(study, rng))

        random = self.clicks > 0 or self.anatomy == "shifted"
        return PromptProtocol(self.name, self.name, draws if random else 1, ask)

    def _voxels(self, study: GuidedStudy, rng: np.random.Generator) -> NDArray[np.int64]:
        tumour = study.regions["WT"]
        source = tumour & ~binary_erosion(tumour) if self.border else tumour
        voxels = random_clicks(source, self.clicks, rng)
        if self.off_mm == 0:
            return voxels
        steps = _directions(self.clicks, rng) * self.off_mm / np.asarray(study.study.grid.spacing_mm)
        return np.asarray(np.clip(np.round(voxels + steps), 0, np.asarray(tumour.shape) - 1), dtype=np.int64)


GUIDANCE = (
    Guidance("all: 3 clicks, word, mask"),
    Guidance("0 clicks", clicks=0),
    Guidance("1 click", clicks=1),
    Guidance("10 clicks", clicks=10),
    Guidance("clicks off by 5 mm", off_mm=5.0),
    Guidance("clicks off by 10 mm", off_mm=10.0),
    Guidance("clicks at the border", border=True),
    Guidance("wrong word", word="wrong"),
    Guidance("no word", word=None),
    Guidance("no mask", anatomy=None),
    Guidance(f"mask off by {SHIFT_MM:g} mm", anatomy="shifted"),
    Guidance(f"mask dilated by {DILATION_MM:g} mm", anatomy="dilated"),
    Guidance("inner half of the mask", anatomy="eroded"),
    Guidance("3 clicks alone", word=None, anatomy=None),
    Guidance("0 clicks, wrong word", clicks=0, word="wrong"),
    Guidance("word alone", clicks=0, anatomy=None),
    Guidance("mask alone", clicks=0, word=None),
    Guidance("nothing", clicks=0, word=None, anatomy=None),
    Guidance("box ±10 % alone", box=True),
)
"""One thing changed at a time from three clicks inside, the right word and the organ's mask; the last six less."""


def _directions(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Unit vectors (count, 3), uniform on the sphere."""
    drawn = rng.normal(size=(count, 3))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _shifted(study: GuidedStudy, rng: np.random.Generator) -> Mask:
    """The organ SHIFT_MM away in a random direction, in the opposite one where nothing of it would be left."""
    step = _directions(1, rng)[0] * SHIFT_MM / np.asarray(study.study.grid.spacing_mm)
    moved = _moved(study.organ, np.round(step).astype(int))
    return moved if moved.any() else _moved(study.organ, -np.round(step).astype(int))


def _moved(mask: Mask, step: NDArray[np.int_]) -> Mask:
    """A mask moved by whole voxels; what leaves the scan is lost."""
    out = np.zeros_like(mask)
    pairs = [
        (slice(max(s, 0), n + min(s, 0)), slice(max(-s, 0), n - max(s, 0)))
        for s, n in zip(step, mask.shape, strict=True)
    ]
    out[tuple(to for to, _ in pairs)] = mask[tuple(source for _, source in pairs)]
    return out
