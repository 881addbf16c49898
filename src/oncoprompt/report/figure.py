"""A montage to judge a segmentation at a glance: every channel in three planes, with outlines and the box."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.report.planes import Plane, widest_planes
from oncoprompt.study import REGIONS, Study
from oncoprompt.study.output import write_output
from oncoprompt.study.regions import told_regions

Masks = Mapping[str, NDArray[np.generic]]

# Told apart by all common kinds of colour vision, on grey.
COLOURS = {"WT": "#56b4e9", "TC": "#f0e442", "ET": "#ff5a36"}
PALETTE = ("#ff5a36", "#56b4e9", "#f0e442", "#009e73", "#cc79a7", "#e69f00", "#0072b2")
# Where two regions end together, the wider outline shows on both sides of the narrower one.
_WIDTHS = {"WT": 1.5, "TC": 2.4, "ET": 1.0}
_WIDTH = 1.5
_BOX_COLOUR = "#ffffff"
_SOFT_TISSUE_HU = (-160.0, 240.0)
_MARGIN_PIXELS = 6
_INCHES_A_PANEL = 3.1


def draw_montage(
    path: str | os.PathLike[str],
    study: Study,
    prediction: Masks,
    truth: Masks | None = None,
    boxes: Sequence[NDArray[np.integer]] = (),
    title: str = "",
) -> None:
    """Write a PNG: one column a channel, one row a plane, at the slices where the tumour is widest.

    Masks are named by regions, or by anything else, one colour a name. Prediction is outlined solid and truth dashed;
    `boxes` are half-open voxel ranges (3, 2). The picture is in radiological orientation with square millimetres,
    cropped to the head. Raises InputError for a name that does not end in .png or masks of another shape.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise InputError(f"The figure '{target.name}' must end in .png.")
    for name, mask in [*prediction.items(), *(truth or {}).items()]:
        if mask.shape != study.grid.shape:
            raise InputError(f"Mask '{name}' has shape {mask.shape}, but the scan has {study.grid.shape}.")
    planes = widest_planes({**_prefixed(truth or {}), **prediction}, study.grid)
    drawings = [("solid", prediction)] if truth is None else [("solid", prediction), ((0, (4, 3)), truth)]
    filled = [_filled(box, study.grid.shape) for box in boxes]
    shown = [visible_part(study, plane, filled) for plane in planes]
    figure = _layout(len(study.channels), planes, shown)
    for row, (plane, part) in enumerate(zip(planes, shown, strict=True)):
        for column, (channel, volume) in enumerate(study.channels.items()):
            axes = figure.axes[row * len(study.channels) + column]
            draw_slice(axes, plane, plane.cut(volume), display_range(volume, channel), part)
            for style, masks in drawings:
                for name, colour in _colours(masks).items():
                    outline(axes, plane.cut(masks[name]), colour, style, _WIDTHS.get(name, _WIDTH))
            for box in filled:
                outline(axes, plane.cut(box), _BOX_COLOUR, "dotted", 1.2)
            if row == 0:
                axes.set_title(channel, fontsize=13, color="white")
            if column == 0:
                axes.set_ylabel(f"{plane.name}, {plane.voxel}", fontsize=11, color="white")
    figure.suptitle(title, fontsize=14, color="white", x=0.5, y=0.995, va="top")
    told = told_regions(study.channels)
    shown_names = {told.get(name, name): colour for name, colour in _colours(prediction).items()}
    add_legend(figure, _legend_lines(shown_names, truth is not None, bool(boxes)))
    write_figure(figure, target)


def _colours(masks: Masks) -> dict[str, str]:
    """Colours by name in the order of drawing: regions from the outermost, others as they come."""
    others = [name for name in masks if name not in REGIONS]
    return {region: COLOURS[region] for region in REGIONS if region in masks} | {
        name: PALETTE[n % len(PALETTE)] for n, name in enumerate(others)
    }


def _prefixed(masks: Masks) -> dict[str, NDArray[np.generic]]:
    return {f"truth {name}": mask for name, mask in masks.items()}


