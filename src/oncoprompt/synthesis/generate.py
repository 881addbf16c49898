"""Whole synthetic studies, as a scanner would deliver them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt.study import Study
from oncoprompt.synthesis.atlas import Atlas
from oncoprompt.synthesis.atlases import Atlases
from oncoprompt.synthesis.case import LabelledCase, as_volume
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.record import describe, replay
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.subject import Subject

_SCALE = 1000.0
_COMPONENTS = (("NETC", 1), ("SNFH", 2), ("ET", 3), ("RC", 4))


@dataclass(frozen=True)
class SyntheticStudy:
    """A study at 1 mm with its truth: labels (I, J, K) in case.SCHEMA, and the record from which it can be replayed."""

    study: Study
    label_map: NDArray[np.uint8]
    family: str
    record: dict[str, Any]


def synthesize(
    seed: int,
    family: str | None = None,
    device: str | torch.device = "cpu",
    atlas: Atlas | None = None,
    whole_head: bool = False,
) -> SyntheticStudy:
    """A synthetic study of 160 x 192 x 160 mm; the same arguments and kind of device give the same study.

    ``family`` is one of lesion.FAMILIES or None for a random one, ``atlas`` the anatomy (ICBM152 if None);
    ``whole_head`` keeps skull and scalp. Raises InputError for an unknown family or an atlas without a head.
    """
    return _study(Subject.random(seed, family, device, atlas, whole_head))


def synthesize_from(
    record: Mapping[str, Any], atlases: Atlases | None = None, device: str | torch.device = "cpu"
) -> SyntheticStudy:
    """The study of a record, bit for bit where nothing in it was edited; raises InputError as record.replay does."""
    return _study(replay(record, atlases, device))


def case_of(subject: Subject, name: str) -> LabelledCase:
    """A person imaged on the whole head box at 1 mm."""
    picture = subject.picture(box_points(1.0, subject.lesion.levels.device), (1.0, 1.0, 1.0))
    return LabelledCase(name, CHANNELS, picture.images.mul_(_SCALE), picture.labels, picture.mask)


def _study(subject: Subject) -> SyntheticStudy:
    case = case_of(subject, f"synthetic-{subject.seed}")
    labels = as_volume(case.labels)
    counts = np.bincount(labels.ravel(), minlength=5)
    volumes = {name: float(counts[value]) / 1000.0 for name, value in _COMPONENTS}
    return SyntheticStudy(case.study(), labels, subject.family, {**describe(subject), "volume_ml": volumes})
