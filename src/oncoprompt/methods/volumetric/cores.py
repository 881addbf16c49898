"""MONAI's networks, taken apart where their levels are wanted."""

from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from torch import Tensor, nn

from oncoprompt.methods.volumetric.config import DynUNetConfig, SegResNetConfig


class DynUNetCore(nn.Module):
    """The blocks of MONAI's DynUNet in their order; its own recursion holds every parameter twice in a state dict."""

    def __init__(self, inputs: int, outputs: int, config: DynUNetConfig) -> None:
        super().__init__()
        levels = len(config.filters)
        net = DynUNet(
            spatial_dims=3,
            in_channels=inputs,
            out_channels=outputs,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=config.filters,
            deep_supervision=config.supervised > 0,
            deep_supr_num=max(config.supervised, 1),
        )
        self.first = net.input_block
        self.down = net.downsamples
        self.bottom = net.bottleneck
        self.up = net.upsamples
        self.head = net.output_block
        self.coarser_heads = net.deep_supervision_heads if config.supervised else nn.ModuleList()

    def forward(self, x: Tensor) -> list[Tensor]:
        """x [B, inputs, d, h, w] -> outputs at full size and, in training, at half, a quarter, ... of it."""
        skips = [self.first(x)]
        for block in self.down:
            skips.append(block(skips[-1]))
        y = self.bottom(skips[-1])
        decoded = []
        for block, skip in zip(self.up, reversed(skips), strict=True):
            y = block(y, skip)
            decoded.append(y)
        coarser = zip(self.coarser_heads, reversed(decoded[:-1]), strict=False) if self.training else ()
        return [self.head(y), *(head(level) for head, level in coarser)]


class SegResNetCore(nn.Module):
    """MONAI's SegResNet, which has one output."""

    def __init__(self, inputs: int, outputs: int, config: SegResNetConfig) -> None:
        super().__init__()
        self.net = SegResNet(
            spatial_dims=3,
            init_filters=config.filters,
            in_channels=inputs,
            out_channels=outputs,
            blocks_down=config.blocks_down,
            blocks_up=config.blocks_up,
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """x [B, inputs, d, h, w] -> [its output]."""
        return [self.net(x)]
