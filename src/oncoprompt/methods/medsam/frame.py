"""The frame of a box: the box with a margin, at a fixed size, so that every target fills the same part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from oncoprompt.methods.medsam.slice_model import SlicePrompt

MARGIN = 0.3
"""Part of the box's side that the frame adds on each of its four sides."""

LEAST_MARGIN = 2.0
"""Pixels it adds at least."""

FAR_BELOW = -12.0
"""Logit outside the frame."""

_POINT_RADIUS = 3.0
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True)
class Frame:
    """Columns x0 to x1 and rows y0 to y1 (half-open, possibly beyond the slice), seen at ``side`` pixels."""

    x0: int
    y0: int
    x1: int
    y1: int
    side: int

    @classmethod
    def around(cls, box: tuple[float, float, float, float], side: int) -> Frame:
        """The frame of a box (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = box
        wide, high = (max(MARGIN * extent, LEAST_MARGIN) for extent in (x1 - x0, y1 - y0))
        low, top = int(np.floor(x0 - wide)), int(np.floor(y0 - high))
        return cls(low, top, max(low + 1, int(np.ceil(x1 + wide))), max(top + 1, int(np.ceil(y1 + high))), side)

    def cut(self, planes: Tensor) -> Tensor:
        """Planes [C, H, W] of a slice seen in the frame, [C, side, side]; beyond the slice its edge goes on."""
        rows = torch.arange(self.y0, self.y1, device=planes.device).clamp(0, planes.shape[1] - 1)
        columns = torch.arange(self.x0, self.x1, device=planes.device).clamp(0, planes.shape[2] - 1)
        part = planes[:, rows][:, :, columns][None]
        size = (self.side, self.side)
        seen: Tensor = functional.interpolate(part, size, mode="bilinear", antialias=True, align_corners=False)
        return seen[0]

    def paste(self, logits: Tensor, shape: tuple[int, int]) -> Tensor:
        """Logits [side, side] on the pixels of the slice [H, W]; FAR_BELOW outside the frame."""
        size = (self.y1 - self.y0, self.x1 - self.x0)
        whole = functional.interpolate(logits[None, None], size, mode="bilinear", align_corners=False)[0, 0]
        out = torch.full(shape, FAR_BELOW, dtype=whole.dtype, device=whole.device)
        top, left = max(self.y0, 0), max(self.x0, 0)
        bottom, right = min(self.y1, shape[0]), min(self.x1, shape[1])
        if bottom > top and right > left:
            out[top:bottom, left:right] = whole[top - self.y0 : bottom - self.y0, left - self.x0 : right - self.x0]
        return out

    def positions(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (P, 2) of the slice as (x, y) in the frame; centres of pixels are whole numbers in both."""
        low = np.array([self.x0, self.y0], dtype=np.float64)
        scale = self.side / np.array([self.x1 - self.x0, self.y1 - self.y0], dtype=np.float64)
        return np.asarray((points + 0.5 - low) * scale - 0.5)


def standardise(image: Tensor) -> Tensor:
    """Image [3, S, S] less its mean, over its standard deviation, colours together."""
    deviation, mean = torch.std_mean(image)
    return (image - mean) / deviation.clamp_min(_LEAST_DEVIATION)


def prompt_maps(prompt: SlicePrompt, frame: Frame) -> Tensor:
    """Maps [4, S, S]: share of each pixel in the box, positive points, negative points, sign of the drawing."""
    maps = torch.zeros(4, frame.side, frame.side)
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        (left, top), (right, bottom) = frame.positions(np.array([[x0 - 0.5, y0 - 0.5], [x1 - 0.5, y1 - 0.5]])).tolist()
        maps[0] = torch.outer(_covered(top, bottom, frame.side), _covered(left, right, frame.side))
    if prompt.points is not None and prompt.positive is not None:
        at = torch.arange(frame.side, dtype=torch.float32)
        for (x, y), positive in zip(frame.positions(prompt.points), prompt.positive, strict=True):
            square = (at[:, None] - float(y)) ** 2 + (at[None] - float(x)) ** 2
            spot = torch.exp(-0.5 * square / _POINT_RADIUS**2)
            index = 1 if positive else 2
            maps[index] = torch.maximum(maps[index], spot)
    if prompt.mask is not None:
        drawn = torch.from_numpy(np.sign(prompt.mask).astype(np.float32))[None]
        maps[3] = frame.cut(drawn)[0]
    return maps


def _covered(low: float, high: float, side: int) -> Tensor:
    """Share [side] of each pixel, centred on whole numbers, that lies between two positions."""
    left = torch.arange(side, dtype=torch.float32) - 0.5
    return (torch.clamp(left + 1, max=high) - torch.clamp(left, min=low)).clamp(0.0, 1.0)
