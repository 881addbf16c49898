"""Training items from several sources, each with its share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oncoprompt.errors import InputError
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.items import TrainingItem

_DRAW = 0x5EED
"""Keeps the draw of a source apart from the draws that sources make from the same seed and index."""


@dataclass(frozen=True)
class MixedItems:
    """Items of several sources; which one makes item ``index`` depends on the seed and the index alone.

    Shares need not sum to one. Raises InputError for a share that is negative or without a source, and where none is
    above zero.
    """

    sources: Mapping[str, ItemSource]
    shares: Mapping[str, float]
    seed: int = 0

    def __post_init__(self) -> None:
        if set(self.shares) != set(self.sources):
            raise InputError(
                f"Sources and shares of training items must have the same names. Found: {', '.join(self.sources)} and "
                f"{', '.join(self.shares)}."
            )
        values = list(self.shares.values())
        if any(not 0.0 <= value < np.inf for value in values) or sum(values) <= 0.0:
            raise InputError(f"Shares of training items must not be negative, and one above zero. Found: {values}.")

    def source_of(self, index: int) -> str:
        """Name of the source of item ``index``."""
        names = list(self.shares)
        weights = np.array([self.shares[name] for name in names])
        rng = np.random.default_rng([self.seed, index, _DRAW])
        return names[int(rng.choice(len(names), p=weights / weights.sum()))]

    def item(self, index: int) -> TrainingItem:
        """Item ``index``, made by its source."""
        made: TrainingItem = self.sources[self.source_of(index)].item(index)
        return made
