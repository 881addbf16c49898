"""What scores over cases say: intervals of their mean, and whether one set of predictions beats another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from oncoprompt.errors import InputError

Values = Sequence[float] | NDArray[np.floating]

RESAMPLES = 5000


def defined(values: Values) -> NDArray[np.float64]:
    """The values that are not NaN: a score is NaN where a case has nothing that it could be about."""
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]


def mean(values: Values) -> float:
    """Mean of the defined values, NaN where there is none; one infinite value makes it infinite."""
    present = defined(values)
    return float(present.mean()) if present.size else float("nan")


def bootstrap_interval(
    values: Values, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean over cases (Efron 1979), None for fewer than two defined values.

    Cases are drawn with replacement `resamples` times; the same seed gives the same interval. Raises InputError for a
    level that is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"The level of an interval lies between 0 and 1, such as 0.95; found {level}.")
    present = defined(values)
    if present.size < 2:
        return None
    drawn = np.random.default_rng(seed).integers(present.size, size=(resamples, present.size))
    means = present[drawn].mean(axis=1)
    # Observed means, not interpolated ones: between two infinite means there is no number.
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2), method="inverted_cdf")
    return float(low), float(high)


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon's signed-rank test, two-sided, of one score of the same cases in two sets of predictions.

    `cases` have the score in both sets and differ in `different` of them; `median_difference` is first minus second,
    NaN where there is none; `p` is None where no case differs, for then there is nothing to rank. Not corrected for the
    number of tests.
    """

    cases: int
    different: int
    median_difference: float
    p: float | None


def paired_test(first: Values, second: Values) -> PairedTest:
    """Wilcoxon's signed-rank test of paired scores; pairs with a NaN are left out, equal ones are not ranked.

    Raises InputError where the two differ in length.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise InputError(f"A paired test needs one score a case in both sets; found {one.shape} and {other.shape}.")
    both = ~(np.isnan(one) | np.isnan(other))
    one, other = one[both], other[both]
    # Two infinite distances are equal, and their difference is not a number.
    differences = np.subtract(one, other, out=np.zeros_like(one), where=one != other)
    ranked = differences[differences != 0]
    p = float(wilcoxon(ranked).pvalue) if ranked.size else None
    # The middle of two infinite differences of opposite sign is not a number, and need not be warned of.
    with np.errstate(invalid="ignore"):
        median = float(np.median(differences)) if differences.size else float("nan")
    return PairedTest(int(differences.size), int(ranked.size), median, p)
