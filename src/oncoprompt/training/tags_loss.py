"""The loss of full-size TAGS on one crop: of the answer, and of the alignment with words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from oncoprompt.methods.tags.alignment_loss import alignment_loss, soft_dice_loss
from oncoprompt.methods.tags.network import TagsNetwork
from oncoprompt.methods.tags.tensors import NEGATIVE, POSITIVE, TagsFeatures, TagsPrompt
from oncoprompt.training.tags_volume_items import VolumeItem, VolumeItemConfig


@dataclass(frozen=True)
class TagsLoss:
    """A scalar to minimise and its parts."""

    total: Tensor
    parts: Mapping[str, Tensor]


class VolumeLoss:
    """`segmentation_loss` + `alignment_loss`, as published, for an item of `config`.

    With corrections, half of the items are answered once without a gradient first; the clicks that the answer calls for
    are added, and the second answer is the one that is judged.
    """

    def __init__(self, config: VolumeItemConfig) -> None:
        self.config = config

    def __call__(self, model: nn.Module, item: VolumeItem) -> TagsLoss:
        """The loss of a batch of one."""
        network, tumour = cast(TagsNetwork, model), item.tumour[None]
        features = network.encode(item.volume[None])
        prompt = prompt_of(item)
        # torch's generator: the run seeds it for each item
        if self.config.corrections and float(torch.rand(())) < 0.5:
            prompt = self._corrected(network, features, prompt, tumour)
        logits = network.decode(features, prompt)
        segmentation = segmentation_loss(logits, tumour)
        if item.text is None:
            return TagsLoss(segmentation, {"segmentation": segmentation.detach()})
        alignment = alignment_loss(features.alignments, item.text.T, tumour, self.config.double_softmax)
        parts = {"segmentation": segmentation.detach(), "alignment": alignment.detach()}
        return TagsLoss(segmentation + alignment, parts)

    @torch.no_grad()
    def _corrected(
        self, network: TagsNetwork, features: TagsFeatures, prompt: TagsPrompt, tumour: Tensor
    ) -> TagsPrompt:
        """The prompt with one to `corrections` clicks more where the network's answer to it is wrong."""
        answer = network.decode(features, prompt).argmax(dim=1, keepdim=True)
        wrong = torch.nonzero((answer > 0) != (tumour > 0))
        if not len(wrong):
            return prompt
        count = int(torch.randint(1, self.config.corrections + 1, ()))
        # drawn on the CPU, so that every device places the same clicks
        chosen = wrong[torch.randint(len(wrong), (count,)).to(wrong.device)]
        missed = tumour[tuple(chosen.T)] > 0
        labels = torch.where(missed, POSITIVE, NEGATIVE)[None]
        return replace(
            prompt,
            clicks=torch.cat([prompt.clicks, chosen[None, :, 2:].to(prompt.clicks.dtype)], dim=1),
            labels=torch.cat([prompt.labels, labels.to(prompt.labels.dtype)], dim=1),
        )


def segmentation_loss(logits: Tensor, tumour: Tensor) -> Tensor:
    """0.5 Dice of the tumour + 0.5 cross-entropy, of logits [B, 2, D, H, W] and a mask [B, 1, D, H, W] of 0 and 1."""
    shares = logits.float().softmax(dim=1)
    return 0.5 * soft_dice_loss(shares[:, 1:], tumour) + 0.5 * cross_entropy(logits.float(), tumour[:, 0].long())


def prompt_of(item: VolumeItem) -> TagsPrompt:
    """The prompt of an item as a batch of one."""
    return TagsPrompt(
        clicks=item.clicks[None],
        labels=item.labels[None],
        box=None if item.box is None else item.box[None],
        text=item.text[None] if item.said and item.text is not None else None,
    )
