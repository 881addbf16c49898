"""The compact backbone: one convolutional 3-D U-Net over the whole region of interest, shared by its channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg.config import ROLES, CompactConfig, role_index
from oncoprompt.methods.msm_seg.tensors import Pyramid
from oncoprompt.nn.conv import PointwiseConv, VolumeConv

SLAB = 8


def space_to_depth(x: Tensor) -> Tensor:
    """[N, D, H, W] -> [N, 8, D/2, H/2, W/2]: every 2x2x2 cube becomes a vector."""
    n, d, h, w = x.shape
    cubes = x.reshape(n, d // 2, 2, h // 2, 2, w // 2, 2)
    return cubes.permute(0, 2, 4, 6, 1, 3, 5).reshape(n, 8, d // 2, h // 2, w // 2)


class ResidualBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), 3x3x3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, width)
        self.conv1 = VolumeConv(width, width, bias=False)
        self.norm2 = nn.GroupNorm(8, width)
        self.conv2 = VolumeConv(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, D, H, W] -> same."""
        y = self.conv1(functional.leaky_relu(self.norm1(x)))
        out: Tensor = x + self.conv2(functional.leaky_relu(self.norm2(y)))
        return out


class Merge(nn.Module):
    """Top-down step: coarse features up-sampled (nearest) and added to the skip, then a residual block."""

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.lateral = PointwiseConv(below, width)
        self.block = ResidualBlock(width)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """skip [N, C, D, H, W], below at half (rounded up) size -> [N, C, D, H, W]."""
        up = functional.interpolate(self.lateral(below), scale_factor=2)
        d, h, w = skip.shape[2:]
        out: Tensor = self.block(skip + up[:, :, :d, :h, :w])
        return out


class RoleProjection(nn.Module):
    """A 1x1x1 convolution with its own weights and bias for each channel role."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(ROLES), outputs, inputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(len(ROLES), outputs))

    def forward(self, x: Tensor, roles: Tensor) -> Tensor:
        """x [B, M, inputs, d, h, w], roles [M] -> [B, M, outputs, d, h, w]."""
        flat = x.flatten(3)
        out = torch.matmul(self.weight[roles], flat) + self.bias[roles].unsqueeze(-1)
        return out.view(*out.shape[:3], *x.shape[3:])


class CompactBackbone(nn.Module):
    """Early fusion by summing role-specific input convolutions, a U-Net trunk, and light channel-specific features.

    The sum makes the channels a set: their order does not matter and an absent channel adds nothing; it is scaled by
    2 / sqrt(M) so that its variance does not depend on how many channels there are.
    """

    def __init__(self, config: CompactConfig, dim: int, middle_dim: int, fine_dim: int) -> None:
        super().__init__()
        w2, w4, w8, w16 = config.widths
        self.stem = nn.Parameter(torch.randn(len(ROLES), w2, 8, 3, 3, 3) / (8 * 27) ** 0.5)
        self.norm2 = nn.GroupNorm(8, w2)
        self.down4 = nn.Conv3d(w2, w4, 3, stride=2, padding=1)
        self.block4 = ResidualBlock(w4)
        self.down8 = nn.Conv3d(w4, w8, 3, stride=2, padding=1)
        self.block8 = ResidualBlock(w8)
        self.down16 = nn.Conv3d(w8, w16, 3, stride=2, padding=1)
        self.block16 = nn.Sequential(ResidualBlock(w16), ResidualBlock(w16))
        self.merge8 = Merge(w16, w8)
        self.merge4 = Merge(w8, w4)
        self.merge2 = Merge(w4, w2)
        self.to_coarse = PointwiseConv(w8, dim)
        self.to_middle = PointwiseConv(w4, middle_dim)
        self.to_fine = nn.Sequential(nn.GroupNorm(8, w2), nn.LeakyReLU(), PointwiseConv(w2, fine_dim))
        self.own_coarse = RoleProjection(8 * 8, dim)

    def forward(self, images: Tensor, roles: Sequence[str]) -> Pyramid:
        """images [B, M, D, H, W], sizes multiples of 8 -> Pyramid with T = D / 8 slabs."""
        b, m, *size = images.shape
        if any(n % SLAB or n == 0 for n in size):
            raise InputError(f"The compact network needs sizes that are multiples of {SLAB}. Found: {tuple(size)}.")
        index = torch.tensor([role_index(r) for r in roles], device=images.device)
        cubes = space_to_depth(images.flatten(0, 1)).unflatten(0, (b, m))
        middle, fine, coarse = self.trunk(cubes, index)
        own = self.own_coarse(self.summarise(images), index)
        coarse_frames = coarse.unsqueeze(1) + own
        return Pyramid(
            coarse=slabs(coarse_frames, 1),
            middle=slabs(middle.unsqueeze(1), 2),
            fine=slabs(fine.unsqueeze(1), 4),
            detail=slabs(cubes, 4),
            roles=tuple(roles),
            size=(size[0], size[1], size[2]),
        )

    def trunk(self, cubes: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """cubes [B, M, 8, d, h, w] -> middle, fine and coarse features shared by the channels."""
        weight = self.stem[index].transpose(0, 1).flatten(1, 2) * (2 / len(index) ** 0.5)
        x2 = functional.conv3d(cubes.flatten(1, 2), weight, padding=1)
        x4 = self.block4(self.down4(functional.leaky_relu(self.norm2(x2))))
        x8 = self.block8(self.down8(functional.leaky_relu(x4)))
        x16 = self.block16(self.down16(functional.leaky_relu(x8)))
        y8 = self.merge8(x8, x16)
        y4 = self.merge4(x4, y8)
        y2 = self.merge2(x2, y4)
        return self.to_middle(y4), self.to_fine(y2), self.to_coarse(y8)

    @staticmethod
    def summarise(images: Tensor) -> Tensor:
        """Means of the 64 cells of 2x2x2 voxels in every 8x8x8 cube, per channel: [B, M, 64, D/8, H/8, W/8]."""
        b, m = images.shape[:2]
        means = functional.avg_pool3d(images.flatten(0, 1).unsqueeze(1), 2).squeeze(1)
        n, d, h, w = means.shape
        cells = means.reshape(n, d // 4, 4, h // 4, 4, w // 4, 4).permute(0, 2, 4, 6, 1, 3, 5)
        return cells.reshape(b, m, 64, d // 4, h // 4, w // 4)


def slabs(x: Tensor, depth: int) -> Tensor:
    """[B, M, C, T * depth, h, w] -> [B, T, M, C, depth, h, w]."""
    b, m, c, _, h, w = x.shape
    return x.reshape(b, m, c, -1, depth, h, w).movedim(3, 1)
