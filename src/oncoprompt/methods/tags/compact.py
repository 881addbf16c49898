"""TAGS compact: a convolutional trunk that hears words at four depths; clicks, box and anatomy are inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg.compact import Merge, ResidualBlock, space_to_depth
from oncoprompt.methods.msm_seg.config import ROLES, role_index
from oncoprompt.methods.msm_seg.mf_decoder import REGIONS, nest, unpack
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.tags.vocabulary import CONCEPTS
from oncoprompt.methods.tags.word_adapter import WordAdapter
from oncoprompt.nn.conv import PointwiseConv

CUBE = (2, 2, 2)
SUBVOXELS = 8
STRIDE = 8
"""Sizes of crops are multiples of it."""
PROMPT_MAPS = 4
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


class CompactTags(nn.Module):
    """The trunk of MSM-Seg's companion with a word adapter after each of its four depths on the way up.

    The first convolution is linear, so what the images give to it is computed once (`encode`) and what the prompts give
    is added later (`decode`). Channels are a set; CT is one of them. Of CT only the first region is trained.
    """

    def __init__(self, config: CompactTagsConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or CompactTagsConfig()
        w2, w4, w8, w16 = c.widths
        self.stem = nn.Parameter(torch.randn(len(ROLES), w2, SUBVOXELS, 3, 3, 3) / (SUBVOXELS * 27) ** 0.5)
        self.prompt_stem = nn.Parameter(torch.zeros(w2, PROMPT_MAPS * SUBVOXELS, 3, 3, 3))
        self.words = nn.Parameter(torch.randn(len(CONCEPTS), c.words))
        self.norm2 = nn.GroupNorm(8, w2)
        self.down4 = nn.Conv3d(w2, w4, 3, stride=2, padding=1)
        self.block4, self.second4 = ResidualBlock(w4), ResidualBlock(w4)
        self.down8 = nn.Conv3d(w4, w8, 3, stride=2, padding=1)
        self.block8, self.second8 = ResidualBlock(w8), ResidualBlock(w8)
        self.down16 = nn.Conv3d(w8, w16, 3, stride=2, padding=1)
        self.block16 = nn.Sequential(ResidualBlock(w16), ResidualBlock(w16))
        self.merge8 = Merge(w16, w8)
        self.merge4 = Merge(w8, w4)
        self.merge2 = Merge(w4, w2)
        self.adapters = nn.ModuleList(WordAdapter(width, c.words) for width in (w16, w8, w4, w2))
        self.norm = nn.GroupNorm(8, w2)
        self.head = PointwiseConv(w2, REGIONS * SUBVOXELS)
        # tumour is rare
        nn.init.constant_(self.head.get_parameter("bias"), -2.0)

    def encode(self, images: Tensor, roles: Sequence[str]) -> Tensor:
        """images [B, M, D, H, W], sizes multiples of 8 -> the images' part of the first features [B, C, D/2, H/2, W/2].

        It is scaled by 2 / sqrt(M), as in the compact MSM-Seg.
        """
        b, m = images.shape[:2]
        index = torch.tensor([role_index(role) for role in roles], device=images.device)
        cubes = space_to_depth(images.flatten(0, 1)).unflatten(0, (b, m)).flatten(1, 2)
        weight = self.stem[index].transpose(0, 1).flatten(1, 2) * (2 / m**0.5)
        features: Tensor = functional.conv3d(cubes, weight, padding=1)
        return features

    def decode(self, features: Tensor, prompt: CompactPrompt) -> CompactTagsOutput:
        """Features of `encode` and prompts -> nested logits of what the words ask for."""
        units = functional.normalize(self.words, dim=1)
        x2 = features + functional.conv3d(self._drawn(prompt), self.prompt_stem, padding=1)
        x4 = self.second4(self.block4(self.down4(functional.leaky_relu(self.norm2(x2)))))
        x8 = self.second8(self.block8(self.down8(functional.leaky_relu(x4))))
        y = self.block16(self.down16(functional.leaky_relu(x8)))
        y, found = self.adapters[0](y, units, prompt.concepts)
        cosines = [found]
        for merge, skip, adapter in zip(
            (self.merge8, self.merge4, self.merge2), (x8, x4, x2), self.adapters[1:], strict=True
        ):
            y, found = adapter(merge(skip, y), units, prompt.concepts)
            cosines.append(found)
        packed: Tensor = self.head(functional.leaky_relu(self.norm(y)))
        return CompactTagsOutput(nest(unpack(packed.unflatten(1, (REGIONS, SUBVOXELS)), CUBE)), tuple(cosines))

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

    @staticmethod
    def _drawn(prompt: CompactPrompt) -> Tensor:
        maps = torch.cat([prompt.maps.stacked(), prompt.anatomy], dim=1)
        drawn: Tensor = space_to_depth(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]).flatten(1, 2)
        return drawn
