"""The compact trunk with prompts among its inputs: what MSM-Seg's companion and TAGS compact have in common."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg.compact import Merge, ResidualBlock, space_to_depth
from oncoprompt.methods.msm_seg.config import ROLES, role_index
from oncoprompt.methods.msm_seg.mf_decoder import REGIONS, nest, unpack
from oncoprompt.nn.conv import PointwiseConv

CUBE = (2, 2, 2)
SUBVOXELS = 8


class PromptedTrunk(nn.Module):
    """A U-Net of four depths over images and ``prompt_maps`` maps of prompts.

    The first convolution is linear, so what the images give to it is computed once (`encode`) and what the prompts give
    is added later (`down`). Channels are a set, as in the compact backbone.
    """

    def __init__(self, widths: Sequence[int], prompt_maps: int) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.stem = nn.Parameter(torch.randn(len(ROLES), w2, SUBVOXELS, 3, 3, 3) / (SUBVOXELS * 27) ** 0.5)
        self.prompt_stem = nn.Parameter(torch.zeros(w2, prompt_maps * SUBVOXELS, 3, 3, 3))
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
        self.norm = nn.GroupNorm(8, w2)
        self.head = PointwiseConv(w2, REGIONS * SUBVOXELS)
        # tumour is rare
        nn.init.constant_(self.head.get_parameter("bias"), -2.0)

    def encode(self, images: Tensor, roles: Sequence[str]) -> Tensor:
        """images [B, M, D, H, W], sizes multiples of 8 -> the images' part of the first features [B, C, D/2, H/2, W/2].

        It is scaled by 2 / sqrt(M), as in the compact backbone.
        """
        b, m = images.shape[:2]
        index = torch.tensor([role_index(role) for role in roles], device=images.device)
        cubes = space_to_depth(images.flatten(0, 1)).unflatten(0, (b, m)).flatten(1, 2)
        weight = self.stem[index].transpose(0, 1).flatten(1, 2) * (2 / m**0.5)
        features: Tensor = functional.conv3d(cubes, weight, padding=1)
        return features

    def down(self, features: Tensor, maps: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features of `encode` and maps [B, prompt_maps, D, H, W] -> features at stride 2, 4, 8 and 16."""
        x2 = features
        if maps is not None:
            drawn = space_to_depth(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]).flatten(1, 2)
            x2 = x2 + functional.conv3d(drawn, self.prompt_stem, padding=1)
        x4 = self.second4(self.block4(self.down4(functional.leaky_relu(self.norm2(x2)))))
        x8 = self.second8(self.block8(self.down8(functional.leaky_relu(x4))))
        return x2, x4, x8, self.block16(self.down16(functional.leaky_relu(x8)))

    def read_out(self, y2: Tensor) -> Tensor:
        """Merged features at stride 2 -> nested logits [B, 3, D, H, W] (WT, TC, ET)."""
        packed: Tensor = self.head(functional.leaky_relu(self.norm(y2)))
        return nest(unpack(packed.unflatten(1, (REGIONS, SUBVOXELS)), CUBE))
