"""Items as a SAM network takes them: the slice as MedSAM's square image, prompt and target in its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import SamModel

from oncoprompt.methods.medsam.sam import square_pixels, upsampled
from oncoprompt.methods.medsam.sam_network import SamPrompts, decode_masks, encode_pixels
from oncoprompt.methods.medsam.text_prompt import TextSam
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.slice_items import SliceItem
from oncoprompt.training.slice_loss import SliceLoss, mask_loss

TokenIds = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class SamItem:
    """Pixels [3, S, S] on 0..1, target [1, S, S] in 0 and 1, and its prompt: box [4], point [2] or token ids [T]."""

    pixels: Tensor
    mask: Tensor
    box: Tensor | None = None
    point: Tensor | None = None
    token_ids: Tensor | None = None


@dataclass(frozen=True)
class SamItems:
    """Slices squared to ``side`` pixels as MedSAM does: image bicubic, mask nearest, aspect ratio not kept.

    ``prompt`` is "box", "point" or "words"; ``token_ids`` turns phrases into numbers [N, T].
    """

    slices: ItemSource
    side: int
    prompt: str = "box"
    token_ids: TokenIds | None = None

    def item(self, index: int) -> SamItem:
        """Item ``index`` of the slices."""
        item: SliceItem = self.slices.item(index)
        _, height, width = item.image.shape
        scale = torch.tensor([self.side / width, self.side / height])
        size = (self.side, self.side)
        return SamItem(
            pixels=square_pixels(item.image.permute(1, 2, 0).numpy(), self.side),
            mask=functional.interpolate(item.mask[None], size, mode="nearest-exact")[0],
            box=item.box * scale.repeat(2) if self.prompt == "box" else None,
            point=(item.point + 0.5) * scale - 0.5 if self.prompt == "point" else None,
            token_ids=self.token_ids([item.words])[0] if self.token_ids is not None and item.words else None,
        )


def sam_loss(model: nn.Module, item: SamItem) -> SliceLoss:
    """MedSAM's loss of one item, on logits at the size of the square image."""
    return mask_loss(sam_logits(model, item), item.mask[None])


def sam_logits(model: nn.Module, item: SamItem) -> Tensor:
    """Logits [1, 1, S, S] of a SAM network, or of one with a text prompt, for one item."""
    sam = cast(SamModel, model.sam if isinstance(model, TextSam) else model)
    prompts = SamPrompts(
        boxes=None if item.box is None else item.box[None],
        points=None if item.point is None else item.point[None, None],
        positive=None if item.point is None else torch.ones(1, 1, dtype=torch.bool, device=item.pixels.device),
        tokens=model.text(item.token_ids[None]) if isinstance(model, TextSam) and item.token_ids is not None else None,
    )
    low = decode_masks(sam, encode_pixels(sam, item.pixels[None]), prompts)
    return upsampled(low, (item.mask.shape[1], item.mask.shape[2]))[:, None]


def train_parts(network: SamModel, prompt: str) -> None:
    """Freeze what MedSAM's recipe freezes: the prompt encoder, and for points and words the image encoder too.

    So are the heads that the loss does not reach (IoU, three further masks), which weight decay would wear away.
    """
    network.requires_grad_(False)
    if prompt == "box":
        network.vision_encoder.requires_grad_(True)
    network.mask_decoder.requires_grad_(True)
    network.mask_decoder.iou_prediction_head.requires_grad_(False)
    for unused in network.mask_decoder.output_hypernetworks_mlps[1:]:
        unused.requires_grad_(False)
