"""Scores of an experiment as Markdown tables and as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oncoprompt.evaluation.statistics import bootstrap_interval, mean
from oncoprompt.experiments.engine import MISS_MM, Answer, Outcome, dice_of, hausdorff95_of
from oncoprompt.study import REGIONS

MISS_SENTENCE = (
    f"A region that is not in a case's truth has no score there; one that is missed wholly has Dice 0 and counts "
    f"{MISS_MM:g} mm of HD95, as BraTS counts a missed lesion (null in the JSON)."
)
"""How absent and missed regions are treated, for people."""

HEADS = (*(f"{region} Dice" for region in REGIONS), "mean Dice", *(f"{region} HD95 (mm)" for region in REGIONS))


def score_table(outcome: Outcome, source: str, settings: Sequence[str], head: str) -> str:
    """A row a setting: mean Dice with its 95 % bootstrap interval over cases, and mean HD95 (mm) with the misses."""
    rows = []
    for setting in settings:
        cells = [dice_cell(outcome, source, setting, region) for region in (*REGIONS, "mean")]
        rows.append([setting, *cells, *(_distance_cell(outcome, source, setting, region) for region in REGIONS)])
    return markdown((head, *HEADS), rows)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([first, "|" + "---|" * len(heads), *others])


def dice_cell(outcome: Outcome, source: str, setting: str, region: str) -> str:
    """Mean Dice over cases, with its interval where there are two cases or more."""
    values = list(outcome.per_case(source, setting, dice_of(region)).values())
    interval = bootstrap_interval(values)
    shown = f" ({interval[0]:.2f}-{interval[1]:.2f})" if interval else ""
    return f"{mean(values):.3f}{shown}" if values else "-"


def plain_answers(outcome: Outcome) -> list[dict[str, Any]]:
    """Every answer in JSON types; the HD95 of a region that is missed wholly is null."""
    return [_plain(answer) for answer in outcome.answers]


def plain_means(outcome: Outcome, settings: Sequence[str]) -> dict[str, Any]:
    """Means over cases: source -> setting -> region -> Dice, its interval, and HD95."""
    return {source: {name: _means(outcome, source, name) for name in settings} for source in outcome.sources}


def _means(outcome: Outcome, source: str, setting: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for region in (*REGIONS, "mean"):
        values = list(outcome.per_case(source, setting, dice_of(region)).values())
        if values:
            found[region] = {"dice": mean(values), "dice_interval": bootstrap_interval(values), "cases": len(values)}
            distances = list(outcome.per_case(source, setting, hausdorff95_of(region)).values())
            found[region] |= {"hd95_mm": mean(distances)} if distances else {}
    return found


def _distance_cell(outcome: Outcome, source: str, setting: str, region: str) -> str:
    values = outcome.per_case(source, setting, hausdorff95_of(region))
    asked = [answer for answer in outcome.answers if (answer.source, answer.setting) == (source, setting)]
    missed = sum(_missed(answer, region) for answer in asked)
    shown = f" ({missed} of {len(asked)} missed)" if missed else ""
    return f"{mean(list(values.values())):.1f}{shown}" if values else "-"


def _missed(answer: Answer, region: str) -> bool:
    return region in answer.regions and not np.isfinite(answer.regions[region].hausdorff95_mm)


def _plain(answer: Answer) -> dict[str, Any]:
    regions: Mapping[str, Any] = {
        region: {
            "dice": scores.dice,
            "hd95_mm": scores.hausdorff95_mm if np.isfinite(scores.hausdorff95_mm) else None,
            "volume_ml": scores.volume_ml,
            "truth_volume_ml": scores.truth_volume_ml,
        }
        for region, scores in answer.regions.items()
    }
    return {**{key: value for key, value in vars(answer).items() if key != "regions"}, "regions": regions}
