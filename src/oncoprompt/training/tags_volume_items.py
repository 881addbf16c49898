"""Training items of full-size TAGS: a crop of a labelled case, its truth, and what a person might say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError, in_shell
from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.tags.phrases import KINDS
from oncoprompt.methods.tags.tensors import NEGATIVE, POSITIVE
from oncoprompt.prompts import jitter_box, random_clicks
from oncoprompt.training.kept import Kept, case_order
from oncoprompt.training.tags_cases import AnatomySource, CaseSource, OrganCase, OrganCohort, read_organ_case
from oncoprompt.training.tags_crops import Crop, CropChange, cut, random_centre, tumour_centre


@dataclass(frozen=True)
class VolumeItem:
    """A crop and its prompts; axes (d, h, w), voxels of 1 mm.

    volume [3, D, H, W]: image, image, anatomy mask; tumour [1, D, H, W] in 0 and 1: what is asked for, nothing where
    the words are of another organ; clicks [N, 3] in voxels with labels [N]; box [3, 2], half-open, or None; text
    [2, C]: unit vectors of the healthy organ and of the tumour that the words mean, or None without a text tower;
    said: whether the network hears them.
    """

    volume: Tensor
    tumour: Tensor
    clicks: Tensor
    labels: Tensor
    box: Tensor | None
    text: Tensor | None
    said: bool
    words: str


@dataclass(frozen=True)
class VolumeItemConfig:
    """How items are drawn, and what the loss compares them with; shares are probabilities. The defaults are published.

    cohorts: data sets with their words; without, `[data]` names one of tumours of `words`. anatomy: masks of the organ
    from "files" beside the scans or from the "labels". Published clicks are `tumour_clicks` in the tumour and
    `anywhere_clicks` anywhere, all alike. With `labelled_clicks` they are up to so many, positive in the tumour and
    negative outside, and half of the times up to `corrections` more where the network errs; there may be a box and
    words, and `wrong_words_share` of the items ask for the tumour of another organ, which is not there.
    clip: folder of CLIP, by default the user's. dataset_words: the organ is called by its data set.
    double_softmax: in the focal loss, as published. flat_turns: quarter turns in the plane of the slices.
    """

    cohorts: tuple[OrganCohort, ...] = ()
    words: str | None = None
    fold: int = 0
    anatomy: AnatomySource = "files"
    anatomy_dropout: float = 0.0
    side: int = 128
    tumour_clicks: int = 10
    anywhere_clicks: int = 20
    labelled_clicks: int = 0
    corrections: int = 0
    box_share: float = 0.0
    text_share: float = 0.0
    wrong_words_share: float = 0.0
    clip: str | None = None
    dataset_words: bool = True
    double_softmax: bool = True
    flat_turns: bool = False

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        if self.side < 16 or self.side % 4:
            raise InputError(
                f"Training configuration: data.options.side is {self.side}. It must be a multiple of 4 from 16 on."
            )
        for name in ("anatomy_dropout", "box_share", "text_share", "wrong_words_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(
                    f"Training configuration: data.options.{name} is {getattr(self, name)}. It must be in [0, 1]."
                )
        for name in ("tumour_clicks", "anywhere_clicks", "labelled_clicks", "corrections"):
            if getattr(self, name) < 0:
                raise InputError(f"Training configuration: data.options.{name} must not be negative.")

    @classmethod
    def plus(cls) -> VolumeItemConfig:
        """Up to ten labelled clicks, often corrected; now and then a box, words, no mask of the organ."""
        return cls(
            anatomy_dropout=0.2,
            labelled_clicks=10,
            corrections=3,
            box_share=0.3,
            text_share=0.5,
            wrong_words_share=0.1,
            dataset_words=False,
            double_softmax=False,
            flat_turns=True,
        )


class VolumeItems:
    """Items of labelled cases as a function of (seed, index): every case once before any is seen again.

    The last `kept` cases stay in memory. Without `augment`, crops are those of validation: centred on a voxel of the
    tumour, unchanged, with ten clicks in it.
    """

    def __init__(
        self,
        sources: Sequence[CaseSource],
        config: VolumeItemConfig,
        texts: Mapping[str, Tensor],
        seed: int,
        kept: int = 4,
        augment: bool = True,
    ) -> None:
        if not sources:
            raise InputError("There is no labelled case to train on.")
        self.sources, self.config, self.texts = tuple(sources), config, texts
        self._seed, self._augment = seed, augment
        self._organs = {source.words: source.organ for source in sources if source.words in texts}
        self._cases: Kept[OrganCase] = Kept(kept)

    def item(self, index: int) -> VolumeItem:
        """Item `index`; raises InputError with the name of a case that cannot be used."""
        rng = np.random.default_rng([self._seed, index])
        count = len(self.sources)
        number = int(case_order(count, self._seed, index // count)[index % count]) if self._augment else index % count
        case = self._cases.get(number, partial(self._read, number))
        channel = str(rng.choice(list(case.channels))) if self._augment else next(iter(case.channels))
        crop = self._crop(case, self.sources[number].organ, channel, rng)
        return self._asked(case.words, crop, rng)

    def _crop(self, case: OrganCase, organ: str, channel: str, rng: np.random.Generator) -> Crop:
        side = self.config.side
        if not self._augment:
            return cut(case, channel, tumour_centre(case, rng), side, CropChange())
        change = CropChange.random(rng, organ == "pancreas", (1, 2) if self.config.flat_turns else (0, 1))
        return cut(case, channel, random_centre(case, side, rng), side, change)

    def _asked(self, words: str, crop: Crop, rng: np.random.Generator) -> VolumeItem:
        """The item of a crop: prompts for its tumour or, now and then, for one that is not there."""
        config = self.config
        others = self._others(words)
        wrong = bool(others) and self._augment and rng.random() < config.wrong_words_share
        asked = str(rng.choice(others)) if wrong else words
        tumour = np.zeros_like(crop.tumour) if wrong else crop.tumour
        clicks, labels = self._clicks(tumour, wrong, rng)
        seen = not self._augment or rng.random() >= config.anatomy_dropout
        boxed = self._augment and bool(tumour.any()) and rng.random() < config.box_share
        image, anatomy = torch.from_numpy(crop.image), torch.from_numpy(crop.anatomy).float()
        return VolumeItem(
            volume=torch.stack([image, image, anatomy if seen else torch.zeros_like(anatomy)]),
            tumour=torch.from_numpy(tumour)[None],
            clicks=torch.from_numpy(clicks).float(),
            labels=torch.from_numpy(labels),
            box=torch.from_numpy(_box(tumour, rng)).float() if boxed else None,
            text=self.texts.get(asked),
            said=wrong or rng.random() < config.text_share,
            words=asked,
        )

    def _others(self, words: str) -> list[str]:
        """Words that are known not to mean a tumour of these words: a kind of brain tumour may be that of a brain."""
        return sorted(
            other
            for other, organ in self._organs.items()
            if other != words and (organ != self._organs.get(words) or {other, words} <= set(KINDS))
        )

    def _clicks(
        self, tumour: NDArray[np.uint8], wrong: bool, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Clicks [N, 3] and their labels [N]."""
        config = self.config
        inside, elsewhere = config.tumour_clicks, config.anywhere_clicks
        background = np.ones_like(tumour)
        if config.labelled_clicks and self._augment:
            inside = 0 if wrong else int(rng.integers(0, config.labelled_clicks + 1))
            elsewhere = int(rng.integers(0, config.labelled_clicks - inside + 1)) if inside else 0
            background = tumour == 0
        elif not self._augment:
            elsewhere = 0
        drawn = [(tumour, inside, POSITIVE), (background, elsewhere, NEGATIVE if config.labelled_clicks else POSITIVE)]
        clicks = [(random_clicks(mask, n, rng), label) for mask, n, label in drawn if n and mask.any()]
        places = np.concatenate([found for found, _ in clicks]) if clicks else np.zeros((0, 3), dtype=np.int64)
        return places, np.concatenate([np.zeros(0, np.int64), *(np.full(len(found), label) for found, label in clicks)])

    def _read(self, number: int) -> OrganCase:
        source = self.sources[number]
        try:
            return read_organ_case(source, self.config.anatomy)
        except (InputError, OSError) as error:
            raise InputError(f"Case '{source.case.name}' cannot be used: {in_shell(error)}") from error


def _box(tumour: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.int64]:
    """The box around the tumour, each side moved by up to a tenth of its length."""
    d, h, w = tumour.shape
    return jitter_box(mask_bounds(tumour > 0), 0.1, rng, (d, h, w))
