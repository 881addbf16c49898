"""SAM's patch embedding made three-dimensional: tokens of 4 x 4 x 4 voxels, and where they lie."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 16
"""Samples a side of SAM's patches."""

VOXELS = 4
"""Voxels a side of a token: the crop is sampled four times as finely, linearly, before it is cut into patches."""

# A patch reaches half a voxel beyond its voxels, which linear interpolation fetches from one neighbour a side.
_REACH = VOXELS + 2


class PatchEmbedding(nn.Module):
    """SAM's convolution of slices, frozen, and a depth-wise one of 16 such slices, trained: [B, 3, D, H, W] -> tokens.

    mean_slices: the second starts as a mean instead of at random.
    """

    def __init__(self, width: int, mean_slices: bool = False) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, PATCH, PATCH).requires_grad_(False)
        self.slice_embed = nn.Conv3d(width, width, (PATCH, 1, 1), (PATCH, 1, 1), groups=width)
        if mean_slices:
            nn.init.constant_(self.slice_embed.weight, 1 / PATCH)
            nn.init.zeros_(_bias(self.slice_embed))

    def forward(self, volume: Tensor) -> Tensor:
        """Volume [B, 3, D, H, W], sides multiples of 4 -> tokens [B, D / 4, H / 4, W / 4, width].

        Interpolation and both convolutions are linear, so they are one convolution of 6^3 voxels in steps of 4: the
        kernel is slices . (taps^T patch taps), with slices = depth weights . taps. No finer volume is ever made.
        """
        # the kernel is small, and half precision would be lost once more in its product
        with torch.autocast(volume.device.type, enabled=False):
            taps = interpolation_taps(volume.device)
            plane = torch.einsum("ocyx,yj,xk->ocjk", self.projection.weight, taps, taps)
            depth = self.slice_embed.weight.flatten(1)
            kernel = (depth @ taps)[:, None, :, None, None] * plane[:, :, None]
            bias = depth.sum(1) * _bias(self.projection) + _bias(self.slice_embed)
        edge = functional.pad(volume, (1,) * 6, mode="replicate")
        return functional.conv3d(edge, kernel, bias, stride=VOXELS).movedim(1, -1).contiguous()

    def unfolded(self, volume: Tensor) -> Tensor:
        """The same step by step, by a volume of 64 times as many samples: what `forward` is compared with."""
        fine = functional.interpolate(volume, scale_factor=VOXELS, mode="trilinear")
        slices = self.projection(fine.transpose(1, 2).flatten(0, 1))
        tokens: Tensor = self.slice_embed(slices.unflatten(0, (len(volume), -1)).transpose(1, 2))
        return tokens.movedim(1, -1).contiguous()


class TokenPositions(nn.Module):
    """SAM's position embedding in the plane, frozen and pooled 2 x 2, plus a trained one along the depth.

    side: tokens a side for which both are meant; for other grids they are interpolated linearly. start: of the depth's.
    """

    def __init__(self, side: int, width: int, start: float = 1.0) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, 2 * side, 2 * side, width), requires_grad=False)
        self.depth_embed = nn.Parameter(torch.full((1, side, width), start))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, grid: tuple[int, int, int]) -> Tensor:
        """Embedding [1, d, h, w, width] of a grid of tokens."""
        plane = functional.avg_pool2d(self.pos_embed.permute(0, 3, 1, 2), 2)
        depth = self.depth_embed.transpose(1, 2)
        if plane.shape[2:] != grid[1:]:
            plane = functional.interpolate(plane, grid[1:], mode="bilinear")
        if depth.shape[2:] != grid[:1]:
            depth = functional.interpolate(depth, grid[:1], mode="linear")
        return (plane[:, :, None] + depth[..., None, None]).movedim(1, -1)


def interpolation_taps(device: torch.device) -> Tensor:
    """[16, 6]: what each of a patch's samples along an axis takes of its 4 voxels and of the neighbours beside them."""
    place = (torch.arange(PATCH, device=device) + 0.5) / VOXELS + 0.5
    return (1 - (place[:, None] - torch.arange(_REACH, device=device)).abs()).clamp(min=0)


def _bias(convolution: nn.Conv2d | nn.Conv3d) -> Tensor:
    # torch allows for convolutions without one
    return cast(Tensor, convolution.bias)
