"""A picture to judge targets by: their outlines and boxes on the slices where they are widest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.report.figure import PALETTE, outline, write_figure
from oncoprompt.study.slices import SliceStack

MOST_SLICES = 6
_INCHES_A_PANEL = 4.0
_INCHES_OF_WORDS = 1.0
_MOST_IN_LEGEND = 12


def draw_targets(
    path: str | os.PathLike[str],
    slices: NDArray[np.float32],
    masks: Sequence[NDArray[np.bool_]],
    stack: SliceStack,
    boxes: Sequence[NDArray[np.int64]] = (),
    title: str = "",
) -> None:
    """Write a PNG of slices [D, H, W] or [D, H, W, 3] with each target's outline, and its box dotted where it is.

    ``masks`` are [D, H, W], one a target; ``boxes`` half-open voxel ranges (3, 2) on the stack's grid. At most
    `MOST_SLICES` are shown: those where a target is widest. Raises InputError for a name that does not end in .png.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise InputError(f"The figure '{target.name}' must end in .png.")
    shown = _widest(masks, len(slices))
    ratio = stack.shape[1] * stack.spacing_mm[1] / (stack.shape[2] * stack.spacing_mm[2])
    inches = _INCHES_A_PANEL * ratio + _INCHES_OF_WORDS
    figure = Figure(figsize=(_INCHES_A_PANEL * len(shown), inches), facecolor="black")
    FigureCanvasAgg(figure)
    below, above = 0.4 / inches, 1 - (_INCHES_OF_WORDS - 0.4) / inches
    figure.subplots_adjust(left=0.01, right=0.99, bottom=below, top=above, wspace=0.02)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    shades = _shades(slices)
    for axes, index in zip(panels, shown, strict=True):
        _show(axes, slices[index], shades, stack)
        for number, mask in enumerate(masks):
            outline(axes, mask[index], PALETTE[number % len(PALETTE)])
        for number, box in enumerate(boxes):
            _dot(axes, stack.ranges(box), index, PALETTE[number % len(PALETTE)])
        axes.set_title(_slice_name(stack, index), fontsize=10, color="0.8")
    figure.suptitle(title, fontsize=12, color="white", y=1 - 0.06 / inches, va="top")
    lines = [Line2D([], [], color=PALETTE[n % len(PALETTE)], lw=2, label=f"target {n + 1}") for n in range(len(masks))]
    figure.legend(
        handles=lines[:_MOST_IN_LEGEND], loc="lower center", ncols=6, frameon=False, labelcolor="white", fontsize=9
    )
    write_figure(figure, target)


def _widest(masks: Sequence[NDArray[np.bool_]], slices: int) -> list[int]:
    areas = [mask.sum(axis=(1, 2)) for mask in masks]
    found = {int(np.flatnonzero(area == area.max())[np.sum(area == area.max()) // 2]) for area in areas if area.any()}
    return sorted(found)[:MOST_SLICES] or [slices // 2]


def _slice_name(stack: SliceStack, index: int) -> str:
    """The slice in the scan's own voxel indices, as in "axial, k = 71"; nothing where there is one."""
    if stack.shape[0] == 1:
        return ""
    axis = stack.axes[0]
    return f"{stack.plane}, {'ijk'[axis]} = {int(stack.voxel(index, 0, 0)[axis])}"


def _shades(slices: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.percentile(slices[:, ::3, ::3], (0.5, 99.5))
    return float(low), max(float(high), float(low) + 1e-6)


def _show(axes: Axes, picture: NDArray[np.float32], shades: tuple[float, float], stack: SliceStack) -> None:
    low, high = shades
    aspect = stack.spacing_mm[1] / stack.spacing_mm[2]
    image = np.clip((picture - low) / (high - low), 0, 1)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    axes.set_axis_off()


def _dot(axes: Axes, ranges: NDArray[np.int64], index: int, colour: str) -> None:
    (d0, d1), (y0, y1), (x0, x1) = ranges.tolist()
    if d0 <= index < d1:
        corner = (x0 - 0.5, y0 - 0.5)
        axes.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, ec=colour, ls="dotted", lw=1.4))
