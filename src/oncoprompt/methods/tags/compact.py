"""TAGS compact: a convolutional trunk that hears words at four depths; clicks, box and anatomy are inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg.prompted_trunk import PromptedTrunk
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.tags.vocabulary import CONCEPTS
from oncoprompt.methods.tags.word_adapter import WordAdapter

PROMPT_MAPS = 4
SHARED_WITH_CT = ("block16.", "merge8.block.")
"""The deepest layers, half of the weights, are the same for CT and MRI; the others CT has for itself."""
_COMPANION = "companion."


@dataclass(frozen=True)
class CompactTagsConfig:
    """widths: channels at stride 2, 4, 8, 16; words: length of a concept's vector."""

    widths: tuple[int, int, int, int] = (32, 64, 96, 128)
    words: int = 64


@dataclass(frozen=True)
class CompactPrompt:
    """Maps of box and clicks, the anatomy mask [B, 1, D, H, W] (zero where none is given), and rows of CONCEPTS [B]."""

    maps: PromptMaps
    anatomy: Tensor
    concepts: Tensor


@dataclass(frozen=True)
class CompactTagsOutput:
    """Nested logits (WT, TC, ET) [B, 3, D, H, W], and scaled cosines [B, K, d, h, w] of all concepts at four strides.

    The strides are 16, 8, 4 and 2.
    """

    logits: Tensor
    cosines: tuple[Tensor, ...]


class CompactTags(PromptedTrunk):
    """The trunk of MSM-Seg's companion with a word adapter after each of its four depths on the way up.

    CT is one of the channels. Of it only the first region is trained.
    """

    def __init__(self, config: CompactTagsConfig | None = None) -> None:
        c = config or CompactTagsConfig()
        super().__init__(c.widths, PROMPT_MAPS)
        self.config = c
        self.words = nn.Parameter(torch.randn(len(CONCEPTS), c.words))
        self.adapters = nn.ModuleList(WordAdapter(width, c.words) for width in reversed(c.widths))

    def decode(self, features: Tensor, prompt: CompactPrompt) -> CompactTagsOutput:
        """Features of `encode` and prompts -> nested logits of what the words ask for."""
        units = functional.normalize(self.words, dim=1)
        x2, x4, x8, x16 = self.down(features, torch.cat([prompt.maps.stacked(), prompt.anatomy], dim=1))
        y, found = self.adapters[0](x16, units, prompt.concepts)
        cosines = [found]
        for merge, skip, adapter in zip(
            (self.merge8, self.merge4, self.merge2), (x8, x4, x2), self.adapters[1:], strict=True
        ):
            y, found = adapter(merge(skip, y), units, prompt.concepts)
            cosines.append(found)
        return CompactTagsOutput(self.read_out(y), tuple(cosines))

    def forward(self, images: Tensor, roles: Sequence[str], prompt: CompactPrompt) -> CompactTagsOutput:
        """Encode and decode."""
        return self.decode(self.encode(images, roles), prompt)

    def start_from(self, companion: Mapping[str, Tensor]) -> None:
        """Take over the parameters of MSM-Seg's companion, as they are named in the weights of `msm-seg-compact`."""
        own = self.state_dict()
        for name, value in companion.items():
            if not name.startswith(_COMPANION):
                continue
            target = own[name.removeprefix(_COMPANION)]
            target[tuple(slice(n) for n in value.shape)] = value.to(target.dtype)
