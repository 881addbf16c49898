"""Dice and time against the lengths of the memories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from oncoprompt.experiments.engine import Outcome, dice_of
from oncoprompt.experiments.figure import COLOURS, new_figure, plain
from oncoprompt.experiments.memory_length import Length
from oncoprompt.study import REGIONS


def length_name(length: Length) -> str:
    """Name of the setting with these lengths."""
    return f"n = {length[0]}, k = {length[1]}"


def memory_figure(outcome: Outcome, asked: Sequence[Length], usual: Length, seconds: Mapping[str, float]) -> Figure:
    """Dice against n and against k, and seconds of decoding against both; dashed where the other sweep crosses."""
    figure = new_figure(11.0, 3.4 * len(outcome.sources) + 0.6, "What the memories are worth")
    grid = figure.subplots(len(outcome.sources), 3, squeeze=False)
    sweeps = [
        ("n, slices remembered", sorted(length for length in asked if length[1] == usual[1]), 0),
        ("k, channels remembered", sorted(length for length in asked if length[0] == usual[0]), 1),
    ]
    for source, (by_slice, by_channel, time) in zip(outcome.sources, grid, strict=True):
        for axes, (label, sweep, place) in zip((by_slice, by_channel), sweeps, strict=True):
            for region in REGIONS:
                _line(axes, outcome, source, region, sweep, place)
            _mark(axes, usual[place], label, f"mean Dice, {source}")
        by_slice.sharey(by_channel)
        by_slice.legend(frameon=False, fontsize=9)
        for colour, (label, sweep, place) in zip(("#37474f", "#90a4ae"), sweeps, strict=True):
            values = [seconds[length_name(length)] for length in sweep]
            time.plot([length[place] for length in sweep], values, "o-", color=colour, ms=5, label=label)
        time.set_ylim(bottom=0)
        time.legend(frameon=False, fontsize=9)
        _mark(time, None, "items remembered at most", "median seconds of decoding")
    return figure


def _line(axes: Axes, outcome: Outcome, source: str, region: str, sweep: Sequence[Length], place: int) -> None:
    values = [list(outcome.per_case(source, length_name(length), dice_of(region)).values()) for length in sweep]
    if all(values):
        means = [float(np.mean(value)) for value in values]
        axes.plot([length[place] for length in sweep], means, "o-", color=COLOURS[region], ms=5, label=region)


def _mark(axes: Axes, usual: int | None, x_label: str, y_label: str) -> None:
    if usual is not None:
        axes.axvline(usual, color="#b0bac2", lw=1.0, ls=(0, (3, 3)), zorder=0)
    axes.set_xlabel(x_label, fontsize=9)
    axes.set_ylabel(y_label, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
