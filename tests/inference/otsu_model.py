"""A real model of slices without weights: Otsu's threshold of the pixels in the box, corrected around points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.slice_model import SlicePrompt

_REACH = 2


class OtsuModel:
    """Brighter than Otsu's threshold in the box is target; a point decides the pixels around it."""

    name = "otsu-in-box"
    weights_sha256 = "0" * 64

    def __init__(self) -> None:
        self.encoded: list[tuple[int, ...]] = []
        self.decoded: list[list[SlicePrompt]] = []

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        self.encoded.append(image.shape)
        return image.mean(axis=2) if image.ndim == 3 else image

    def decode(self, features: NDArray[np.float32], prompts: Sequence[SlicePrompt]) -> NDArray[np.float32]:
        self.decoded.append(list(prompts))
        return np.stack([self._answer(features, prompt) for prompt in prompts])

    def _answer(self, image: NDArray[np.float32], prompt: SlicePrompt) -> NDArray[np.float32]:
        if prompt.words is not None:
            raise InputError("Model 'otsu-in-box' reads no words; leave them out.")
        if prompt.box is None:
            raise InputError("Model 'otsu-in-box' needs a box around each target.")
        x0, y0, x1, y1 = (round(edge) for edge in prompt.box)
        logits = np.full(image.shape, -12.0, np.float32)
        inside = image[y0:y1, x0:x1]
        logits[y0:y1, x0:x1] = np.clip((inside - otsu(inside)) / 10, -9, 9)
        if prompt.points is not None and prompt.positive is not None:
            for (x, y), positive in zip(prompt.points.astype(int), prompt.positive, strict=True):
                reach = slice(max(0, y - _REACH), y + _REACH + 1), slice(max(0, x - _REACH), x + _REACH + 1)
                logits[reach] = 9.0 if positive else -9.0
        return logits


def otsu(values: NDArray[np.float32]) -> float:
    """The threshold with the largest variance between what is below and above it; the highest value of flat parts."""
    levels = np.unique(values)
    if levels.size < 2:
        return float(levels[0]) + 1.0
    best = max(levels[:-1], key=lambda t: _between(values, t))
    return float((best + levels[levels > best][0]) / 2)


def _between(values: NDArray[np.float32], threshold: float) -> float:
    below = values <= threshold
    return float(below.mean() * (1 - below.mean()) * (values[below].mean() - values[~below].mean()) ** 2)
