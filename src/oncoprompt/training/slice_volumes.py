"""Labelled slices of volumes: challenge cases in .npz, and each channel of the cases of a cohort."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from oncoprompt.cohort import Case
from oncoprompt.errors import InputError
from oncoprompt.study.challenge import read_challenge
from oncoprompt.study.slices import SliceStack
from oncoprompt.study.volume import read_volume
from oncoprompt.training.slice_pictures import grey_levels
from oncoprompt.training.slice_stack import LabelledSlices, SliceCase


def npz_cases(folder: Path) -> list[SliceCase]:
    """The .npz files of a folder, as `read_challenge` reads them; raises InputError where there is none."""
    paths = sorted(folder.glob("[!.]*.npz"))
    if not paths:
        raise InputError(f"Folder '{folder}' holds no file that ends in .npz.")
    return [SliceCase(path.stem, partial(_read_npz, path)) for path in paths]


def volume_cases(
    cases: tuple[Case, ...], preset: str = "auto", plane: str | None = None, channel: str | None = None
) -> list[SliceCase]:
    """Every channel of every labelled case, or the one named, as a stack of slices of a plane.

    Each number of a label map is a target, whatever it stands for; its name is its meaning in the case's schema. Raises
    InputError where no case has the channel.
    """
    found = [
        SliceCase(f"{case.name}/{name}", partial(_read_volume, case, name, preset, plane))
        for case in cases
        for name in case.channels
        if channel in (None, name)
    ]
    if not found:
        present = sorted({name for case in cases for name in case.channels})
        raise InputError(f"No case has a channel '{channel}'. Found: {', '.join(present)}.")
    return found


def _read_npz(path: Path) -> LabelledSlices:
    case = read_challenge(path)
    if case.labels is None:
        raise InputError(f"'{path.name}' has no 'gts'; training needs masks, a box alone is none.")
    return LabelledSlices(path.stem, grey_levels(case.images, "grey", "auto"), case.labels)


def _read_volume(case: Case, channel: str, preset: str, plane: str | None) -> LabelledSlices:
    if case.label_map is None:
        raise InputError(f"Case '{case.name}' has no label map.")
    study, label_map = case.study(), read_volume(case.label_map, raw=True)
    if not study.grid.matches(label_map.grid):
        told = study.grid.difference(label_map.grid)
        raise InputError(f"Case '{case.name}': scan and label map lie on different grids: {told}.")
    stack = SliceStack.across(study.grid, plane)
    images = grey_levels(stack.slices(study.channel(channel)), channel, preset)
    names = {number: meaning for meaning, number in case.schema.values} if case.schema is not None else {}
    return LabelledSlices(case.name, images, np.asarray(stack.slices(label_map.array)), names)
