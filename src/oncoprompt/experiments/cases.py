"""The labelled cases of an experiment: those of a folder, synthetic ones, or both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt import cohort
from oncoprompt.errors import InputError
from oncoprompt.study import LabelMap, Study, schemas
from oncoprompt.synthesis.case import SCHEMA, LabelledCase
from oncoprompt.synthesis.generate import synthesize

_log = logging.getLogger(__name__)

LABELLED, SYNTHETIC = "labelled cases", "synthetic studies"
"""Where cases come from; scores of the two are never averaged together."""


@dataclass(frozen=True, eq=False)
class LabelledStudy:
    """A study with its truth on the same grid; raises InputError for another grid and where there is no tumour."""

    study: Study
    truth: LabelMap

    def __post_init__(self) -> None:
        if not self.study.grid.matches(self.truth.grid):
            raise InputError(
                "the label map lies on another grid than the images: "
                f"{self.study.grid.difference(self.truth.grid)} first."
            )
        if not self.regions.get("WT", np.zeros(1)).any():
            raise InputError("the label map holds no tumour, so there is nothing to ask for.")

    @cached_property
    def regions(self) -> dict[str, NDArray[np.bool_]]:
        """Masks (I, J, K) of the regions that occur."""
        return {region: mask for region, mask in self.truth.region_masks().items() if mask.any()}

    def with_channels(self, channels: Sequence[str]) -> Study:
        """The study with these of its channels alone."""
        whole = self.study
        return Study({name: whole.channels[name] for name in channels}, whole.grid, whole.name, whole.header)

    def in_head_box(self) -> LabelledCase:
        """The case as training takes it."""
        return LabelledCase.of_study(self.study, self.truth)


@dataclass(frozen=True)
class Case:
    """A case that is read when its turn comes; ``source`` is LABELLED or SYNTHETIC."""

    name: str
    patient: str
    source: str
    read: Callable[[], LabelledStudy]


def cases_of(data: Path | None, schema: str | None, synthetic: int, seed: int) -> list[Case]:
    """The labelled cases of a data set, then synthetic studies of the seeds from ``seed`` on.

    ``schema`` is that of the label maps, or None for what the data set or each file says. Raises InputError for neither
    of both, for a data set without labelled cases, and as `cohort.read_cohort` does.
    """
    if data is None and synthetic <= 0:
        raise InputError("There are no cases to score. Give --data FOLDER, --synthetic N, or both.")
    return [*(_labelled(data, schema) if data is not None else []), *(_synthetic(seed + n) for n in range(synthetic))]


def _labelled(data: Path, schema: str | None) -> list[Case]:
    found = cohort.read_cohort(data, schema=schema)
    for problem in found.problems:
        _log.warning("%s", problem)
    if not found.labelled:
        raise InputError(f"None of the {len(found.cases)} cases in '{data}' has a label map to score against.")
    return [Case(case.name, case.patient, LABELLED, partial(_read, case)) for case in found.labelled]


def _read(case: cohort.Case) -> LabelledStudy:
    return LabelledStudy(case.study(), case.labels())


def _synthetic(seed: int) -> Case:
    name = f"synthetic-{seed}"
    return Case(name, name, SYNTHETIC, partial(_synthesized, seed))


def _synthesized(seed: int) -> LabelledStudy:
    made = synthesize(seed)
    return LabelledStudy(made.study, LabelMap(made.label_map, made.study.grid, schemas.get(SCHEMA)))
