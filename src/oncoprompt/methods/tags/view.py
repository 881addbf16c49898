"""A study as TAGS sees it: one channel, standardised for the organ, and the organ's mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.geometry import Grid, resample
from oncoprompt.methods.tags.intensities import Intensities, channel_for, intensities_for
from oncoprompt.prompts import Anatomy
from oncoprompt.study import Study
from oncoprompt.study.foreground import foreground_mask


@dataclass(frozen=True, eq=False)
class View:
    """A study seen for an organ, or for none in particular."""

    study: Study
    organ: str | None

    @cached_property
    def channel(self) -> str:
        """Name of the channel that is looked at."""
        return channel_for(self.study, self.organ)

    @property
    def is_ct(self) -> bool:
        """Whether a CT is looked at."""
        return self.channel == "ct"

    @cached_property
    def intensities(self) -> Intensities:
        """How the channel is standardised."""
        return intensities_for(self.study, self.channel, self.organ)

    @cached_property
    def foreground(self) -> NDArray[np.bool_]:
        """Head or body (I, J, K)."""
        return foreground_mask(self.study.channels[self.channel], self.channel)

    def volume(self, crop: Grid, anatomy: Sequence[Anatomy]) -> Tensor:
        """What the network encodes of a crop (R, A, S): image, image, mask, [1, 3, D, H, W].

        Without an anatomy mask that channel is the head for MRI and empty for CT.
        """
        values = self.study.channels[self.channel]
        seen = resample(values, self.study.grid, crop, fill=self.intensities.fill)
        image = self.intensities.standardise(seen)
        return torch.from_numpy(np.stack([image, image, self._mask(crop, anatomy)]).transpose(0, 3, 2, 1).copy())[None]

    def target(self, anatomy: Sequence[Anatomy]) -> NDArray[np.bool_]:
        """Where to search (I, J, K): in the organ, or without a mask of it in the foreground."""
        if not anatomy:
            return self.foreground
        grid = self.study.grid
        return np.asarray(np.any([resample(part.mask, part.grid, grid, order=0) for part in anatomy], axis=0))

    def _mask(self, crop: Grid, anatomy: Sequence[Anatomy]) -> NDArray[np.float32]:
        parts = anatomy if anatomy or self.is_ct else [Anatomy(self.foreground, self.study.grid)]
        out = np.zeros(crop.shape, dtype=np.float32)
        for part in parts:
            np.maximum(out, part.on(crop), out=out)
        return out
