"""Scores of a whole cohort: every case by one profile, and what they are on average."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError, in_shell
from oncoprompt.evaluation.lesionwise import TOLERANCES_MM, LesionWiseScores, missing_case, score_case
from oncoprompt.evaluation.pair_reading import read_pair
from oncoprompt.evaluation.pairing import Pair, Pairing
from oncoprompt.evaluation.profiles import Profile
from oncoprompt.evaluation.statistics import PairedTest, bootstrap_interval, defined, mean, paired_test
from oncoprompt.study import schemas


@dataclass(frozen=True)
class CaseScores:
    """Figures of one case, region by region; `problem` says why it was scored as a missing prediction, if it was."""

    case: str
    regions: Mapping[str, Mapping[str, float]]
    problem: str | None = None

    @property
    def lesionwise_dice(self) -> float:
        """Mean lesion-wise Dice over the regions that have one, NaN where none has."""
        return mean([figures["lesionwise_dice"] for figures in self.regions.values()])


@dataclass(frozen=True)
class CohortScores:
    """Scores of every case that has a truth.

    `unusable` says of the other cases why their truth cannot be read; `without_truth` names predictions of no case.
    """

    profile: Profile
    cases: tuple[CaseScores, ...]
    without_truth: tuple[str, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the figures; distances are in mm, `volume_ml` is the prediction's."""
        return tuple(next((figures for case in self.cases for figures in case.regions.values()), ()))

    @property
    def missing(self) -> tuple[str, ...]:
        """Cases scored as a missing prediction."""
        return tuple(case.case for case in self.cases if case.problem is not None)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with a case, by its name."""
        return {case.case: case.problem for case in self.cases if case.problem is not None} | dict(self.unusable)

    def values(self, region: str, metric: str) -> NDArray[np.float64]:
        """One figure of every case (N,), NaN where the profile does not define it."""
        return np.array([case.regions[region][metric] for case in self.cases], dtype=np.float64)

    def mean(self, region: str, metric: str) -> float:
        """Mean over the cases in which the figure is defined."""
        return mean(self.values(region, metric))

    def interval(self, region: str, metric: str) -> tuple[float, float] | None:
        """Bootstrap 95 % interval of that mean, None for fewer than two cases."""
        return bootstrap_interval(self.values(region, metric))

    def worst(self, count: int) -> list[CaseScores]:
        """The cases with the lowest mean lesion-wise Dice, the lowest first."""
        judged = [case for case in self.cases if defined([case.lesionwise_dice]).size]
        return sorted(judged, key=lambda case: case.lesionwise_dice)[:count]

    def compared(self, other: CohortScores) -> dict[str, dict[str, PairedTest]]:
        """Paired test of every region and metric against other predictions for the same truth, this minus other."""
        theirs = {case.case: case for case in other.cases}
        pairs = [(case, theirs[case.case]) for case in self.cases if case.case in theirs]
        tested = [metric for metric in self.metrics if metric != "truth_volume_ml"]

        def test(region: str, metric: str) -> PairedTest:
            mine = [case.regions[region][metric] for case, _ in pairs]
            return paired_test(mine, [case.regions[region][metric] for _, case in pairs])

        return {region: {metric: test(region, metric) for metric in tested} for region in self.profile.regions}


def score_cohort(
    pairing: Pairing,
    profile: Profile,
    schema: str | None = None,
    jobs: int = 1,
    begin: Callable[[], None] = lambda: None,
) -> CohortScores:
    """Score every pair in `jobs` processes; `begin` is called as the next case is waited for.

    A label map is read in the schema that its file names, else in `schema`, else in the profile's own numbering. A
    prediction that cannot be used is scored as missing, and the others go on. Raises InputError for an unknown schema
    and where no prediction at all can be scored.
    """
    if schema is not None:
        schemas.get(schema)
    cases: list[CaseScores] = []
    unusable = dict(pairing.unusable)
    score = partial(_scored, profile=profile, schema=schema)
    for pair, result in zip(pairing.pairs, _mapped(score, pairing.pairs, jobs, begin), strict=True):
        if isinstance(result, str):
            unusable[pair.case] = result
        else:
            cases.append(result)
    scores = CohortScores(profile, tuple(cases), pairing.without_truth, unusable)
    if len(scores.missing) == len(cases):
        case, problem = next(iter(scores.problems.items()))
        raise InputError(f"None of {len(scores.problems)} cases can be scored. The first, '{case}': {problem}")
    return scores


def _mapped(
    score: Callable[[Pair], CaseScores | str], pairs: Sequence[Pair], jobs: int, begin: Callable[[], None]
) -> Iterator[CaseScores | str]:
    def told(results: Iterable[CaseScores | str]) -> Iterator[CaseScores | str]:
        waiting = iter(results)
        for _ in pairs:
            begin()
            yield next(waiting)

    if jobs <= 1 or len(pairs) <= 1:
        yield from told(map(score, pairs))
        return
    # Processes start afresh: a fork of a process with threads, such as that of a progress bar, may never end.
    with ProcessPoolExecutor(min(jobs, len(pairs)), get_context("spawn"), _left_to_the_parent) as pool:
        try:
            yield from told(pool.map(score, pairs))
        except BaseException:
            # nobody waits any more for the cases that have not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _left_to_the_parent() -> None:
    """Let Ctrl-C, which reaches all processes of a terminal, be dealt with by the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _scored(pair: Pair, profile: Profile, schema: str | None) -> CaseScores | str:
    """Scores of a pair, or why its truth cannot be read."""
    try:
        read = read_pair(pair, profile, schema)
    except (InputError, OSError) as error:
        return f"The truth cannot be used: {in_shell(error)}"
    truth = read.truth
    if read.prediction is None:
        scores = missing_case(truth.labels, truth.grid.spacing_mm, profile)
    else:
        scores = score_case(read.prediction.labels, truth.labels, truth.grid.spacing_mm, profile)
    return CaseScores(pair.case, {region: _figures(found) for region, found in scores.items()}, read.problem)


def _figures(scores: LesionWiseScores) -> dict[str, float]:
    return {
        "dice": scores.dice,
        "hd95": scores.hausdorff95_mm,
        **{f"nsd_{mm}": scores.nsd[mm] for mm in TOLERANCES_MM},
        "lesionwise_dice": scores.lesionwise_dice,
        "lesionwise_hd95": scores.lesionwise_hausdorff95_mm,
        **{f"lesionwise_nsd_{mm}": scores.lesionwise_nsd[mm] for mm in TOLERANCES_MM},
        "true_positives": scores.true_positives,
        "false_positives": scores.false_positives,
        "false_negatives": scores.false_negatives,
        "f1": scores.f1,
        "volume_ml": scores.volume_ml,
        "truth_volume_ml": scores.truth_volume_ml,
    }
