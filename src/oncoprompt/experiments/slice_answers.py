"""Answers of a slice model about one target, none of them computed twice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.methods.medsam.slice_model import SliceModel, SlicePrompt


class AnsweredOnce:
    """A slice model about one stack [D, H, W] that encodes each slice once and keeps where its answers are positive.

    What stands for the features of a slice is its index.
    """

    def __init__(self, model: SliceModel, slices: NDArray[np.float32]) -> None:
        self._model = model
        self._slices = slices
        self._features: dict[int, Any] = {}
        self._answers: dict[Hashable, NDArray[np.bool_]] = {}

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    @property
    def weights_sha256(self) -> str:
        """Hash of the model's weights."""
        return self._model.weights_sha256

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        d, h, w = self._slices.shape[:3]
        return d, h, w

    def image(self, index: int) -> NDArray[np.float32]:
        """A slice [H, W] or [H, W, 3]."""
        return np.ascontiguousarray(self._slices[index])

    def encode(self, image: NDArray[np.float32]) -> Any:
        """The model's features of a slice."""
        return self._model.encode(image)

    def decode(self, features: int, prompts: Sequence[SlicePrompt]) -> NDArray[np.float32]:
        """1 where the model's logits on slice ``features`` are above 0, -1 elsewhere [N, H, W]."""
        return np.where(np.stack([self._answer(features, prompt) for prompt in prompts]), np.float32(1), np.float32(-1))

    def _answer(self, index: int, prompt: SlicePrompt) -> NDArray[np.bool_]:
        points = (
            None if prompt.points is None or prompt.positive is None else (*prompt.points.ravel(), *prompt.positive)
        )
        asked = (index, prompt.box, points)
        if asked not in self._answers:
            if index not in self._features:
                self._features[index] = self._model.encode(self.image(index))
            self._answers[asked] = self._model.decode(self._features[index], [prompt])[0] > 0
        return self._answers[asked]
