"""A contact sheet to judge labelled cases at a glance: a row a case, every channel and the labels in one slice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.report.figure import add_legend, display_range, draw_slice, visible_part, write_figure
from oncoprompt.report.planes import Plane, widest_planes
from oncoprompt.study import Study, schemas

COLOURS = {"NETC": "#f0e442", "SNFH": "#56b4e9", "ET": "#ff5a36", "RC": "#cc79a7", "TUMOUR": "#009e73"}
"""Colours of components, told apart by all common kinds of colour vision on grey."""
MOST_ROWS = 12

_INCHES_A_PANEL = 2.2
_TITLE_INCHES = 0.32
_LEGEND_INCHES = 0.75


@dataclass(frozen=True)
class SheetRow:
    """What a sheet shows of one case: the axial slice of each channel and of the components where tumour is widest.

    ``shades`` are the values of each channel shown black and white, ``part`` the rows and columns that hold the head.
    """

    title: str
    plane: Plane
    part: tuple[slice, slice]
    pictures: Mapping[str, NDArray[np.generic]]
    shades: Mapping[str, tuple[float, float]]
    components: Mapping[str, NDArray[np.generic]]

    @classmethod
    def of_case(cls, title: str, study: Study, label_map: NDArray[np.uint8], schema: str) -> SheetRow:
        """The row of a study and its label map (I, J, K) in ``schema``; keeps pictures only, not the volumes.

        Raises InputError for a label map of another shape and for values that the schema does not have.
        """
        if label_map.shape != study.grid.shape:
            raise InputError(
                f"{title}: the label map has shape {label_map.shape}, but the scan has {study.grid.shape}."
            )
        known = schemas.get(schema)
        known.check(label_map)
        plane = widest_planes({"labels": label_map > 0}, study.grid)[0]
        labels = plane.cut(label_map)
        return cls(
            title=title,
            plane=plane,
            part=visible_part(study, plane),
            pictures={name: plane.cut(volume).copy() for name, volume in study.channels.items()},
            shades={name: display_range(volume, name) for name, volume in study.channels.items()},
            components={component: labels == value for component, value in known.values if component in COLOURS},
        )

    @property
    def height(self) -> float:
        """Height of a panel over its width."""
        rows, columns = self.part
        return float((rows.stop - rows.start) * self.plane.aspect / (columns.stop - columns.start))


def draw_contact_sheet(path: str | os.PathLike[str], rows: Sequence[SheetRow]) -> None:
    """Write a PNG: one row a case (at most MOST_ROWS), a column a channel and one for the components in colours.

    Raises InputError for a name that does not end in .png and where there is no row.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise InputError(f"The contact sheet '{target.name}' must end in .png.")
    if not rows:
        raise InputError("A contact sheet needs at least one case.")
    shown = rows[:MOST_ROWS]
    columns = 1 + max(len(row.pictures) for row in shown)
    inches = sum(_INCHES_A_PANEL * row.height + _TITLE_INCHES for row in shown) + _LEGEND_INCHES
    # the legend in a line and its note need a width of their own
    figure = Figure(figsize=(max(5.5, columns * _INCHES_A_PANEL), inches), facecolor="black")
    FigureCanvasAgg(figure)
    top = inches
    for row in shown:
        top -= _TITLE_INCHES
        height = _INCHES_A_PANEL * row.height
        figure.text(0.006, (top + 0.07) / inches, row.title, color="white", fontsize=11, va="bottom")
        top -= height
        for column, name in enumerate([*row.pictures, "labels"]):
            axes = figure.add_axes((column / columns, top / inches, 0.985 / columns, height / inches))
            _draw_panel(axes, row, name)
    found = [name for name in COLOURS if any(name in row.components for row in shown)]
    add_legend(figure, [Patch(color=COLOURS[name], label=name) for name in found])
    write_figure(figure, target)


def _draw_panel(axes: Any, row: SheetRow, name: str) -> None:
    """One channel, or the components over a dim last channel."""
    channel = name if name in row.pictures else list(row.pictures)[-1]
    low, high = row.shades[channel]
    if name != channel:
        high = low + 2.5 * (high - low)
    draw_slice(axes, row.plane, row.pictures[channel], (low, high), row.part)
    if name != channel:
        axes.imshow(_painted(row.components), aspect=row.plane.aspect, interpolation="nearest")
        rows, columns = row.part
        axes.set_xlim(columns.start - 0.5, columns.stop - 0.5)
        axes.set_ylim(rows.stop - 0.5, rows.start - 0.5)
    axes.text(0.02, 0.98, name, transform=axes.transAxes, color="0.9", fontsize=10, ha="left", va="top")


def _painted(components: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float64]:
    """Colours [row, column, 4] of the components, clear where there is none."""
    masks = list(components.values())
    out = np.zeros((*masks[0].shape, 4))
    for component, mask in components.items():
        out[mask.astype(bool)] = to_rgba(COLOURS[component])
    return out
