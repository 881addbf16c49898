"""Labelled targets as stacks of slices: a region of each labelled study, or each label of challenge files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.experiments.cases import LABELLED, Case, LabelledStudy, cases_of
from oncoprompt.methods.medsam.intensities import rescale
from oncoprompt.study.challenge import read_challenge
from oncoprompt.study.slices import SliceStack


@dataclass(frozen=True, eq=False)
class SliceTarget:
    """Slices [D, H, W] or [D, H, W, 3] with their grey levels prepared, and the mask [D, H, W] of one target."""

    name: str
    slices: NDArray[np.float32]
    truth: NDArray[np.bool_]

    @property
    def shown(self) -> int:
        """Number of slices that show the target."""
        return int(np.count_nonzero(self.truth.any(axis=(1, 2))))


@dataclass(frozen=True)
class SliceCase:
    """A case whose targets are read when its turn comes."""

    name: str
    source: str
    read: Callable[[], Sequence[SliceTarget]]


def slice_cases_of(
    data: Path | None, schema: str | None, synthetic: int, seed: int, region: str, channel: str
) -> list[SliceCase]:
    """The .npz files of a folder with every label of each, or else the cases of `cases_of` with one region of each.

    ``channel`` is the one that slices are taken from where a study has several. Raises InputError as `cases_of` does.
    """
    files = sorted(data.glob("*.npz")) if data is not None and data.is_dir() else []
    if files:
        return [SliceCase(file.stem, LABELLED, partial(_of_challenge, file)) for file in files]
    found = cases_of(data, schema, synthetic, seed)
    return [SliceCase(case.name, case.source, partial(_of_case, case, region, channel)) for case in found]


def target_of(labelled: LabelledStudy, region: str, channel: str) -> SliceTarget:
    """A region of a study on the slices of one channel; raises InputError where either is not there."""
    study = labelled.study
    if region not in labelled.regions:
        raise InputError(f"there is no region {region}; found: {', '.join(labelled.regions)}.")
    name = channel if len(study.channels) > 1 else next(iter(study.channels))
    images, _ = rescale(study.channel(name), name)
    stack = SliceStack.across(study.grid)
    return SliceTarget(study.name, stack.slices(images), stack.slices(labelled.regions[region]))


def _of_case(case: Case, region: str, channel: str) -> list[SliceTarget]:
    return [target_of(case.read(), region, channel)]


def _of_challenge(file: Path) -> list[SliceTarget]:
    case = read_challenge(file)
    if case.labels is None or not case.labels.any():
        raise InputError("it has no labels (gts), so there is nothing to ask for.")
    labels = [int(label) for label in np.unique(case.labels) if label]
    slices = case.images.astype(np.float32)
    names = [file.stem] if len(labels) == 1 else [f"{file.stem} label {label}" for label in labels]
    return [SliceTarget(name, slices, case.labels == label) for name, label in zip(names, labels, strict=True)]
