"""MedSAM: SAM's network with MedSAM's pre-processing, as a model of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import SamModel

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.sam_network import decode_masks, encode_pixels, vision_config
from oncoprompt.methods.medsam.sam_prompts import batches, to_square
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.methods.medsam.text_prompt import WordReader

_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class SliceEmbedding:
    """Image embedding [1, C, S / 16, S / 16] of a slice and the slice's own shape (H, W)."""

    values: Tensor
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MedSAM:
    """A SAM network with weights, fed as MedSAM is; it takes boxes, points and drawings, and words with a reader.

    With ``half`` the encoder computes in bfloat16.
    """

    network: SamModel
    name: str
    weights_sha256: str
    device: torch.device
    half: bool = False
    reader: WordReader | None = None

    @property
    def side(self) -> int:
        """Pixels of the network's square image."""
        return cast(int, vision_config(self.network.config).image_size)

    def encode(self, image: NDArray[np.float32]) -> SliceEmbedding:
        """Embedding of a slice [H, W] or [H, W, 3]; raises InputError for other shapes and values not finite."""
        pixels = square_pixels(image, self.side)[None].to(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            values = encode_pixels(self.network, pixels).float()
        return SliceEmbedding(values, (image.shape[0], image.shape[1]))

    def decode(self, features: SliceEmbedding, prompts: Sequence[SlicePrompt]) -> NDArray[np.float32]:
        """Logits [N, H, W]; targets with the same kinds of prompt are decoded together.

        Raises InputError for an empty prompt, one outside the slice, and for words on a model without a reader of them.
        """
        out = np.empty((len(prompts), *features.shape), dtype=np.float32)
        mask_side = 4 * features.values.shape[-1]
        for group in batches(prompts, _AT_ONCE):
            some = [prompts[index] for index in group]
            square = to_square(some, features.shape, self.side, mask_side)
            with torch.inference_mode():
                batch = replace(square.to(self.device), tokens=self._tokens(some))
                low = decode_masks(self.network, features.values, batch)
                out[group] = upsampled(low, features.shape).cpu().numpy()
        return out

    def _tokens(self, prompts: Sequence[SlicePrompt]) -> Tensor | None:
        words = [prompt.words for prompt in prompts if prompt.words is not None]
        if not words:
            return None
        if self.reader is None:
            raise InputError(
                f"Model '{self.name}' reads boxes, points and drawings. Found words; leave them out, or use weights "
                "that were trained with a text tower."
            )
        return self.reader(words)


def square_pixels(image: NDArray[np.float32], side: int) -> Tensor:
    """A slice [H, W] or [H, W, 3] as MedSAM sees it: [3, side, side] on 0..1.

    Resized without keeping the aspect ratio (bicubic, anti-aliased), then less its minimum over its range; grey is
    repeated thrice, and SAM's mean and deviation are not applied. Raises InputError for other shapes and values that
    are not finite.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise InputError(f"A slice is [H, W] or [H, W, 3]; found shape {image.shape}.")
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    low, high = torch.aminmax(values)
    if not torch.isfinite(low + high):
        raise InputError("The slice has values that are not finite (NaN or infinite). Repair it, then try again.")
    planes = values[None] if image.ndim == 2 else values.permute(2, 0, 1)
    resized = functional.interpolate(planes[None], (side, side), mode="bicubic", antialias=True, align_corners=False)[0]
    # bicubic overshoots at edges
    resized = resized.clamp(low, high)
    low, high = torch.aminmax(resized)
    return ((resized - low) / (high - low).clamp_min(1e-8)).expand(3, side, side)


def upsampled(logits: Tensor, shape: tuple[int, int]) -> Tensor:
    """Logits [N, h, w] of the square image on the slice's own pixels, [N, H, W], bilinear; above 0 is target."""
    return functional.interpolate(logits[:, None], shape, mode="bilinear", align_corners=False)[:, 0]
