"""The Hiera backbone: SAM 2's image encoder and feature pyramid on single image planes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg.config import HieraConfig, HieraSize
from oncoprompt.methods.msm_seg.tensors import Pyramid
from oncoprompt.nn.conv import PointwiseConv

PLANES_AT_ONCE = 16
"""Planes encoded in one batch; more only costs memory."""


@dataclass(frozen=True)
class HieraShape:
    """Trunk of one public size (SAM 2, arXiv 2408.00714, app. C; Hiera, arXiv 2306.00989)."""

    dim: int = 96
    heads: int = 1
    blocks: tuple[int, int, int, int] = (1, 2, 7, 2)
    global_blocks: tuple[int, ...] = (5, 7, 9)
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    background: int = 7

    @property
    def dims(self) -> tuple[int, int, int, int]:
        """Widths of the four stages."""
        return self.dim, 2 * self.dim, 4 * self.dim, 8 * self.dim


def hiera_shape(size: HieraSize) -> HieraShape:
    """The trunk of a public size."""
    return {
        "tiny": HieraShape(),
        "small": HieraShape(blocks=(1, 2, 11, 2), global_blocks=(7, 10, 13)),
        "base-plus": HieraShape(112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
        "large": HieraShape(144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8)),
    }[size]


def build_encoder(config: HieraConfig) -> nn.Module:
    """Transformers' SAM 2 vision model (trunk and neck) with random weights; nothing is downloaded."""
    from transformers import Sam2HieraDetConfig, Sam2VisionConfig, Sam2VisionModel

    shape, n = hiera_shape(config.size), config.image_size
    trunk = Sam2HieraDetConfig(
        hidden_size=shape.dim,
        num_attention_heads=shape.heads,
        image_size=[n, n],
        blocks_per_stage=list(shape.blocks),
        embed_dim_per_stage=list(shape.dims),
        num_attention_heads_per_stage=[shape.heads * 2**i for i in range(4)],
        window_size_per_stage=list(shape.windows),
        global_attention_blocks=list(shape.global_blocks),
        window_positional_embedding_background_size=[shape.background] * 2,
    )
    settings = Sam2VisionConfig(
        backbone_config=trunk,
        backbone_channel_list=list(shape.dims[::-1]),
        backbone_feature_sizes=[[n // 4] * 2, [n // 8] * 2, [n // 16] * 2],
    )
    return Sam2VisionModel(settings)


class HieraBackbone(nn.Module):
    """Every (slice, channel) plane through SAM 2's encoder: F at stride 16, skips at stride 8 and 4.

    The stem 1 -> 3 starts by repeating the plane, so the pretrained patch embedding sees a grey image.
    """

    def __init__(self, config: HieraConfig, dim: int, middle_dim: int, fine_dim: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 1)
        nn.init.ones_(self.stem.weight)
        nn.init.zeros_(self.stem.bias if self.stem.bias is not None else torch.empty(0))
        self.encoder = build_encoder(config)
        self.to_middle = PointwiseConv(dim, middle_dim)
        self.to_fine = PointwiseConv(dim, fine_dim)

    def forward(self, images: Tensor, roles: Sequence[str]) -> Pyramid:
        """images [B, M, D, H, W], H and W multiples of 32 -> Pyramid with T = D planes."""
        b, m, d, h, w = images.shape
        if h % 32 or w % 32 or not d:
            raise InputError(f"Hiera needs planes whose sides are multiples of 32. Found: {h} x {w}, {d} slices.")
        planes = images.transpose(1, 2).flatten(0, 2).unsqueeze(1)
        levels = [self.levels(chunk) for chunk in planes.split(PLANES_AT_ONCE)]
        coarse, middle, fine = (torch.cat(level).unflatten(0, (b, d, m)) for level in zip(*levels, strict=True))
        return Pyramid(coarse, middle, fine, detail=None, roles=tuple(roles), size=(d, h, w))

    def levels(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """planes [N, 1, H, W] -> coarse, middle and fine features [N, C, 1, h, w]."""
        pyramid = self.encoder(self.stem(planes)).fpn_hidden_states
        coarse, middle, fine = (level.unsqueeze(2) for level in sorted(pyramid, key=lambda x: int(x.shape[-1])))
        return coarse, self.to_middle(middle), self.to_fine(fine)
