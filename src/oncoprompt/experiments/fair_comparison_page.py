"""What models make of the same guidance, as a page, numbers and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from oncoprompt.evaluation.statistics import bootstrap_interval, mean
from oncoprompt.experiments.cases import LABELLED
from oncoprompt.experiments.contenders import Contender
from oncoprompt.experiments.fair_comparison import REGION, Comparison
from oncoprompt.experiments.figure import new_figure, plain
from oncoprompt.experiments.guidance import GUIDANCE
from oncoprompt.experiments.result import bullets, origin_lines, origin_of, write_parts
from oncoprompt.experiments.table import markdown, plain_answers

TITLE = "What models make of the same guidance"
COLOURS = ("#0072b2", "#e08e00", "#5f6b76", "#009e73")
"""Of contenders in their order; told apart by all common kinds of colour vision."""
_TOLD = ("clicks off by 10 mm", "wrong word", "no mask", "mask off by 30 mm")


def write_fair_comparison(found: Comparison, out: Path, name: str, command: str) -> list[Path]:
    """Write ``<name>.md``, ``<name>.json`` and ``<name>.png`` into ``out``, each whole or not at all."""
    first = found.contenders[0]
    origin = origin_of(first.name, first.method.weights_sha256, command)
    outcome = found.outcome
    content = {
        "experiment": name,
        **origin,
        "models": {
            c.name: {"weights_sha256": c.method.weights_sha256, "reads": sorted(c.reads), "what": c.sentence}
            for c in found.contenders
        },
        "guidance": {guidance.name: vars(guidance) for guidance in GUIDANCE},
        "asked_as": {c.name: dict(c.asked_as) for c in found.contenders},
        "draws": found.draws,
        "cases": {source: len(outcome.cases(source)) for source in outcome.sources},
        "problems": outcome.problems,
        "means": {s: {c.name: _means(found, s, c) for c in _asked(found, s)} for s in outcome.sources},
        "lost": {s: {c.name: found.lost(s, c) for c in _asked(found, s)} for s in outcome.sources},
        "answers": plain_answers(outcome),
    }
    parts = [f"# {TITLE}", _how(found)]
    for source in outcome.sources:
        parts += [f"## {source.capitalize()} ({len(outcome.cases(source))})", comparison_table(found, source)]
    parts += [_caveat(found), bullets("Findings", _findings(found)), bullets("Left out", outcome.problems)]
    parts += [f"![{TITLE}]({name}.png)", *origin_lines(origin)]
    page = "\n\n".join(part for part in parts if part) + "\n"
    return write_parts(out, name, page, content, comparison_figure(found))


def comparison_table(found: Comparison, source: str) -> str:
    """A row a guidance, a column a model: mean Dice with its 95 % bootstrap interval over cases."""
    contenders = _asked(found, source)
    rows = [[g.name, *(_cell(found, source, c, g.name) for c in contenders)] for g in GUIDANCE]
    return markdown(("told", *(c.name for c in contenders)), rows)


def comparison_figure(found: Comparison) -> Figure:
    """A panel a source, a row a guidance: Dice of every case as a dot, the mean as a diamond, a colour a model."""
    sources = found.outcome.sources
    figure = new_figure(4.0 + 3.6 * len(sources), 1.6 + 0.4 * len(GUIDANCE), TITLE)
    panels = figure.subplots(1, len(sources), sharey=True, squeeze=False)[0]
    spread = np.linspace(-0.24, 0.24, max(len(found.contenders), 2))
    for axes, source in zip(panels, sources, strict=True):
        for contender, colour, off in zip(found.contenders, COLOURS, spread, strict=False):
            for row, guidance in enumerate(GUIDANCE):
                values = list(found.dice(source, contender, guidance.name).values())
                if values and contender.asked_as[guidance.name] == guidance.name:
                    axes.scatter(values, [row + off] * len(values), s=12, color=colour, alpha=0.4, linewidths=0)
                    axes.plot(np.mean(values), row + off, "D", ms=5, color=colour, mec="white", mew=0.6, zorder=3)
        axes.set_title(f"{len(found.outcome.cases(source))} {source}", fontsize=10)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(f"{REGION} Dice (dots: cases; diamond: mean)", fontsize=9)
        plain(axes)
    panels[0].set_yticks(range(len(GUIDANCE)), [guidance.name for guidance in GUIDANCE])
    panels[0].invert_yaxis()
    for contender, colour in zip(found.contenders, COLOURS, strict=False):
        panels[0].plot([], [], "D", ms=5, color=colour, label=contender.name)
    figure.legend(loc="outside lower center", ncols=len(found.contenders), frameon=False, fontsize=9)
    return figure


def _how(found: Comparison) -> str:
    models = " ".join(f"**{c.name}** {c.sentence}" for c in found.contenders)
    return (
        f"{REGION} Dice (on CT, of the tumour). In the first row a model is told three clicks at random voxels of the "
        "tumour, the word for its kind and the mask of its organ (for brains, the brain); each row below changes one "
        "thing, the last six leave more out. A wrong word is that of another kind of tumour of the same part of the "
        "body. Clicks that are off are each moved in a direction of their own and may leave the tumour. What is random "
        f"is drawn {_times(found.draws)}, for all models alike. **=**: the model cannot read what is changed, so its "
        f"answer is that of an earlier row. {models}"
    )


def _caveat(found: Comparison) -> str:
    if len(found.outcome.cases(LABELLED)) in range(2, 20):
        return "Brackets are 95 % bootstrap intervals over cases; with so few cases they are too narrow."
    return ""


def _asked(found: Comparison, source: str) -> list[Contender]:
    """Contenders that were asked about cases of a source."""
    return [c for c in found.contenders if found.dice(source, c, GUIDANCE[0].name)]


def _cell(found: Comparison, source: str, contender: Contender, guidance: str) -> str:
    values = list(found.dice(source, contender, guidance).values())
    if contender.asked_as[guidance] != guidance:
        return f"= {mean(values):.3f}"
    interval = bootstrap_interval(values)
    return f"{mean(values):.3f}" + (f" ({interval[0]:.2f}-{interval[1]:.2f})" if interval else "")


def _means(found: Comparison, source: str, contender: Contender) -> dict[str, Any]:
    means = {}
    for guidance in GUIDANCE:
        values = list(found.dice(source, contender, guidance.name).values())
        means[guidance.name] = {"dice": mean(values), "dice_interval": bootstrap_interval(values), "cases": len(values)}
    return means


def _findings(found: Comparison) -> Sequence[str]:
    return [
        f"Dice lost by {contender.name}, {source}: "
        + ", ".join(f"{name} {lost[name]:.3f}" for name in _TOLD if name in lost)
        for source in found.outcome.sources
        for contender in _asked(found, source)
        if (lost := found.lost(source, contender))
    ]


def _times(draws: int) -> str:
    return "once" if draws == 1 else f"{draws} times and averaged"
