"""What an annotation costs, as a page, numbers and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from oncoprompt.evaluation.statistics import bootstrap_interval
from oncoprompt.experiments.figure import new_figure, plain
from oncoprompt.experiments.interaction import ALIKE, Course, Interaction
from oncoprompt.experiments.result import bullets, origin_lines, origin_of, write_parts
from oncoprompt.experiments.table import markdown

TITLE = "What an annotation costs"
HEADS = ("workflow", "first actions", "first Dice", "as good", "saved", "actions", "reached", "last Dice")
_REACHED, _SHORT, _GREY = "#0072b2", "#e08e00", "#5f6b76"


def write_interaction(found: Interaction, out: Path, name: str, command: str) -> list[Path]:
    """Write ``<name>.md``, ``<name>.json`` and ``<name>.png`` into ``out``, each whole or not at all."""
    origin = origin_of(found.model, found.weights_sha256, command)
    content = {
        "experiment": name,
        **origin,
        "config": vars(found.config),
        "workflows": {workflow.name: workflow.sentence for workflow in found.workflows},
        "problems": found.problems,
        "means": {source: _means(found, source) for source in found.sources},
        "targets": [_plain(course) for course in found.courses],
    }
    parts = [f"# {TITLE}", _how(found)]
    for source in found.sources:
        count = len({course.target for course in found.courses if course.source == source})
        parts += [f"## {source.capitalize()}: {count} targets", interaction_table(found, source)]
    parts += [bullets("Left out", found.problems), f"![{TITLE}]({name}.png)", *origin_lines(origin)]
    page = "\n\n".join(part for part in parts if part) + "\n"
    return write_parts(out, name, page, content, interaction_figure(found))


def interaction_table(found: Interaction, source: str) -> str:
    """A row a workflow: what is drawn at once, what it takes to be as good as a box on every slice, and to the goal."""
    rows = []
    for workflow in found.workflows:
        courses = found.of(source, workflow.name)
        alike = [found.as_good(course) for course in courses]
        reached = sum(course.dice >= found.config.goal for course in courses)
        rows.append(
            [
                workflow.name,
                f"{np.mean([course.first[0] for course in courses]):.1f}",
                _with_interval([course.first[1] for course in courses], "{:.3f}"),
                f"{sum(actions is not None for actions in alike)} of {len(courses)}",
                _with_interval([100 * share for share in _saved(courses, alike)], "{:.0f}", " %"),
                f"{np.mean([course.actions for course in courses]):.1f}",
                f"{reached} of {len(courses)}",
                _with_interval([course.dice for course in courses], "{:.3f}"),
            ]
        )
    return markdown(HEADS, rows)


def interaction_figure(found: Interaction) -> Figure:
    """A row a workflow: actions as a share of those of a box on every slice, and Dice in the end, a dot a target."""
    names = [workflow.name for workflow in found.workflows]
    figure = new_figure(11.0, 1.4 + len(found.sources) * (0.6 + 0.36 * len(names)), TITLE)
    grid = figure.subplots(len(found.sources), 2, sharex="col", sharey="row", squeeze=False)
    for row, source in zip(grid, found.sources, strict=True):
        for position, name in enumerate(names):
            courses = found.of(source, name)
            colours = [_REACHED if course.dice >= found.config.goal else _SHORT for course in courses]
            for axes, values in zip(
                row, ([c.actions / c.shown for c in courses], [c.dice for c in courses]), strict=True
            ):
                axes.scatter(values, [position] * len(values), s=22, c=colours, alpha=0.6, linewidths=0, zorder=2)
                axes.plot(np.mean(values), position, "D", ms=6, color=_GREY, mec="white", mew=0.8, zorder=3)
        row[0].set_yticks(range(len(names)), names)
        row[0].invert_yaxis()
        row[0].axvline(1.0, color=_GREY, lw=0.8)
        row[1].axvline(found.config.goal, color=_GREY, lw=0.8)
        for axes in row:
            axes.set_title(source, fontsize=10)
            plain(axes)
    grid[-1][0].set_xlabel("actions / those of a box on every slice", fontsize=9)
    grid[-1][1].set_xlabel(f"last Dice (blue: {found.config.goal:g} reached; orange: not; diamond: mean)", fontsize=9)
    grid[-1][0].set_xlim(left=0.0)
    return figure


def _how(found: Interaction) -> str:
    config = found.config
    budget = f"{config.budget} actions" if config.budget else "as many actions as a box on every slice takes"
    clicks = "; a slice with a box is clicked in the middle of its largest error" if config.clicks else ""
    ways = "; ".join(f"**{workflow.name}**: {workflow.sentence}" for workflow in found.workflows)
    return (
        f"Actions until Dice {config.goal:g}, with a budget of {budget}. An action is a drag or a click: a box is one, "
        "two axes are two, a box in three dimensions is two; turning slices is none. A simulated person who knows the "
        f"target moves sides of boxes and ends of axes by up to {config.jitter:.0%} of their length. After the first "
        "answer the worst slice is corrected until the goal or the budget: a slice without the target is clicked away, "
        f"another gets a box{clicks}. Targets that do not get there count with all that was spent. **As good** is Dice "
        f"within {ALIKE:g} of that of a box on every slice, or the goal; **saved** is the share of actions it takes "
        f"less. Ways: {ways}."
    )


def _means(found: Interaction, source: str) -> dict[str, Any]:
    means = {}
    for workflow in found.workflows:
        courses = found.of(source, workflow.name)
        alike = [found.as_good(course) for course in courses]
        means[workflow.name] = {
            "targets": len(courses),
            "first_actions": float(np.mean([course.first[0] for course in courses])),
            "first_dice": float(np.mean([course.first[1] for course in courses])),
            "as_good": float(np.mean([actions is not None for actions in alike])),
            "saved": float(np.mean(_saved(courses, alike))),
            "actions": float(np.mean([course.actions for course in courses])),
            "reached": float(np.mean([course.dice >= found.config.goal for course in courses])),
            "dice": float(np.mean([course.dice for course in courses])),
            "dice_interval": bootstrap_interval([course.dice for course in courses]),
        }
    return means


def _saved(courses: Sequence[Course], alike: Sequence[int | None]) -> list[float]:
    """Share of actions saved at like Dice; a target that never gets there counts with all that it took."""
    return [
        course.saved(course.actions if actions is None else actions)
        for course, actions in zip(courses, alike, strict=True)
    ]


def _plain(course: Course) -> dict[str, Any]:
    return {**vars(course), "actions": course.actions, "dice": course.dice}


def _with_interval(values: Sequence[float], form: str, unit: str = "") -> str:
    interval = bootstrap_interval(values)
    shown = f" ({form.format(interval[0])} to {form.format(interval[1])})" if interval else ""
    return f"{form.format(np.mean(values))}{unit}{shown}"
