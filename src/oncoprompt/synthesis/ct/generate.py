"""Whole synthetic abdominal CT studies, as a scanner would deliver them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import Study
from oncoprompt.synthesis.case import as_volume
from oncoprompt.synthesis.ct.subject import AbdomenSubject


@dataclass(frozen=True)
class SyntheticCt:
    """A study with channel ct in HU, its labels (I, J, K) in subject.LABELS of the organ, and what was drawn."""

    study: Study
    label_map: NDArray[np.uint8]
    organ: str
    record: dict[str, Any]


def synthesize_ct(
    seed: int, organ: str, spacing_mm: float = 2.0, device: str | torch.device = "cpu", phase: str | None = None
) -> SyntheticCt:
    """A synthetic CT of 416 x 304 x 288 mm; the same arguments and kind of device give the same study.

    Raises InputError for an organ or phase there is not, or a spacing outside 0.5 to 5 mm.
    """
    if not 0.5 <= spacing_mm <= 5.0:
        raise InputError(f"Synthetic CT needs a spacing of 0.5 to 5 mm, found {spacing_mm:g}.")
    subject = AbdomenSubject.random(seed, organ, device, phase)
    region = subject.whole(spacing_mm)
    picture = subject.picture(region)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = region.origin_mm
    k, j, i = region.shape
    study = Study({"ct": as_volume(picture.hu)}, Grid((i, j, k), affine), name=f"synthetic-ct-{organ}-{seed}")
    return SyntheticCt(study, as_volume(picture.labels), organ, subject.record() | {"spacing_mm": spacing_mm})
