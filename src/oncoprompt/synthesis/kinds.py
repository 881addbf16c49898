"""Synthetic studies with tumours of several kinds, each kind by the words people have for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt.geometry import Grid
from oncoprompt.study import Study
from oncoprompt.synthesis.case import LabelledCase, as_volume
from oncoprompt.synthesis.ct.subject import AbdomenSubject
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.two_kinds import TwoKinds

WORDS = {"liver": "liver tumour", "kidney": "kidney tumour", "pancreas": "pancreatic tumour"}
"""What people call the tumours of an organ."""
_SCALE = 1000.0


@dataclass(frozen=True)
class StudyOfKinds:
    """A study, masks (I, J, K) of the whole tumour of each kind by its words, and of the anatomy that holds each."""

    study: Study
    kinds: dict[str, NDArray[np.bool_]]
    anatomy: dict[str, NDArray[np.bool_]]


def brain_of_kinds(seed: int, families: Sequence[str]) -> StudyOfKinds:
    """A synthetic MRI at 1 mm with lesions of two of lesion.FAMILIES, see `TwoKinds.random`."""
    person = TwoKinds.random(seed, families)
    picture, each = person.picture(box_points(1.0, torch.device("cpu")), (1.0, 1.0, 1.0))
    case = LabelledCase(
        f"synthetic-kinds-{seed}", person.channels, picture.images.mul_(_SCALE), picture.labels, picture.mask
    )
    kinds = {kind: as_volume((labels > 0) & (labels < 4)) for kind, labels in each.items()}
    brain = as_volume(picture.mask)
    return StudyOfKinds(case.study(), kinds, dict.fromkeys(kinds, brain))


def abdomen_of_kinds(seed: int, organs: Sequence[str], spacing_mm: float = 2.0) -> StudyOfKinds:
    """A synthetic CT with tumours in the named organs; raises InputError for an organ there is not."""
    subject = AbdomenSubject.random(seed, organs[0], also=organs[1:])
    region = subject.whole(spacing_mm)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = region.origin_mm
    k, j, i = region.shape
    name = f"synthetic-ct-kinds-{seed}"
    study = Study({"ct": as_volume(subject.picture(region).hu)}, Grid((i, j, k), affine), name=name)
    kinds = {WORDS[organ]: as_volume(mask) for organ, mask in subject.tumours(region).items()}
    anatomy = {WORDS[organ]: as_volume(subject.organ_mask(organ, region)) for organ in subject.tumours(region)}
    return StudyOfKinds(study, kinds, anatomy)
