"""SAM 2 and MedSAM2 as a model of slices, and of volumes by memory from slice to slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Sam2VideoModel

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.sam2_memory import SliceMemory
from oncoprompt.methods.medsam.sam2_pixels import SquareStack, on_slice, square_pixels, value_range
from oncoprompt.methods.medsam.sam_network import SamPrompts
from oncoprompt.methods.medsam.sam_prompts import batches, to_square
from oncoprompt.methods.medsam.slice_model import SlicePrompt

NOT_TARGET = -32.0
"""Logit of slices that were not looked at and of parts that were dropped; SAM 2 limits its own to -32..32."""

_DRAWN = 10.0
_FIRST_CORNER, _LAST_CORNER, _NO_POINT = 2, 3, -1


@dataclass(frozen=True)
class VolumeSettings:
    """How a target is followed: a direction ends after ``patience`` slices in a row without it, None never ends one.

    ``largest_component`` keeps the largest 26-connected part alone, as MedSAM2 does; what comes after a gap is not
    part of it, so patience then costs nothing.
    """

    patience: int | None = 2
    largest_component: bool = True

    def __post_init__(self) -> None:
        if self.patience is not None and self.patience < 1:
            raise InputError(f"Patience is a number of slices of at least 1, or None. Found: {self.patience}.")


@dataclass(frozen=True, eq=False)
class Sam2Features:
    """Features of a slice at stride 4, 8 and 16, and the slice's own shape (H, W)."""

    levels: tuple[Tensor, Tensor, Tensor]
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Sam2VolumeModel:
    """A SAM 2 video network with weights; it takes boxes, points and drawings."""

    network: Sam2VideoModel
    name: str
    weights_sha256: str
    device: torch.device
    settings: VolumeSettings = field(default_factory=VolumeSettings)

    @property
    def side(self) -> int:
        """Pixels of the network's square image: 512 for MedSAM2, 1024 for SAM 2."""
        return cast(int, self.network.config.image_size)

    def encode(self, image: NDArray[np.float32]) -> Sam2Features:
        """Features of a slice [H, W] or [H, W, 3]; raises InputError for other shapes and values not finite."""
        return self._encode(image, *value_range(image))

    def decode(self, features: Sam2Features, prompts: Sequence[SlicePrompt]) -> NDArray[np.float32]:
        """Logits [N, H, W]; raises InputError for an empty prompt, one outside the slice, and for words.

        A single click has three answers, of which the one the network holds best is given; all else has one.
        """
        batches(prompts, 1)
        answers = [self._decode(features, prompt).cpu().numpy() for prompt in prompts]
        return np.stack(answers) if answers else np.zeros((0, *features.shape), dtype=np.float32)

    def segment_volume(
        self, stack: NDArray[np.float32], key: int, prompt: SlicePrompt, first: int, last: int
    ) -> NDArray[np.float32]:
        """Logits [D, H, W] of a target shown on slice ``key`` of a stack [D, H, W] or [D, H, W, 3] of any range.

        It is followed up to before ``last``, then from the shown slice again down to ``first``. Raises InputError for
        slices that are not there and as `decode` does.
        """
        if stack.ndim not in (3, 4) or not 0 <= first <= key < last <= len(stack):
            raise InputError(
                f"The slices {first} to {last - 1} with the target shown on {key} are wanted of a stack of shape "
                f"{stack.shape}. Give slices that are there, the one shown among them."
            )
        low, high = value_range(stack)
        memory = SliceMemory(self.network, SquareStack(stack[first:last], self.side, low, high), self.device)
        logits = np.full(stack.shape[:3], NOT_TARGET, dtype=np.float32)
        with torch.inference_mode():
            if prompt.mask is None:
                shown = memory.show(key - first, *self._points(prompt, stack.shape[1:3]))
            else:
                # SAM 2 follows masks or points, not both: the answer to all of the prompt is followed as a mask.
                answer = self._decode(self._encode(stack[key], low, high), prompt)
                shown = memory.show_mask(key - first, (answer > 0).float())
            logits[key] = on_slice(shown, stack.shape[1:3])
            for indices, down in ((range(key + 1, last), False), (range(key - 1, first - 1, -1), True)):
                memory.restart()
                missed = 0
                for index in indices:
                    logits[index] = on_slice(memory.follow(index - first, down), stack.shape[1:3])
                    missed = 0 if (logits[index] > 0).any() else missed + 1
                    if missed == self.settings.patience:
                        break
        return _largest(logits) if self.settings.largest_component else logits

    def _encode(self, image: NDArray[np.float32], low: float, high: float) -> Sam2Features:
        pixels = square_pixels(image, self.side, low, high).to(self.device)
        with torch.inference_mode():
            fine, middle, coarse = self.network.get_image_embeddings(pixels[None])
        return Sam2Features((fine, middle, coarse), (image.shape[0], image.shape[1]))

    def _decode(self, features: Sam2Features, prompt: SlicePrompt) -> Tensor:
        network = self.network
        points, labels = self._points(prompt, features.shape)
        drawing = self._square(prompt, features.shape).masks
        masks = None if drawing is None else _DRAWN * drawing.sign().to(self.device)
        with torch.inference_mode():
            sparse, dense = network.prompt_encoder(points, labels, None, masks)
            answers, scores, _, _ = network.mask_decoder(
                image_embeddings=features.levels[2],
                image_positional_embeddings=network.get_image_wide_positional_embeddings(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=masks is None and points.shape[2] == 1,
                high_resolution_features=list(features.levels[:2]),
            )
            return on_slice(answers[0, 0, int(scores[0, 0].argmax())], features.shape)

    def _points(self, prompt: SlicePrompt, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The corners of the box, then the points, [1, 1, P, 2] in the network's pixels with labels [1, 1, P]."""
        if prompt.words is not None:
            raise InputError(f"Model '{self.name}' reads boxes, points and drawings. Found words; leave them out.")
        square = self._square(prompt, shape)
        points, labels = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)
        if square.boxes is not None:
            points, labels = square.boxes.reshape(2, 2), torch.tensor([_FIRST_CORNER, _LAST_CORNER])
        if square.points is not None and square.positive is not None:
            points = torch.cat([points, square.points[0]])
            labels = torch.cat([labels, square.positive[0].to(torch.int64)])
        if not len(points):
            points, labels = torch.zeros(1, 2), torch.tensor([_NO_POINT])
        return points[None, None].to(self.device), labels[None, None].to(self.device)

    def _square(self, prompt: SlicePrompt, shape: tuple[int, ...]) -> SamPrompts:
        batches([prompt], 1)
        return to_square([prompt], (shape[0], shape[1]), self.side, self.side // 4)


def _largest(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with all but the largest 26-connected part of the target made not target."""
    target = logits > 0
    if not target.any():
        return logits
    kept = cc3d.largest_k(target, k=1, connectivity=26, binary_image=True) > 0
    return np.where(target & ~kept, np.float32(NOT_TARGET), logits)
