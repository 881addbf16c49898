"""What is asked of TAGS: prompts sorted by kind, and how one crop is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.methods.interface import Prompt
from oncoprompt.methods.region_method import box_on
from oncoprompt.methods.tags.tensors import NEGATIVE, POSITIVE, TagsPrompt
from oncoprompt.prompts import Anatomy, Box, Click, Text


@dataclass(frozen=True)
class Asked:
    """Prompts by kind; several anatomy masks are parts of one organ."""

    clicks: tuple[Click, ...]
    boxes: tuple[Box, ...]
    words: str | None
    anatomy: tuple[Anatomy, ...]

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> Asked:
        """Sort prompts; raises InputError for two phrases with different words."""
        words = {p.words: None for p in prompts if isinstance(p, Text)}
        if len(words) > 1:
            raise InputError(f"One thing is asked for at a time. Found: {', '.join(words)}.")
        return cls(
            tuple(p for p in prompts if isinstance(p, Click)),
            tuple(p for p in prompts if isinstance(p, Box)),
            next(iter(words), None),
            tuple(p for p in prompts if isinstance(p, Anatomy)),
        )

    @property
    def positive_mm(self) -> NDArray[np.float64]:
        """Positive clicks (N, 3) in world mm."""
        return np.asarray([c.point_mm for c in self.clicks if c.positive]).reshape(-1, 3)

    def on(self, crop: Grid, text: Tensor | None) -> TagsPrompt:
        """Prompt of a crop (R, A, S): the clicks in it, the box that fills most of it, clipped, and text [2, width]."""
        last = np.asarray(crop.shape) - 0.5
        places = [(crop.to_voxels(np.asarray(click.point_mm)), click.positive) for click in self.clicks]
        seen = [(p[::-1].tolist(), positive) for p, positive in places if np.all(p >= -0.5) and np.all(p <= last)]
        clicks = torch.tensor([p for p, _ in seen], dtype=torch.float32).view(1, -1, 3)
        labels = torch.tensor([POSITIVE if positive else NEGATIVE for _, positive in seen], dtype=torch.int64)
        box = self._box_on(crop)
        return TagsPrompt(
            clicks,
            labels[None],
            None if box is None else torch.from_numpy(box[::-1].copy()).float()[None],
            None if text is None else text.float()[None],
        )

    def _box_on(self, crop: Grid) -> NDArray[np.float64] | None:
        limits = np.asarray(crop.shape, dtype=np.float64)[:, None]
        clipped = [np.clip(box_on(box, crop), 0.0, limits) for box in self.boxes]
        return max(clipped, key=lambda box: float(np.prod(box[:, 1] - box[:, 0])), default=None)
