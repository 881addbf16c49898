"""Training items from a data set on disk: cases are read when they are drawn and kept in little memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.cohort import Case, Cohort, Split, read_cohort
from oncoprompt.errors import InputError, in_shell
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.training.case_items import CaseItems
from oncoprompt.training.config import DataSection
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.items import ItemConfig, SyntheticItems
from oncoprompt.training.kept import Kept
from oncoprompt.training.mixed_items import MixedItems

logger = logging.getLogger("oncoprompt.training")


def cohort_items(data: DataSection, config: ItemConfig, seed: int) -> ItemSource:
    """Items of the labelled cases that `[data]` names, a share of them synthetic where it says so.

    Raises InputError for a data set or a split that cannot be read, and for one without labelled cases.
    """
    cases = labelled_cases(data.cohort or "", data.layout, data.schema, data.split, data.part)
    real = CaseItems(CohortCases(cases, data.kept_cases), config, seed)
    if data.synthetic_share == 0.0:
        return real
    shares = {"real": 1.0 - data.synthetic_share, "synthetic": data.synthetic_share}
    return MixedItems({"real": real, "synthetic": SyntheticItems(config, seed)}, shares, seed)


def labelled_cases(
    cohort: str, layout: str | None, schema: str | None, split: str | None, part: str, fold: int = 0
) -> tuple[Case, ...]:
    """The labelled cases of a data set, or of a part of its split; raises InputError where there are none.

    `fold` is that of a split which lists several.
    """
    found: Cohort = read_cohort(Path(cohort), layout, schema)
    if split is not None:
        found = Split.read(Path(split), fold).select(found, part)
    if not found.labelled:
        where = f"Part '{part}' of '{split}'" if split is not None else f"Data set '{cohort}'"
        raise InputError(f"{where} has no labelled case among its {len(found.cases)}. Training needs label maps.")
    for problem in found.problems:
        logger.warning("%s", problem)
    return found.labelled


class CohortCases(Sequence[LabelledCase]):
    """The cases of a data set in the head box, read when they are asked for; the last `kept` stay packed in memory."""

    def __init__(self, cases: Sequence[Case], kept: int) -> None:
        self._cases = cases
        self._kept = kept
        self._packed: Kept[PackedCase] = Kept(kept)

    def __len__(self) -> int:
        return len(self._cases)

    @overload
    def __getitem__(self, index: int) -> LabelledCase: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[LabelledCase]: ...

    def __getitem__(self, index: int | slice) -> LabelledCase | Sequence[LabelledCase]:
        """A case, as if it had always been packed; raises InputError with its name where it cannot be read."""
        if isinstance(index, slice):
            return CohortCases(self._cases[index], self._kept)
        return self._packed.get(index, lambda: _read(self._cases[index])).unpacked()


@dataclass(frozen=True)
class PackedCase:
    """A labelled case without what is outside of its brain and tumour, in about 15 instead of 90 MB.

    Intensities are shares of their channel's greatest in half precision, ``[C, N]`` at the N voxels that ``inside``
    (bits) holds; ``labels`` and ``brain`` are ``[N]``.
    """

    name: str
    channels: tuple[str, ...]
    shape: torch.Size
    inside: NDArray[np.uint8]
    images: Tensor
    greatest: Tensor
    labels: Tensor
    brain: Tensor

    @staticmethod
    def of(case: LabelledCase) -> PackedCase:
        """Pack a case, whose images are zero outside of the brain."""
        inside = case.brain | (case.labels > 0)
        values = case.images[:, inside]
        greatest = values.abs().amax(dim=1, keepdim=True).clamp_min(1e-30)
        return PackedCase(
            name=case.name,
            channels=case.channels,
            shape=case.labels.shape,
            inside=np.packbits(inside.numpy()),
            images=(values / greatest).half(),
            greatest=greatest,
            labels=case.labels[inside],
            brain=case.brain[inside],
        )

    def unpacked(self) -> LabelledCase:
        """The case; intensities are right to a two-thousandth of their channel's greatest, all else is as it was."""
        count = self.shape.numel()
        inside = torch.from_numpy(np.unpackbits(self.inside, count=count).astype(bool)).view(self.shape)
        images = torch.zeros((len(self.channels), *self.shape))
        images[:, inside] = self.images.float() * self.greatest
        labels = torch.zeros(self.shape, dtype=self.labels.dtype)
        labels[inside] = self.labels
        brain = torch.zeros(self.shape, dtype=torch.bool)
        brain[inside] = self.brain
        return LabelledCase(self.name, self.channels, images, labels, brain)


def _read(case: Case) -> PackedCase:
    try:
        return PackedCase.of(LabelledCase.of_study(case.study(), case.labels()))
    # whatever is wrong with its files, the log has to say which case it was
    except Exception as error:
        raise InputError(f"Case '{case.name}' cannot be used: {in_shell(error)}") from error
