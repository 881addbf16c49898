"""Slices as SAM 2 and MedSAM2 see them: square, on 0..1, less ImageNet's mean over its deviation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from oncoprompt.errors import InputError

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_LEAST_RANGE = 1e-8


def value_range(image: NDArray[np.float32]) -> tuple[float, float]:
    """Lowest and highest value of a slice or stack; raises InputError where values are not finite."""
    if image.size == 0:
        return 0.0, 0.0
    low, high = float(image.min()), float(image.max())
    if not np.isfinite([low, high]).all():
        raise InputError("The slices have values that are not finite (NaN or infinite). Repair them, then try again.")
    return low, high


def square_pixels(image: NDArray[np.float32], side: int, low: float, high: float) -> Tensor:
    """A slice [H, W] or [H, W, 3] as [3, side, side]: low..high becomes 0..1, then (x - mean) / deviation by colour.

    Resized without keeping the aspect ratio, bicubic and anti-aliased; grey is repeated thrice. Raises InputError for
    other shapes.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise InputError(f"A slice is [H, W] or [H, W, 3]; found shape {image.shape}.")
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    planes = values[None] if image.ndim == 2 else values.permute(2, 0, 1)
    planes = (planes - low) / max(high - low, _LEAST_RANGE)
    resized = functional.interpolate(planes[None], (side, side), mode="bicubic", antialias=True, align_corners=False)[0]
    # bicubic overshoots at edges
    mean, deviation = (torch.tensor(value)[:, None, None] for value in (_MEAN, _DEVIATION))
    return (resized.clamp(0.0, 1.0) - mean) / deviation


def on_slice(logits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Logits [h, w] of a square image on the slice's own pixels [H, W], bilinear."""
    return functional.interpolate(logits[None, None], shape, mode="bilinear", align_corners=False)[0, 0]


@dataclass(frozen=True, eq=False)
class SquareStack(Mapping[int, Tensor]):
    """Slices of a stack [D, H, W] or [D, H, W, 3] by number, each made square only when it is asked for."""

    stack: NDArray[np.float32]
    side: int
    low: float
    high: float

    def __getitem__(self, index: int) -> Tensor:
        return square_pixels(self.stack[index], self.side, self.low, self.high)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.stack)))

    def __len__(self) -> int:
        return len(self.stack)
