"""Models that are told the same of a tumour: how good they are, and what each loses where it is told wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oncoprompt.errors import InputError
from oncoprompt.experiments.cases import Case, LabelledStudy
from oncoprompt.experiments.contenders import Contender
from oncoprompt.experiments.encodings import EncodedOnce
from oncoprompt.experiments.engine import Outcome, Setting, dice_of, run
from oncoprompt.experiments.guidance import GUIDANCE
from oncoprompt.experiments.guided_cases import GuidedStudy

REGION = "WT"
"""Region that is compared; of CT it is the tumour."""


@dataclass(frozen=True)
class Comparison:
    """Contenders, all their answers, how many draws there were of what is random, and how they were trained."""

    contenders: tuple[Contender, ...]
    outcome: Outcome
    draws: int

    def dice(self, source: str, contender: Contender, guidance: str) -> dict[str, float]:
        """Dice of each case; empty where the model was not asked."""
        return self.outcome.per_case(source, contender.setting(guidance), dice_of(REGION))

    def lost(self, source: str, contender: Contender) -> dict[str, float]:
        """Mean Dice of all guidance minus that of each other; empty where the model was not asked."""
        usual = self.dice(source, contender, GUIDANCE[0].name)
        lost = {}
        for guidance in GUIDANCE[1:]:
            if values := self.dice(source, contender, guidance.name):
                lost[guidance.name] = float(np.mean([usual[case] - values[case] for case in values]))
        return lost


def fair_comparison(
    contenders: Sequence[Contender], cases: Sequence[Case], begin: Callable[[], None], draws: int = 3
) -> Comparison:
    """Tell every model the same of every case, as far as it can read it; cases are those of `guided_cases_of`."""
    shared = [replace(contender, method=EncodedOnce(contender.method)) for contender in contenders]

    def settings(labelled: LabelledStudy) -> Iterable[Setting]:
        if not isinstance(labelled, GuidedStudy):
            raise InputError("it comes without a mask of its organ and a word; read it with guided_cases_of.")
        for contender in shared:
            if contender.ct or "ct" not in labelled.study.channels:
                yield from _settings(contender, labelled, draws)

    return Comparison(tuple(contenders), run(cases, settings, begin), draws)


def _settings(contender: Contender, study: GuidedStudy, draws: int) -> Iterable[Setting]:
    for guidance in GUIDANCE:
        if contender.asked_as[guidance.name] == guidance.name:
            told = guidance.only(contender.reads)
            yield Setting(contender.setting(guidance.name), contender.method, told.protocol(study, draws))
