"""Labelled cases as heads that training sees beside synthetic ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from oncoprompt.cohort import Case
from oncoprompt.errors import InputError
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import BOX_MM
from oncoprompt.training.stored_heads import StoredHead, part_around

_SPACING_MM = 1.0


class Heads(Protocol):
    """Where items get their heads from."""

    def head(self, index: int) -> StoredHead:
        """The head of item ``index``."""
        ...


def head_of_case(case: LabelledCase, kind: str) -> StoredHead:
    """A labelled case, stripped as all such cases are, with a tumour of a kind of `vocabulary.CONCEPTS`.

    Each channel is divided by about its brightest tissue, so that half precision holds it.
    """
    tumour = (case.labels > 0) & (case.labels < 4)
    k, j, i = part_around(case.brain | tumour)
    mean, std = case.statistics()
    top = (mean + 2.0 * std).clamp_min(1e-6)
    corner = [part.start * _SPACING_MM - size / 2 for part, size in zip((i, j, k), BOX_MM, strict=True)]
    return StoredHead(
        channels=case.channels,
        kinds=(kind,) if bool(tumour.any()) else (),
        images=(case.images[:, k, j, i] / top[:, None, None, None]).half(),
        labels=case.labels[None, k, j, i] if bool(tumour.any()) else case.labels[None][:0, k, j, i],
        brain=case.brain[k, j, i].to(torch.uint8),
        corner_mm=(corner[0], corner[1], corner[2]),
        spacing_mm=_SPACING_MM,
        mean=(mean / top).expand(2, -1).clone(),
        std=(std / top).expand(2, -1).clone(),
        stripped=True,
    )


@dataclass(frozen=True)
class CaseHeads:
    """Heads of labelled cases, each read when it is first shown and then kept in memory (about 25 MB)."""

    cases: Sequence[Case]
    kind: str
    seed: int = 0
    _read: dict[str, StoredHead] = field(default_factory=dict, compare=False, repr=False)

    def head(self, index: int) -> StoredHead:
        """A case drawn for item ``index``; raises InputError with its name where it cannot be read."""
        case = self.cases[int(np.random.default_rng([self.seed, 9, index]).integers(len(self.cases)))]
        if case.name not in self._read:
            try:
                self._read[case.name] = head_of_case(LabelledCase.of_study(case.study(), case.labels()), self.kind)
            except InputError as error:
                raise InputError(f"Case '{case.name}' cannot be used: {error}") from error
        return self._read[case.name]


@dataclass(frozen=True)
class MixedHeads:
    """Heads of two sources: ``second`` with a share, else ``first``; which one depends on seed and index alone."""

    first: Heads
    second: Heads
    share: float
    seed: int = 0

    def head(self, index: int) -> StoredHead:
        """The head of item ``index``."""
        draw = np.random.default_rng([self.seed, 10, index]).random()
        return (self.second if draw < self.share else self.first).head(index)
