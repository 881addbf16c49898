"""Figures of experiments: every case a dot, means with their intervals on top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from oncoprompt.evaluation.statistics import bootstrap_interval
from oncoprompt.experiments.engine import Outcome, dice_of
from oncoprompt.study import REGIONS

# Told apart by all common kinds of colour vision, on white.
COLOURS = {"WT": "#0072b2", "TC": "#e08e00", "ET": "#c8401f"}
_GREY = "#5f6b76"


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure in inches with its title."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, x=0.01, ha="left", weight="bold")
    return figure


def dot_figure(outcome: Outcome, settings: Sequence[str], title: str) -> Figure:
    """A panel a region, a row a setting: Dice of every case as a dot, the mean as a diamond with its interval."""
    sources = outcome.sources
    height = 1.2 + len(sources) * (0.5 + 0.36 * len(settings))
    figure = new_figure(11.0, height, title)
    grid = figure.subplots(len(sources), len(REGIONS), sharex=True, sharey="row", squeeze=False)
    for row, source in enumerate(sources):
        for axes, region in zip(grid[row], REGIONS, strict=True):
            draw_dots(axes, outcome, source, settings, region)
            axes.set_title(f"{region}, {len(outcome.cases(source))} {source}", fontsize=10, color=COLOURS[region])
        grid[row][0].set_yticks(range(len(settings)), settings)
        grid[row][0].invert_yaxis()
    for axes in grid[-1]:
        axes.set_xlabel("Dice (dots: cases; diamond: mean, 95 % interval)", fontsize=9)
    return figure


def draw_dots(axes: Axes, outcome: Outcome, source: str, settings: Sequence[str], region: str) -> None:
    """Rows of dots from the top, the mean's number at the right edge."""
    for position, setting in enumerate(settings):
        values = np.array(list(outcome.per_case(source, setting, dice_of(region)).values()))
        if not values.size:
            continue
        rows = np.full(values.size, position)
        axes.scatter(values, rows, s=20, color=COLOURS[region], alpha=0.5, linewidths=0, zorder=2)
        interval = bootstrap_interval(values)
        if interval is not None:
            axes.plot(interval, (position, position), color=_GREY, lw=1.4, alpha=0.6, zorder=1)
        axes.plot(values.mean(), position, "D", ms=6, color=COLOURS[region], mec="white", mew=0.8, zorder=3)
        axes.text(1.03, position, f"{values.mean():.3f}", va="center", fontsize=9, color=_GREY, clip_on=False)
    axes.set_xlim(-0.02, 1.02)
    plain(axes)


def plain(axes: Axes) -> None:
    """Quiet axes: no frame but the lower one, a light grid."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(color="#e4e8ec", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9)
