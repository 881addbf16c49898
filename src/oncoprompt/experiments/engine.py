"""Cases times settings: every answer with its scores, whatever single cases are like."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oncoprompt.errors import InputError, OncoPromptError, WeightsError
from oncoprompt.evaluation import RegionScores, evaluate_regions
from oncoprompt.experiments.cases import Case, LabelledStudy
from oncoprompt.experiments.protocol import PromptProtocol
from oncoprompt.experiments.timed import Timed
from oncoprompt.methods.interface import Method
from oncoprompt.study import REGIONS

_log = logging.getLogger(__name__)

MISS_MM = 374.0
"""HD95 that counts for a region that is missed wholly, as BraTS counts a missed lesion."""


@dataclass(frozen=True)
class Setting:
    """One way of getting answers: a model, how it is asked, and the channels it is given (None: all)."""

    name: str
    model: Method
    protocol: PromptProtocol
    channels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """Scores of one answer, none for a region that is not in the truth; ``decode_s``: seconds of timed.clock."""

    case: str
    source: str
    setting: str
    weights_sha256: str
    draw: int
    decode_s: float
    regions: Mapping[str, RegionScores]


@dataclass(frozen=True)
class Outcome:
    """All answers of an experiment, and a sentence for each case that could not be scored."""

    answers: tuple[Answer, ...]
    problems: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the scored cases come from, in the order in which they came."""
        return tuple(dict.fromkeys(answer.source for answer in self.answers))

    def cases(self, source: str) -> tuple[str, ...]:
        """Names of the scored cases of a source."""
        return tuple(dict.fromkeys(answer.case for answer in self.answers if answer.source == source))

    def per_case(self, source: str, setting: str, score: Callable[[Answer], float | None]) -> dict[str, float]:
        """A score of each case in a setting, the mean over its draws; cases without it are left out."""
        values: dict[str, list[float]] = {}
        for answer in self.answers:
            if answer.source == source and answer.setting == setting and (value := score(answer)) is not None:
                values.setdefault(answer.case, []).append(value)
        return {case: float(np.mean(drawn)) for case, drawn in values.items()}


def run(
    cases: Sequence[Case],
    settings: Callable[[LabelledStudy], Iterable[Setting]],
    begin: Callable[[], None] = lambda: None,
) -> Outcome:
    """Score every case in each of its settings; ``begin`` is called when the next case begins.

    A case that cannot be read or segmented is told by name, left out wholly, and the others go on. Raises InputError
    where no case is left, WeightsError at once.
    """
    answers: list[Answer] = []
    problems: list[str] = []
    for case in cases:
        begin()
        try:
            labelled = case.read()
            answers += [answer for setting in settings(labelled) for answer in _asked(case, labelled, setting)]
        except WeightsError:
            raise
        except (OncoPromptError, OSError, MemoryError, RuntimeError) as error:
            problems.append(f"Case '{case.name}' is left out: {error}")
            _log.warning(problems[-1])
    if not answers:
        raise InputError(f"None of the {len(cases)} cases could be scored. {problems[0] if problems else ''}".strip())
    return Outcome(tuple(answers), tuple(problems))


def dice_of(region: str) -> Callable[[Answer], float | None]:
    """Reads the Dice of a region from an answer, or the mean of all regions that occur for "mean"."""

    def read(answer: Answer) -> float | None:
        if region == "mean":
            return float(np.mean([scores.dice for scores in answer.regions.values()]))
        return answer.regions[region].dice if region in answer.regions else None

    return read


def hausdorff95_of(region: str) -> Callable[[Answer], float | None]:
    """Reads the HD95 (mm) of a region from an answer, MISS_MM where the region is missed wholly."""

    def read(answer: Answer) -> float | None:
        if region not in answer.regions:
            return None
        distance = answer.regions[region].hausdorff95_mm
        return distance if np.isfinite(distance) else MISS_MM

    return read


def _asked(case: Case, labelled: LabelledStudy, setting: Setting) -> list[Answer]:
    study = labelled.study if setting.channels is None else labelled.with_channels(setting.channels)
    answers = []
    timed = Timed(setting.model)
    drawn = setting.protocol.answers(timed, study, labelled.regions["WT"])
    for draw, answer in enumerate(drawn):
        masks = {region: answer.mask(region) for region in REGIONS}
        scores = evaluate_regions(masks, labelled.regions, study.grid.spacing_mm)
        weights = setting.model.weights_sha256
        answers.append(Answer(case.name, case.source, setting.name, weights, draw, timed.decode_s, scores))
        timed.decode_s = 0.0
    return answers
