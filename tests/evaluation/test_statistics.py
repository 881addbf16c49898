"""Intervals cover the mean they are about, and the paired test is Wilcoxon's, also where there is nothing to rank."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, rankdata

from oncoprompt.errors import InputError
from oncoprompt.evaluation.statistics import bootstrap_interval, defined, mean, paired_test

NAN, INF = float("nan"), float("inf")
scores = st.lists(st.floats(0, 1), min_size=2, max_size=12)


@settings(max_examples=30)
@given(scores)
def test_an_interval_lies_within_the_scores_and_is_the_same_each_time(values):
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert bootstrap_interval(values) == (low, high)


def test_an_interval_moves_and_stretches_with_the_scores():
    values = np.random.default_rng(1).normal(size=20)
    low, high = bootstrap_interval(values)
    assert bootstrap_interval(10 + 3 * values) == pytest.approx((10 + 3 * low, 10 + 3 * high))


def test_an_interval_agrees_with_scipys_percentile_bootstrap():
    values = np.random.default_rng(2).beta(5, 2, size=40)
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=5000).confidence_interval
    assert bootstrap_interval(values) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_about_95_of_100_intervals_hold_the_true_mean():
    rng = np.random.default_rng(3)
    held = [
        low <= 0.5 <= high for low, high in (bootstrap_interval(rng.random(40), resamples=1000) for _ in range(400))
    ]
    assert 0.91 <= np.mean(held) <= 0.98


def test_undefined_scores_are_left_out_and_one_case_has_no_interval():
    assert defined([1.0, NAN, 2.0]).tolist() == [1.0, 2.0]
    assert mean([1.0, NAN, 2.0]) == 1.5
    assert bootstrap_interval([0.2, NAN, 0.4, 0.9]) == bootstrap_interval([0.2, 0.4, 0.9])
    assert bootstrap_interval([0.5, NAN]) is None
    assert bootstrap_interval([]) is None
    assert np.isnan(mean([NAN]))


def test_an_infinite_distance_makes_the_mean_and_the_upper_bound_infinite():
    assert mean([1.0, INF]) == INF
    low, high = bootstrap_interval([1.0, 2.0, INF])
    assert 1.0 <= low < INF == high


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_in_percent_is_refused(level):
    with pytest.raises(InputError, match=r"between 0 and 1, such as 0\.95"):
        bootstrap_interval([0.1, 0.2], level=level)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 99), min_size=1, max_size=7, unique=True), st.data())
def test_p_is_the_share_of_sign_patterns_at_least_as_far_from_balance(sizes, data):
    signs = data.draw(st.tuples(*[st.sampled_from((-1, 1))] * len(sizes)))
    differences = np.array(sizes) * np.array(signs)
    ranks = rankdata(sizes)
    sums = np.array([np.dot(pattern, ranks) for pattern in product((-1, 1), repeat=len(sizes))])
    expected = np.mean(np.abs(sums) >= abs(np.dot(signs, ranks)))
    test = paired_test(differences.astype(float), np.zeros(len(sizes)))
    assert test.p == pytest.approx(expected)
    assert test.median_difference == np.median(differences)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_exchanging_the_two_sets_turns_the_difference_and_keeps_p(pairs):
    one, other = np.array(pairs).T
    test, exchanged = paired_test(one, other), paired_test(other, one)
    assert test.median_difference == -exchanged.median_difference
    assert (test.cases, test.different) == (exchanged.cases, exchanged.different)
    assert test.p == (None if exchanged.p is None else pytest.approx(exchanged.p))


def test_where_no_case_differs_there_is_no_p():
    test = paired_test([0.9, 1.0, INF], [0.9, 1.0, INF])
    assert (test.cases, test.different, test.median_difference, test.p) == (3, 0, 0.0, None)
    assert paired_test([], []).p is None


def test_undefined_pairs_are_left_out_and_equal_ones_are_counted_but_not_ranked():
    test = paired_test([1, 2, 3, 4, 5, 6, 7, NAN], [0, 0, 0, 0, 0, 0, 7, 3])
    assert (test.cases, test.different) == (7, 6)
    assert test.p == pytest.approx(2 / 2**6)


def test_an_infinite_difference_has_the_highest_rank():
    finite = paired_test([1, 2, 3, 4, 99], [0, 0, 0, 0, 0])
    assert paired_test([1, 2, 3, 4, INF], [0, 0, 0, 0, 0]).p == finite.p


def test_scores_of_different_cases_are_refused():
    with pytest.raises(InputError, match=r"one score a case in both sets; found \(2,\) and \(3,\)"):
        paired_test([1, 2], [1, 2, 3])
