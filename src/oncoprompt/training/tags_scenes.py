"""People to ask about in words: heads and abdomens with tumours of one or two kinds, imaged on any crop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.tags.intensities import soft_tissue
from oncoprompt.methods.tags.vocabulary import ABDOMEN, BRAIN
from oncoprompt.synthesis.anatomy import LOW_SPACING_MM
from oncoprompt.synthesis.atlas import Atlas
from oncoprompt.synthesis.ct.lattice import Region
from oncoprompt.synthesis.ct.subject import AbdomenSubject
from oncoprompt.synthesis.fields import BOX_MM
from oncoprompt.synthesis.kinds import WORDS
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.subject import Subject
from oncoprompt.synthesis.two_kinds import KINDS, TwoKinds
from oncoprompt.training.items import SyntheticPatient

_OVERVIEW_MM = 4.0


@dataclass(frozen=True)
class Crop:
    """Cubic voxels: the corner of the first one in mm (R, A, S), their size, and the shape (D, H, W)."""

    corner_mm: NDArray[np.float64]
    spacing_mm: float
    shape: tuple[int, int, int]

    def points(self) -> Tensor:
        """Voxel centres ``[D, H, W, 3]`` in mm (R, A, S)."""
        x, y, z = (
            torch.from_numpy((self.corner_mm[a] + (np.arange(n) + 0.5) * self.spacing_mm).astype(np.float32))
            for a, n in enumerate(reversed(self.shape))
        )
        return torch.stack(torch.broadcast_tensors(x[None, None, :], y[None, :, None], z[:, None, None]), dim=-1)

    def voxels(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions (..., 3) in mm as continuous voxels (W, H, D), the middle of the first at 0."""
        return np.asarray((points_mm - self.corner_mm) / self.spacing_mm - 0.5)


@dataclass(frozen=True)
class View:
    """What a crop shows: images ``[M, D, H, W]`` of channels, labels of each kind, the mask of each one's anatomy."""

    images: Tensor
    labels: dict[str, Tensor]
    anatomy: dict[str, Tensor]


@dataclass(frozen=True)
class Overview:
    """Masks ``[K, J, I]`` of the whole tumour of each kind on a coarse grid, and the bounds (3, 2) in mm to look at.

    ``cores`` are those of the cores, where they are known.
    """

    tumours: dict[str, NDArray[np.bool_]]
    corner_mm: NDArray[np.float64]
    spacing_mm: float
    bounds_mm: NDArray[np.float64]
    cores: dict[str, NDArray[np.bool_]] = field(default_factory=dict)


class Scene(Protocol):
    """A person."""

    @property
    def channels(self) -> tuple[str, ...]: ...

    @property
    def words(self) -> tuple[str, ...]:
        """Kinds of tumour that people may ask for in such a study."""
        ...

    def overview(self) -> Overview: ...

    def view(self, crop: Crop) -> View: ...

    def statistics(self) -> tuple[Tensor, Tensor] | None:
        """Mean and deviation of each channel over the brain; None where the images are standardised already."""
        ...


@dataclass(frozen=True)
class Head:
    """A synthetic head with tumours of one kind or two, or none."""

    person: Subject | TwoKinds
    channels: tuple[str, ...] = CHANNELS
    words: tuple[str, ...] = BRAIN

    @property
    def first(self) -> Subject:
        """The person without a second tumour."""
        return self.person.first if isinstance(self.person, TwoKinds) else self.person

    @staticmethod
    def random(seed: int, families: tuple[str, ...], atlas: Atlas | None) -> Head:
        """A head with a tumour of the family named, or of two of different kinds."""
        if len(families) == 1:
            return Head(Subject.random(seed, families[0], atlas=atlas))
        return Head(TwoKinds.random(seed, families, atlas))

    def overview(self) -> Overview:
        """Tumours and brain at 2 mm."""
        patient = SyntheticPatient(self.first)
        if isinstance(self.person, TwoKinds):
            labels = self.person.label_maps()
        else:
            kind = KINDS.get(self.first.family)
            labels = {} if kind is None else {kind: patient.label_map()}
        corner = -np.array(BOX_MM) / 2
        bounds = mask_bounds(patient.brain().numpy())[::-1] * LOW_SPACING_MM + corner[:, None] + [[-4.0, 4.0]]
        tumours = {kind: ((label > 0) & (label < 4)).numpy() for kind, label in labels.items()}
        return Overview({k: v for k, v in tumours.items() if v.any()}, corner, LOW_SPACING_MM, bounds)

    def view(self, crop: Crop) -> View:
        """Images as measured; the brain is the anatomy of all kinds."""
        spacing = (crop.spacing_mm,) * 3
        if isinstance(self.person, TwoKinds):
            picture, labels = self.person.picture(crop.points(), spacing)
        else:
            picture = self.person.picture(crop.points(), spacing)
            kind = KINDS.get(self.person.family)
            labels = {} if kind is None else {kind: picture.labels}
        return View(picture.images, labels, dict.fromkeys(self.words, picture.mask))

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Intensities of the whole head."""
        return self.first.statistics()


@dataclass(frozen=True)
class Abdomen:
    """A synthetic abdomen with tumours in one organ or two, seen by CT."""

    subject: AbdomenSubject
    channels: tuple[str, ...] = ("ct",)
    words: tuple[str, ...] = ABDOMEN

    def overview(self) -> Overview:
        """Tumours in the whole box at 4 mm."""
        region = self.subject.whole(_OVERVIEW_MM)
        corner = np.array(region.origin_mm) - _OVERVIEW_MM / 2
        size = np.array(region.shape[::-1]) * _OVERVIEW_MM
        tumours = {WORDS[organ]: mask.numpy() for organ, mask in self.subject.tumours(region).items()}
        bounds = np.stack([corner, corner + size], axis=1)
        return Overview({k: v for k, v in tumours.items() if v.any()}, corner, _OVERVIEW_MM, bounds)

    def view(self, crop: Crop) -> View:
        """HU as `soft_tissue` shows them; tumours have label 3, of the core and enhancing tumour nothing is known."""
        x, y, z = (float(v) for v in crop.corner_mm + crop.spacing_mm / 2)
        region = Region((x, y, z), crop.shape, (crop.spacing_mm,) * 3)
        images = torch.from_numpy(soft_tissue(self.subject.picture(region).hu.numpy()))[None]
        labels = {WORDS[organ]: mask.to(torch.uint8) * 3 for organ, mask in self.subject.tumours(region).items()}
        anatomy = {word: self.subject.organ_mask(organ, region) for organ, word in WORDS.items()}
        return View(images, labels, anatomy)

    def statistics(self) -> None:
        """Nothing: HU need no statistics."""
        return
