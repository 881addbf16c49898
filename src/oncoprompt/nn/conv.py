"""Convolutions whose forward pass is arranged so that a processor computes them quickly; their weights are ordinary."""

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL = 20480
"""torch leaves oneDNN for a slow fallback when one volume has batch * channels * depth * height below this."""


class VolumeConv(nn.Conv3d):
    """3x3x3 convolution with stride 1 and zero padding of any volume.

    One small volume is cut into two overlapping halves, because torch computes a batch of two with oneDNN and a single
    small volume with a fallback half as fast (96 channels at 12^3, one thread, forward and backward: 35 and 80 ms).
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, D, H, W] -> [N, outputs, D, H, W]."""
        n, c, d, h, _ = x.shape
        if n > 1 or d < 2 or c * d * h > SMALL or x.device.type != "cpu":
            return super().forward(x)
        half = (d + 1) // 2
        padded = functional.pad(x, (0, 0, 0, 0, 1, 1 + d % 2))
        halves = torch.cat([padded[:, :, : half + 2], padded[:, :, half:]])
        out = functional.conv3d(halves, self.weight, self.bias, padding=(0, 1, 1))
        return torch.cat([out[:1], out[1:]], dim=2)[:, :, :d]


class PointwiseConv(nn.Conv3d):
    """1x1x1 convolution as a matrix product."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...] -> [N, outputs, ...]."""
        weight = self.weight.flatten(1).expand(x.shape[0], -1, -1)
        flat = x.flatten(2)
        out = torch.bmm(weight, flat) if self.bias is None else torch.baddbmm(self.bias.view(1, -1, 1), weight, flat)
        return out.view(*flat.shape[:1], -1, *x.shape[2:])


class PlaneConv(nn.Conv2d):
    """Two-dimensional convolution of a thin slab whose planes are folded into the channels.

    Every output plane sees every input plane, so on a slab of `depth` planes it stands for a convolution in 3-D.
    """

    def __init__(self, inputs: int, outputs: int, depth: int, kernel: int = 3, groups: int = 1) -> None:
        super().__init__(inputs * depth, outputs * depth, kernel, padding=kernel // 2, groups=groups)
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, depth, H, W] -> [N, outputs, depth, H, W]."""
        out = super().forward(x.flatten(1, 2))
        return out.view(len(out), -1, self.depth, *out.shape[2:])


def plane_or_point(inputs: int, outputs: int, depth: int, kernel: int) -> nn.Module:
    """PlaneConv, or for a kernel of 1 a PointwiseConv."""
    return PointwiseConv(inputs, outputs) if kernel == 1 else PlaneConv(inputs, outputs, depth, kernel)
