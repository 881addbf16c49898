"""The scores of a cohort as one page of HTML that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from oncoprompt import __version__
from oncoprompt.evaluation.cohort_scores import CohortScores
from oncoprompt.evaluation.profiles import Profile
from oncoprompt.evaluation.statistics import RESAMPLES, PairedTest
from oncoprompt.report.evaluation_summary import HEADINGS, comparison_text, figure_text, mean_text
from oncoprompt.study import schemas
from oncoprompt.study.output import write_output

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 84em; padding: 0 1em; color: #1c2126; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.87em; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3em 0.7em; text-align: right; border-bottom: 1px solid #d8dde2; white-space: nowrap; }
th { background: #eef1f4; white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.problem { color: #a3200d; }
figure { margin: 1em 0 2em; } img { max-width: 100%; } figcaption, footer, .note { color: #56606a; font-size: 0.9em; }
"""


_ABSENT = (
    "A case in which neither truth nor prediction has a region counts with 1, and a distance of 0 mm, in its means.",
    "A case in which neither truth nor prediction has a region is left out of its means.",
)


@dataclass(frozen=True)
class EvaluationPage:
    """What a page shows: the scores of `prediction` and, where given, of `other` with the tests between the two.

    `pictures` holds a PNG a case, in the order in which they are shown; both names say what the predictions are.
    """

    scores: CohortScores
    name: str = "prediction"
    other: CohortScores | None = None
    other_name: str = "other prediction"
    tests: Mapping[str, Mapping[str, PairedTest]] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        write_output(path, self.html().encode())

    def html(self) -> str:
        """The page as text."""
        profile = self.scores.profile
        title = escape(f"Evaluation of {self.name}, {profile.name}")
        parts = [
            f"<h1>{title}</h1>",
            *_rules(profile),
            *_said(self.scores, self.name),
            "<h2>Mean over the cases</h2>",
            _means(self.scores),
            f'<p class="note">In brackets: percentile bootstrap 95 % interval of the mean over cases, {RESAMPLES} '
            f"resamples. {_ABSENT[profile.family == 2026]} A dash stands for a figure that is not defined.</p>",
            *self._comparison(),
            *self._worst(),
            "<h2>Every case</h2>",
            _cases(self.scores),
            f"<footer><p>OncoPrompt {escape(__version__)}. For research; not a medical device.</p></footer>",
        ]
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
            f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
        )

    def _comparison(self) -> list[str]:
        if self.other is None:
            return []
        rows = [
            [HEADINGS[metric], *(comparison_text(found[metric]) for found in self.tests.values())]
            for metric in HEADINGS
            if all(metric in found for found in self.tests.values())
        ]
        few = min((test.cases for found in self.tests.values() for test in found.values()), default=0)
        note = " With fewer than six cases p cannot fall below 0.05, whatever the scores." if few < 6 else ""
        return [
            f"<h2>Compared with {escape(self.other_name)}</h2>",
            *_said(self.other, self.other_name),
            _means(self.other),
            f"<p>Median difference, {escape(self.name)} minus {escape(self.other_name)}, and Wilcoxon's signed-rank "
            "test over the cases, paired and two-sided, not corrected for the number of tests; cases without a "
            f"difference are not ranked.{note}</p>",
            _table(["figure", *self.tests], rows),
        ]

    def _worst(self) -> list[str]:
        if not self.pictures:
            return []
        judged = {case.case: case for case in self.scores.cases}
        figures = []
        for name, content in self.pictures.items():
            case = judged[name]
            caption = f"{name}: mean lesion-wise Dice {case.lesionwise_dice:.3f}. {case.problem or ''}"
            source = base64.b64encode(content).decode()
            figures.append(
                f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{source}">'
                f"<figcaption>{escape(caption.strip())}</figcaption></figure>"
            )
        return ["<h2>Worst cases</h2>", *figures]


def _rules(profile: Profile) -> list[str]:
    regions = "; ".join(
        f"{region} = {' + '.join(str(value) for value in sorted(values))}" for region, values in profile.regions.items()
    )
    labels = schemas.get(profile.schema).describe()
    return [
        f"<p>{escape(profile.describe())}</p>",
        f"<p>{escape(f'Labels are numbered as in {labels}. Regions: {regions}.')}</p>",
    ]


def _said(scores: CohortScores, name: str) -> list[str]:
    """How many cases there are and what is wrong with which."""
    total, missing = len(scores.cases), len(scores.missing)
    lines = [f"<p>{escape(name)}: {total} case{'s' * (total != 1)}, {missing} of them scored as missing.</p>"]
    problems = [f"{case}: {problem}" for case, problem in scores.problems.items()]
    if scores.without_truth:
        problems.append(f"Predictions without a truth, not scored: {', '.join(scores.without_truth)}.")
    if problems:
        items = "".join(f'<li class="problem">{escape(problem)}</li>' for problem in problems)
        lines.append(f"<ul>{items}</ul>")
    return lines


def _means(scores: CohortScores) -> str:
    regions = list(scores.profile.regions)
    rows = [[HEADINGS[metric], *(mean_text(scores, region, metric) for region in regions)] for metric in _shown(scores)]
    return _table(["mean", *regions], rows)


def _cases(scores: CohortScores) -> str:
    shown = _shown(scores)
    rows = [
        [case.case, region, *(figure_text(metric, figures[metric]) for metric in shown)]
        for case in scores.cases
        for region, figures in case.regions.items()
    ]
    return _table(["case", "region", *(HEADINGS[metric] for metric in shown)], rows)


def _shown(scores: CohortScores) -> list[str]:
    return [metric for metric in HEADINGS if metric in scores.metrics]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f'<div class="wide"><table>\n<thead>{line(head, "th")}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'
