"""Whole synthetic studies, as a scanner would deliver them."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from oncoprompt.synthesis.case import head_grid
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.lesion import FAMILIES
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.subject import Subject

_SCALE = 1000.0


@dataclass(frozen=True)
class SyntheticStudy:
    """A skull-stripped study at 1 mm with its truth: labels (I, J, K) in case.SCHEMA and what was drawn."""

    study: Study
    label_map: NDArray[np.uint8]
    family: str
    record: dict[str, Any]


def synthesize(seed: int, family: str | None = None, device: str | torch.device = "cpu") -> SyntheticStudy:
    """A synthetic study of 160 x 192 x 160 mm; the same seed, family and kind of device give the same study.

    ``family`` is one of lesion.FAMILIES or None for a random one. Raises InputError for another name.
    """
    if family is not None and family not in FAMILIES:
        raise InputError(f"There is no tumour family '{family}'. Known: {', '.join(FAMILIES)}.")
    subject = Subject.random(seed, family, device)
    picture = subject.picture(box_points(1.0, torch.device(device)), (1.0, 1.0, 1.0))
    images = picture.images.permute(0, 3, 2, 1).cpu().numpy() * _SCALE
    labels = picture.labels.permute(2, 1, 0).cpu().numpy()
    grid = head_grid()
    channels = {name: np.ascontiguousarray(image) for name, image in zip(CHANNELS, images, strict=True)}
    record = {
        "seed": seed,
        "family": subject.family,
        "tissue": asdict(subject.lesion.tissue),
        "sequences": asdict(subject.appearance.sequences),
        "field_tesla": subject.appearance.healthy.field_tesla,
        "scanners": {name: asdict(scanner) for name, scanner in zip(CHANNELS, subject.scanners, strict=True)},
        "volume_ml": {
            name: float((labels == value).sum()) / 1000.0 for name, value in (("NETC", 1), ("SNFH", 2), ("ET", 3))
        },
    }
    study = Study(channels, grid, name=f"synthetic-{seed}")
    return SyntheticStudy(study, np.ascontiguousarray(labels), subject.family, record)
