"""Batches for MedSAM compact from labelled slices: the frame of a box, and the target in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.methods.medsam.frame import Frame, prompt_maps, standardise
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.picture_items import PictureBatch
from oncoprompt.training.slice_items import SliceItem


@dataclass(frozen=True)
class FramedItems:
    """Batches of ``count`` consecutive slices, each seen in the frame of its box at ``side`` pixels.

    With ``clicked`` a positive point of the target is shown with the box.
    """

    slices: ItemSource
    side: int
    count: int = 8
    clicked: bool = False

    def item(self, index: int) -> PictureBatch:
        """Batch ``index``: slices index * count to (index + 1) * count - 1."""
        items = [self._framed(self.slices.item(index * self.count + number)) for number in range(self.count)]
        images, prompts, targets = zip(*items, strict=True)
        return PictureBatch(torch.stack(images), torch.stack(prompts), torch.stack(targets))

    def _framed(self, item: SliceItem) -> tuple[Tensor, Tensor, Tensor]:
        x0, y0, x1, y1 = item.box.tolist()
        prompt = SlicePrompt(box=(x0, y0, x1, y1))
        if self.clicked:
            point = item.point[None].numpy().astype(np.float64)
            prompt = SlicePrompt(box=prompt.box, points=point, positive=np.ones(1, dtype=np.bool_))
        frame = Frame.around((x0, y0, x1, y1), self.side)
        return standardise(frame.cut(item.image)), prompt_maps(prompt, frame), frame.cut(item.mask)
