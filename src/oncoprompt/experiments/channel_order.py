"""Whether the order in which channels are visited matters: every order of the channels, with the same box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_rel

from oncoprompt.experiments.cases import Case, LabelledStudy
from oncoprompt.experiments.encodings import EncodedOnce
from oncoprompt.experiments.engine import Outcome, Setting, dice_of, run
from oncoprompt.experiments.figure import COLOURS, new_figure, plain
from oncoprompt.experiments.in_order import InOrder
from oncoprompt.experiments.protocol import moved_box
from oncoprompt.experiments.result import Result
from oncoprompt.methods.interface import Method
from oncoprompt.study import REGIONS

ALLOWED = 0.005
"""Dice by which two orders may differ."""

_MOST_ROWS = 30

Spreads = dict[str, dict[str, float]]


def channel_order(model: Method, cases: Sequence[Case], begin: Callable[[], None]) -> Result:
    """Segment every case in each order of its channels."""
    protocol = moved_box(0.1, draws=1)
    once = EncodedOnce(model)

    def settings(labelled: LabelledStudy) -> Iterator[Setting]:
        for order in permutations(labelled.study.channels):
            yield Setting(" ".join(order), InOrder(once, order), protocol)

    outcome = run(cases, settings, begin)
    names = tuple(dict.fromkeys(answer.setting for answer in outcome.answers))
    spreads = {source: differences(outcome, source) for source in outcome.sources}
    tests = {source: smallest_p(outcome, source) for source in outcome.sources}
    return Result(
        title="Whether the order of the channels matters",
        model=model.name,
        weights_sha256=model.weights_sha256,
        head="order",
        settings=names,
        outcome=outcome,
        remarks=(
            f"Prompt: {protocol.sentence}, the same for all orders. Studies keep their channels in one order (that of "
            "the first row), so that what a person gets never depends on theirs; here the network itself visits them "
            "in every order.",
        ),
        figure=_figure(outcome, spreads),
        findings=tuple(
            sentence
            for source in outcome.sources
            for sentence in (_largest(spreads[source], source), _tested(tests[source], source))
        ),
        figures={"allowed_difference": ALLOWED, "differences": spreads, "paired_t_test": tests},
    )


def differences(outcome: Outcome, source: str) -> Spreads:
    """Largest Dice of any order minus the smallest: case -> region -> difference."""
    found: Spreads = {}
    for case in outcome.cases(source):
        answers = [answer for answer in outcome.answers if (answer.source, answer.case) == (source, case)]
        for region in answers[0].regions:
            values = [answer.regions[region].dice for answer in answers]
            found.setdefault(case, {})[region] = max(values) - min(values)
    return found


def smallest_p(outcome: Outcome, source: str) -> dict[str, dict[str, Any]]:
    """Paired t-tests of each order against the usual one, over cases: region -> tests, the smallest p and its order.

    Orders that give every case the same Dice, or fewer than two cases, cannot be tested.
    """
    orders = list(dict.fromkeys(answer.setting for answer in outcome.answers if answer.source == source))
    found: dict[str, dict[str, Any]] = {}
    for region in (*REGIONS, "mean"):
        usual = outcome.per_case(source, orders[0], dice_of(region))
        tests = {}
        for order in orders[1:]:
            other = outcome.per_case(source, order, dice_of(region))
            both = [case for case in usual if case in other]
            first, second = np.array([usual[case] for case in both]), np.array([other[case] for case in both])
            if len(both) > 1 and np.ptp(first - second) > 0:
                tests[order] = float(ttest_rel(first, second).pvalue)
        if tests:
            order = min(tests, key=tests.__getitem__)
            below = sum(p < 0.05 for p in tests.values())
            found[region] = {"tests": len(tests), "p": tests[order], "order": order, "below_0.05": below}
    return found


def _largest(spreads: Spreads, source: str) -> str:
    flat = {(case, region): spread for case, regions in spreads.items() for region, spread in regions.items()}
    case, region = max(flat, key=flat.__getitem__)
    above = sum(spread > ALLOWED for spread in flat.values())
    return (
        f"Largest difference in Dice between two orders, {source}: {flat[case, region]:.4f} ({region} of {case}); "
        f"{above} of {len(flat)} regions of cases differ by more than {ALLOWED}."
    )


def _tested(tests: dict[str, dict[str, Any]], source: str) -> str:
    if not tests:
        return f"Paired t-test of the orders, {source}: none, it takes two cases with different scores."
    listed = ", ".join(
        f"{region} p = {test['p']:.3g} ({test['below_0.05']} of {test['tests']} below 0.05)"
        for region, test in tests.items()
    )
    return (
        "Paired t-test of each order against the usual one over cases, the smallest p of all, not corrected for their "
        f"number, {source}: {listed}."
    )


def _figure(outcome: Outcome, spreads: dict[str, Spreads]) -> Figure:
    """A panel a region, a row a case: Dice of every order minus that of the usual one."""
    found = [(source, case) for source in outcome.sources for case in spreads[source]]
    shown = sorted(found, key=lambda row: -max(spreads[row[0]][row[1]].values()))[:_MOST_ROWS]
    more = "" if len(found) == len(shown) else f" (the {len(shown)} cases that differ most, of {len(found)})"
    figure = new_figure(11.0, 1.6 + 0.42 * len(shown), f"Whether the order of the channels matters{more}")
    panels = figure.subplots(1, len(REGIONS), sharex=True, sharey=True)
    for axes, region in zip(panels, REGIONS, strict=True):
        axes.axvspan(-ALLOWED, ALLOWED, color="#eef1f4", zorder=0)
        for row, (source, case) in enumerate(shown):
            if region in spreads[source][case]:
                values = [a.regions[region].dice for a in outcome.answers if (a.source, a.case) == (source, case)]
                shift = np.array(values) - values[0]
                axes.scatter(shift, np.full(shift.size, row), s=18, color=COLOURS[region], alpha=0.45, linewidths=0)
        axes.set_title(region, fontsize=10, color=COLOURS[region])
        axes.set_xlabel(f"Dice minus that of the usual order (grey: ±{ALLOWED})", fontsize=9)
        plain(axes)
    panels[0].set_yticks(range(len(shown)), [case for _, case in shown])
    panels[0].invert_yaxis()
    return figure
