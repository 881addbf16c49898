"""A model of slices that is right about bright targets by construction, and stacks of slices to ask it about."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.prompts.slice_box import pixels_of


class BrightInBox:
    """Answers with the pixels above ``level`` in the box and ``reach`` pixels around; remembers what was asked."""

    name = "bright-in-box"
    weights_sha256 = "2" * 64

    def __init__(self, level: float = 0.5, reach: int = 0) -> None:
        self.level, self.reach = level, reach
        self.asked: list[SlicePrompt] = []

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The slice itself."""
        return image

    def decode(self, features: NDArray[np.float32], prompts: Sequence[SlicePrompt]) -> NDArray[np.float32]:
        """Logits [N, H, W]: 10 where bright and in the box, and where a positive point is; -10 elsewhere."""
        return np.stack([self._answer(features, prompt) for prompt in prompts])

    def _answer(self, image: NDArray[np.float32], prompt: SlicePrompt) -> NDArray[np.float32]:
        self.asked.append(prompt)
        if prompt.box is None:
            raise InputError("Model 'bright-in-box' needs a box.")
        x0, y0, x1, y1 = pixels_of(prompt.box)
        near = np.zeros(image.shape, bool)
        near[max(0, y0 - self.reach) : y1 + self.reach, max(0, x0 - self.reach) : x1 + self.reach] = True
        answer = np.where(near & (image > self.level), 10.0, -10.0).astype(np.float32)
        if prompt.points is not None and prompt.positive is not None:
            for (x, y), positive in zip(prompt.points.astype(int), prompt.positive, strict=True):
                answer[y, x] = 10.0 if positive else -10.0
        return answer


def ellipsoid(
    shape: tuple[int, int, int] = (17, 40, 48),
    centre: tuple[float, float, float] = (8, 20, 25),
    radii: tuple[float, float, float] = (6, 9, 12),
) -> NDArray[np.bool_]:
    """A mask [D, H, W] of one ellipsoid."""
    where = np.indices(shape).astype(float)
    distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(where, centre, radii, strict=True))
    return np.asarray(distance <= 1.0)
