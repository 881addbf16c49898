"""Cases with what may guide a model to their tumour: a mask of the organ, the right word and a wrong one."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from oncoprompt.errors import InputError
from oncoprompt.experiments.cases import SYNTHETIC, Case, LabelledStudy, cases_of
from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.tags.vocabulary import ABDOMEN, BRAIN, CONCEPTS, concept_of
from oncoprompt.study import LabelMap, schemas
from oncoprompt.study.foreground import foreground_mask
from oncoprompt.synthesis.case import SCHEMA, as_volume
from oncoprompt.synthesis.generate import case_of
from oncoprompt.synthesis.kinds import WORDS, abdomen_of_kinds
from oncoprompt.synthesis.subject import Subject
from oncoprompt.synthesis.two_kinds import KINDS

SYNTHETIC_CT = "synthetic abdomens"
"""Where CT cases come from, beside cases.LABELLED and cases.SYNTHETIC."""

FAMILIES = ("high-grade glioma", "meningioma", "metastases", "low-grade glioma")
"""Families of synthetic brain tumours in the order in which cases are drawn."""

DILATION_MM = 10.0

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GuidedStudy(LabelledStudy):
    """A labelled study with the mask (I, J, K) of its organ, the tumour included, and the word for the tumour.

    ``other`` is the word that is wrong, None for that of another kind of the same part of the body. Raises InputError
    as LabelledStudy does, and for an organ that is empty or on another grid.
    """

    organ: Mask
    word: str
    other: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.organ.shape != self.study.grid.shape or not self.organ.any():
            raise InputError(
                f"the mask of the organ has {np.count_nonzero(self.organ)} voxels on a grid of {self.organ.shape}; it "
                f"needs some, on the grid of the images ({self.study.grid.shape})."
            )

    @cached_property
    def wrong_word(self) -> str:
        """The word of another kind of tumour, the same in every run."""
        if self.other is not None:
            return self.other
        others = [word for word in (ABDOMEN if self.word in ABDOMEN else BRAIN) if word != self.word]
        return others[zlib.crc32(self.study.name.encode()) % len(others)]

    @cached_property
    def dilated(self) -> Mask:
        """The organ and all within DILATION_MM of it."""
        spacing = np.asarray(self.study.grid.spacing_mm)
        reach = np.ceil(DILATION_MM / spacing).astype(int) + 1
        low, high = mask_bounds(self.organ).T
        low, high = np.maximum(low - reach, 0), np.minimum(high + reach, self.organ.shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        out = np.zeros_like(self.organ)
        out[window] = distance_transform_edt(~self.organ[window], sampling=spacing) <= DILATION_MM
        return out

    @cached_property
    def eroded(self) -> Mask:
        """The inner half of the organ's voxels, those farthest from its edge."""
        window = tuple(slice(a, b) for a, b in mask_bounds(self.organ))
        inside = self.organ[window]
        depth = distance_transform_edt(np.pad(inside, 1), sampling=self.study.grid.spacing_mm)[1:-1, 1:-1, 1:-1]
        out = np.zeros_like(self.organ)
        out[window] = inside & (depth >= np.median(depth[inside]))
        return out


def guided_cases_of(
    data: Path | None, schema: str | None, word: str, synthetic: int, synthetic_ct: int, seed: int
) -> list[Case]:
    """Labelled brains of a data set, synthetic brains, and synthetic abdomens, whose readers give `GuidedStudy`.

    ``word`` is that for the tumours of the data set. Raises InputError for no cases, for a word that is not one of a
    brain's tumour, and as `cases_of` does.
    """
    said = CONCEPTS[concept_of(word)]
    if said not in BRAIN:
        raise InputError(f"'{word}' is not a kind of brain tumour that models know. Known: {', '.join(BRAIN)}.")
    cases = [
        replace(case, read=partial(_labelled, case, said))
        for case in (cases_of(data, schema, 0, seed) if data is not None else [])
    ]
    cases += [_synthetic(seed + n, n) for n in range(synthetic)]
    cases += [_synthetic_ct(seed + n, n) for n in range(synthetic_ct)]
    if not cases:
        raise InputError(
            "There are no cases to score. Give --data FOLDER, --synthetic N, --synthetic-ct N, or several."
        )
    return cases


def brain_of(labelled: LabelledStudy) -> Mask:
    """The brain (I, J, K) of a skull-stripped study, the tumour included."""
    brain: Mask = np.logical_or.reduce([foreground_mask(image) for image in labelled.study.channels.values()])
    return brain | labelled.regions["WT"]


def _labelled(case: Case, word: str) -> GuidedStudy:
    labelled = case.read()
    if "ct" in labelled.study.channels:
        raise InputError("it is a CT without a mask of its organ; this experiment takes MRI of brains as --data.")
    return GuidedStudy(labelled.study, labelled.truth, brain_of(labelled), word)


def _synthetic(seed: int, number: int) -> Case:
    name = f"synthetic-{seed}"
    return Case(name, name, SYNTHETIC, partial(_brain, seed, FAMILIES[number % len(FAMILIES)]))


def _brain(seed: int, family: str) -> GuidedStudy:
    made = case_of(Subject.random(seed, family), f"synthetic-{seed}")
    study = made.study()
    truth = LabelMap(as_volume(made.labels), study.grid, schemas.get(SCHEMA))
    return GuidedStudy(study, truth, as_volume(made.brain).astype(bool), KINDS[family])


def _synthetic_ct(seed: int, number: int) -> Case:
    name = f"synthetic-ct-{seed}"
    return Case(name, name, SYNTHETIC_CT, partial(_abdomen, seed, list(WORDS)[number % len(WORDS)]))


def _abdomen(seed: int, organ: str) -> GuidedStudy:
    made = abdomen_of_kinds(seed, [organ])
    word = WORDS[organ]
    truth = LabelMap(made.kinds[word].astype(np.uint8), made.study.grid, schemas.get("tumour"))
    return GuidedStudy(made.study, truth, made.anatomy[word], word)