def _layout(columns: int, planes: Sequence[Plane], shown: Sequence[tuple[slice, slice]]) -> Figure:
    """An empty grid of panels whose rows are as high as their pictures are, and room for the words."""
    heights = [
        (rows.stop - rows.start) * plane.aspect / (across.stop - across.start)
        for plane, (rows, across) in zip(planes, shown, strict=True)
    ]
    width = max(2, columns) * _INCHES_A_PANEL
    inches = sum(heights) * width / columns * 0.93 + 1.6
    figure = Figure(figsize=(width, inches), facecolor="black")
    FigureCanvasAgg(figure)
    figure.subplots(len(planes), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    figure.subplots_adjust(left=0.05, right=0.99, top=1 - 0.95 / inches, bottom=0.65 / inches, wspace=0.03, hspace=0.04)
    return figure


def draw_slice(
    axes: Axes,
    plane: Plane,
    picture: NDArray[np.generic],
    shades: tuple[float, float],
    part: tuple[slice, slice],
) -> None:
    """Draw a picture of a plane in grey, `shades` from black to white, with the letters of its edges.

    Only `part`, its rows and columns, is in view.
    """
    low, high = shades
    axes.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=plane.aspect, interpolation="nearest")
    axes.set_xlim(part[1].start - 0.5, part[1].stop - 0.5)
    axes.set_ylim(part[0].stop - 0.5, part[0].start - 0.5)
    axes.set_facecolor("black")
    axes.set_xticks([])
    axes.set_yticks([])
    for position, letter in zip(((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02)), plane.edges, strict=True):
        horizontal = {0.02: "left", 0.98: "right"}.get(position[0], "center")
        vertical = {0.02: "bottom", 0.98: "top"}.get(position[1], "center")
        axes.text(*position, letter, transform=axes.transAxes, color="0.65", fontsize=8, ha=horizontal, va=vertical)


def outline(axes: Axes, mask: NDArray[np.generic], colour: str, style: Any = "solid", width: float = 1.4) -> None:
    """Draw the outline of a mask of a slice."""
    if mask.any():
        # A rim of background closes outlines that reach the edge.
        rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
        rimmed = np.pad(mask.astype(np.float32), 1)
        axes.contour(columns, rows, rimmed, levels=[0.5], colors=[colour], linestyles=[style], linewidths=[width])


def _filled(box: NDArray[np.integer], shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    volume = np.zeros(shape, dtype=bool)
    (i0, i1), (j0, j1), (k0, k1) = np.asarray(box).tolist()
    volume[i0:i1, j0:j1, k0:k1] = True
    return volume


def display_range(volume: NDArray[np.float32], channel: str = "") -> tuple[float, float]:
    """Values shown black and white: 1st to 99.7th percentile of a coarse grid of the voxels above the background.

    Channel "ct" is shown in the soft-tissue window, -160 to 240 HU.
    """
    if channel == "ct":
        return _SOFT_TISSUE_HU
    coarse = volume[::3, ::3, ::3]
    tissue = coarse[coarse > coarse.min()]
    low, high = np.percentile(tissue, (1.0, 99.7)) if tissue.size else (float(volume.min()), float(volume.max()))
    return min(float(low), 0.0) if volume.min() >= 0 else float(low), float(high)


def visible_part(study: Study, plane: Plane, boxes: Sequence[NDArray[np.bool_]] = ()) -> tuple[slice, slice]:
    """Rows and columns that hold a box, or anything but the darkest value in some channel, with a margin."""
    pictures = [plane.cut(volume) > volume.min() for volume in study.channels.values()]
    pictures += [plane.cut(box).astype(bool) for box in boxes]
    anything = np.any(pictures, axis=0)
    if not anything.any():
        anything[:] = True
    ranges = []
    for axis in (1, 0):
        hit = np.flatnonzero(anything.any(axis=axis))
        size = anything.shape[1 - axis]
        ranges.append(slice(max(-1, int(hit[0]) - _MARGIN_PIXELS), min(size + 1, int(hit[-1]) + 1 + _MARGIN_PIXELS)))
    return ranges[0], ranges[1]


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put a row of signs under a figure, with a line on its orientation."""
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        frameon=False,
        labelcolor="white",
        fontsize=11,
        title="radiological orientation: the patient's right is on the left",
        title_fontproperties={"size": 9},
    ).get_title().set_color("0.7")


def write_figure(figure: Figure, target: Path) -> None:
    """Write a figure as PNG on black, whole or not at all."""
    with io.BytesIO() as content:
        figure.savefig(content, format="png", dpi=110, facecolor="black")
        write_output(target, content.getvalue())


def _legend_lines(colours: Mapping[str, str], with_truth: bool, with_box: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=colour, lw=2.5, label=name) for name, colour in colours.items()]
    handles.append(Line2D([], [], color="white", lw=1.5, label="prediction"))
    if with_truth:
        handles.append(Line2D([], [], color="white", lw=1.5, ls=(0, (4, 3)), label="truth"))
    if with_box:
        handles.append(Line2D([], [], color=_BOX_COLOUR, lw=1.5, ls="dotted", label="box"))
    return handles
