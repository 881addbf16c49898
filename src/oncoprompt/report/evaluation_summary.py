"""Scores of a cohort as plain data for JSON, and their means as a table of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from oncoprompt import __version__
from oncoprompt.evaluation.cohort_scores import CohortScores
from oncoprompt.evaluation.statistics import PairedTest

HEADINGS = {
    "lesionwise_dice": "lesion-wise Dice",
    "lesionwise_hd95": "lesion-wise HD95 (mm)",
    "lesionwise_nsd_0.5": "lesion-wise NSD 0.5 mm",
    "lesionwise_nsd_1.0": "lesion-wise NSD 1 mm",
    "true_positives": "lesions found",
    "false_negatives": "missed",
    "false_positives": "spurious",
    "f1": "F1 of lesions",
    "dice": "Dice",
    "hd95": "HD95 (mm)",
    "nsd_0.5": "NSD 0.5 mm",
    "nsd_1.0": "NSD 1 mm",
    "nsd_2.0": "NSD 2 mm",
    "volume_ml": "segmented (ml)",
    "truth_volume_ml": "truth (ml)",
}
"""Figures of the tables, by their names in the scores."""

TOLD = ("lesionwise_dice", "lesionwise_hd95", "lesionwise_nsd_1.0", "dice", "hd95")
"""Figures of the tables of text."""


def summarise_scores(
    scores: CohortScores,
    other: CohortScores | None = None,
    tests: Mapping[str, Mapping[str, PairedTest]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Profile, version, figures of every case, means, intervals and problems, as JSON types.

    A figure that the profile does not define for a case, and an infinite one, is null. With `other` predictions and
    the `tests` against them, these are under "compare" and "wilcoxon".
    """
    summary: dict[str, Any] = {"profile": scores.profile.name, "rules": scores.profile.describe()}
    summary |= {"version": __version__, **_figures(scores)}
    if other is not None:
        summary["compare"] = _figures(other)
        summary["wilcoxon"] = {
            region: {
                metric: {
                    "n": test.cases,
                    "different": test.different,
                    "median_difference": _number(test.median_difference),
                    "p": test.p,
                }
                for metric, test in found.items()
            }
            for region, found in tests.items()
        }
    return summary


def mean_table(scores: CohortScores) -> str:
    """Markdown table in even columns, a row a region: mean over the cases and its bootstrap 95 % interval."""
    rows = [["region", *(HEADINGS[metric] for metric in TOLD)], ["---"] * (1 + len(TOLD))]
    for region in scores.profile.regions:
        rows.append([region, *(mean_text(scores, region, metric) for metric in TOLD)])
    return _even(rows)


def comparison_table(tests: Mapping[str, Mapping[str, PairedTest]]) -> str:
    """Markdown table in even columns, a row a region: median difference and p of Wilcoxon's signed-rank test."""
    rows = [["difference", *(HEADINGS[metric] for metric in TOLD)], ["---"] * (1 + len(TOLD))]
    for region, found in tests.items():
        rows.append([region, *(comparison_text(found[metric]) for metric in TOLD)])
    return _even(rows)


def mean_text(scores: CohortScores, region: str, metric: str) -> str:
    """A mean and its interval in words, for example `0.812 [0.701, 0.899]`."""
    interval = scores.interval(region, metric)
    text = figure_text(metric, scores.mean(region, metric))
    if interval is None:
        return text
    low, high = (figure_text(metric, bound) for bound in interval)
    return f"{text} [{low}, {high}]"


def comparison_text(test: PairedTest) -> str:
    """A median difference and its p in words, or that no case differs."""
    if test.p is None:
        return "no case differs" if test.cases else "not defined"
    return f"{test.median_difference:+.3g}, p = {test.p:.2g}, n = {test.cases}"


def figure_text(metric: str, value: float) -> str:
    """A figure with the digits that suit it; `-` where it is not defined."""
    if math.isnan(value):
        return "-"
    if isinstance(value, int):
        return str(value)
    digits = 1 if "hd95" in metric else 2 if metric.endswith(("_ml", "positives", "negatives")) else 3
    return f"{value:.{digits}f}"


def _figures(scores: CohortScores) -> dict[str, Any]:
    regions = list(scores.profile.regions)
    return {
        "cases": {
            case.case: {
                region: {metric: _number(value) for metric, value in figures.items()}
                for region, figures in case.regions.items()
            }
            for case in scores.cases
        },
        "mean": {
            region: {metric: _number(scores.mean(region, metric)) for metric in scores.metrics} for region in regions
        },
        "interval": {
            region: {metric: _pair(scores.interval(region, metric)) for metric in scores.metrics} for region in regions
        },
        "missing": list(scores.missing),
        "problems": scores.problems,
        "without_truth": list(scores.without_truth),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _pair(interval: tuple[float, float] | None) -> list[float | None] | None:
    return None if interval is None else [_number(bound) for bound in interval]


def _even(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        fill = "-" if row[-1] == "---" else " "
        lines.append("| " + " | ".join(cell.ljust(width, fill) for cell, width in zip(row, widths, strict=True)) + " |")
    return "\n".join(lines) + "\n"
