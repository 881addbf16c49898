"""A picture of one case where prediction and truth differ most: outlines of both over scans or over the labels."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.report.figure import add_legend, display_range, draw_slice, outline, visible_part
from oncoprompt.report.planes import Plane, widest_planes
from oncoprompt.study import Study

Masks = Mapping[str, NDArray[np.bool_]]

COLOURS = {"WT": "#56b4e9", "TC": "#f0e442", "ET": "#ff5a36", "RC": "#cc79a7", "GTV": "#f0e442"}
"""Colours of the regions that are outlined; the others are parts of these."""
SHOWN_CHANNELS = ("t1c", "t2f")
"""Channels to draw over, where a study has one of them; else its first."""

_DASHED = (0, (3, 2))
_INCHES_A_PANEL = 3.0


def draw_case(truth: Masks, prediction: Masks, grid: Grid, study: Study | None = None) -> bytes | None:
    """PNG: a column a plane at the slice where the regions differ most, a row a channel of `study`, else the labels.

    Prediction is outlined solid and truth dashed. None where both are empty and there is no study to show. Raises
    InputError where the study lies on another grid.
    """
    if study is not None and not study.grid.matches(grid):
        raise InputError(f"Study '{study.name}' lies on another grid than the label maps of its case.")
    regions = [region for region in COLOURS if region in truth and (truth[region].any() or prediction[region].any())]
    differing = np.zeros(grid.shape, dtype=bool)
    for region in regions:
        differing |= truth[region] != prediction[region]
    backgrounds = _labels(truth, prediction, regions, grid) if study is None else _channels(study)
    if backgrounds is None:
        return None
    planes = widest_planes({"differing": differing, **{region: truth[region] for region in regions}}, grid)
    parts = [visible_part(backgrounds, plane) for plane in planes]
    # Labels in dark greys, so that the outlines stand out.
    shades = (0.0, 6.0) if study is None else None
    figure = _layout(len(backgrounds.channels), planes, parts)
    for row, (name, volume) in enumerate(backgrounds.channels.items()):
        for column, (plane, part) in enumerate(zip(planes, parts, strict=True)):
            axes = figure.axes[row * len(planes) + column]
            draw_slice(axes, plane, plane.cut(volume), shades or display_range(volume, name), part)
            for masks, style, width in ((prediction, "solid", 1.2), (truth, _DASHED, 1.6)):
                for region in regions:
                    outline(axes, plane.cut(masks[region]), COLOURS[region], style, width)
            if row == 0:
                axes.set_title(f"{plane.name}, {plane.voxel}", fontsize=10, color="white")
            if column == 0:
                axes.set_ylabel(name, fontsize=11, color="white")
    lines = [Line2D([], [], color=COLOURS[region], lw=2.5, label=region) for region in regions]
    lines.append(Line2D([], [], color="white", lw=1.2, label="prediction"))
    lines.append(Line2D([], [], color="white", lw=1.6, ls=_DASHED, label="truth"))
    add_legend(figure, lines)
    with io.BytesIO() as content:
        figure.savefig(content, format="png", dpi=90, facecolor="black")
        return content.getvalue()


def _channels(study: Study) -> Study:
    shown = [name for name in SHOWN_CHANNELS if name in study.channels] or list(study.channels)[:1]
    return Study({name: study.channels[name] for name in shown}, study.grid, study.name)


def _labels(truth: Masks, prediction: Masks, regions: list[str], grid: Grid) -> Study | None:
    """Both sets of regions as pictures in shades of grey, lighter further inside; None where both are empty."""
    channels = {}
    for name, masks in (("truth", truth), ("prediction", prediction)):
        shades = np.zeros(grid.shape, np.float32)
        for region in regions:
            shades += masks[region]
        if shades.any():
            channels[name] = shades
    return Study(channels, grid) if channels else None


def _layout(rows: int, planes: list[Plane], parts: list[tuple[slice, slice]]) -> Figure:
    """An empty grid of panels, all of one height in a row and as wide as their pictures are."""
    widths = [
        (across.stop - across.start) / ((down.stop - down.start) * plane.aspect)
        for plane, (down, across) in zip(planes, parts, strict=True)
    ]
    inches = rows * _INCHES_A_PANEL + 1.0
    figure = Figure(figsize=(max(6.5, sum(widths) * _INCHES_A_PANEL + 0.4), inches), facecolor="black")
    FigureCanvasAgg(figure)
    figure.subplots(rows, len(planes), squeeze=False, gridspec_kw={"width_ratios": widths})
    figure.subplots_adjust(left=0.04, right=0.99, top=1 - 0.3 / inches, bottom=0.62 / inches, wspace=0.03, hspace=0.03)
    return figure
