"""Labelled slices of one picture or volume, cleaned of specks as MedSAM's data are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError


@dataclass(frozen=True, eq=False)
class LabelledSlices:
    """Slices [D, H, W], or [D, H, W, 3] in colour, uint8; targets [D, H, W], a number each; what a number is called.

    A picture is one slice. Numbers without a name are targets like any other.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.generic]
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that labels lie on the images; raises InputError."""
        if self.labels.shape != self.images.shape[:3]:
            raise InputError(f"Case '{self.name}': image {self.images.shape[:3]} and mask {self.labels.shape} differ.")

    def only(self, wanted: NDArray[np.bool_]) -> LabelledSlices:
        """The slices [D] that are wanted."""
        return replace(self, images=self.images[wanted], labels=self.labels[wanted])


@dataclass(frozen=True)
class SliceCase:
    """A picture or volume on disk, read when asked for."""

    name: str
    read: Callable[[], LabelledSlices]


def cleaned(
    slices: LabelledSlices, least_pixels: int = 100, least_voxels: int = 1000, instances: bool = False
) -> LabelledSlices:
    """The slices that hold a target, without what is too small to be one.

    Parts of a label of fewer than ``least_voxels`` (26 neighbours, volumes only), then parts of fewer than
    ``least_pixels`` in a slice (8 neighbours), become background. With ``instances`` each part of a label is a target
    of its own, without a name. The defaults are MedSAM's (Nature Communications 15:654, 2024).
    """
    labels = np.ascontiguousarray(_whole_numbers(slices))
    if len(labels) > 1:
        labels = cc3d.dust(labels, threshold=least_voxels, connectivity=26)
    flat = [cc3d.dust(label_map, threshold=least_pixels, connectivity=8) for label_map in labels]
    labels = np.stack(flat) if flat else labels
    if instances:
        labels = cc3d.connected_components(labels, connectivity=26)
    kept = replace(slices, labels=labels, names={} if instances else slices.names)
    return kept.only(np.asarray(labels.any(axis=(1, 2))))


def _whole_numbers(slices: LabelledSlices) -> NDArray[Any]:
    labels = slices.labels
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind == "f" and (labels != np.rint(labels)).any():
        raise InputError(
            f"The mask of case '{slices.name}' has values that are not whole numbers; export it as labels."
        )
    if int(labels.min(initial=0)) < 0:
        raise InputError(f"The mask of case '{slices.name}' has negative values; number targets from 1.")
    return labels.astype(np.uint32)
