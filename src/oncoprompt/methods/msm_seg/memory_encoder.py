"""Memory encoder: an image feature and a mask become a memory item."""

import torch
from torch import Tensor, nn

from oncoprompt.methods.msm_seg.config import MemoryEncoderConfig, Step
from oncoprompt.nn.conv import PlaneConv, PointwiseConv
from oncoprompt.nn.norm import ChannelLayerNorm


class ConvNeXtBlock(nn.Module):
    """Depth-wise convolution within the plane, LN, 1x1 MLP, layer scale and residual (arXiv 2201.03545)."""

    def __init__(self, width: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.dwconv = PlaneConv(width, width, 1, kernel, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 1, h, w] -> same."""
        y = self.norm(self.dwconv(x).movedim(1, -1))
        y = self.pwconv2(nn.functional.gelu(self.pwconv1(y)))
        out: Tensor = x + (self.gamma * y).movedim(-1, 1)
        return out


class MaskDownsampler(nn.Sequential):
    """Strided convolutions with LN and activation from the mask's grid to the coarse grid."""

    def __init__(self, config: MemoryEncoderConfig, step: Step, dim: int) -> None:
        layers: list[nn.Module] = []
        width = config.regions
        for out in config.mask_widths:
            i, j, k = (1 if s == 1 else config.mask_kernel for s in step)
            kernel, padding = (i, j, k), ((i % 2) * (i // 2), (j % 2) * (j // 2), (k % 2) * (k // 2))
            layers.append(nn.Conv3d(width, out, kernel, stride=step, padding=padding))
            layers.append(ChannelLayerNorm(out, eps=1e-6))
            layers.append(nn.GELU() if config.gelu else nn.ReLU())
            width = out
        super().__init__(*layers, PointwiseConv(width, dim))


class MemoryEncoder(nn.Module):
    """Item = 1x1(ConvNeXt(1x1(F) + down(20 sigmoid(logit) - 10))), the same in training and in use (SAM 2, sec. C)."""

    def __init__(self, dim: int, memory_dim: int, step: Step, config: MemoryEncoderConfig) -> None:
        super().__init__()
        self.regions = config.regions
        self.mask_downsampler = MaskDownsampler(config, step, dim)
        self.feature_proj = PointwiseConv(dim, dim)
        blocks = (ConvNeXtBlock(dim, config.block_kernel, config.layer_scale) for _ in range(config.blocks))
        self.fuser = nn.Sequential(*blocks)
        self.out_proj = PointwiseConv(dim, memory_dim)

    def forward(self, feature: Tensor, logits: Tensor) -> Tensor:
        """feature [B, dim, 1, h, w], region logits [B, 3, d, h', w'] -> tokens [B, h * w, memory_dim]."""
        mask = 20 * torch.sigmoid(logits[:, : self.regions]) - 10
        x = self.feature_proj(feature) + self.mask_downsampler(mask)
        item: Tensor = self.out_proj(self.fuser(x))
        return item.flatten(2).transpose(1, 2)
