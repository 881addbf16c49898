"""TAGS' decoder: four stages' features brought to half the crop's resolution and read together with the image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.nn.conv import VolumeConv

CLASSES = 2


class Stage(nn.Sequential):
    """Two 3x3x3 convolutions, each with instance norm and ReLU, and a trilinear upsampling to twice the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            VolumeConv(inputs, outputs, bias=False),
            nn.InstanceNorm3d(outputs),
            nn.ReLU(inplace=True),
            VolumeConv(outputs, outputs, bias=False),
            nn.InstanceNorm3d(outputs),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="trilinear"),
        )


class TagsDecoder(nn.Module):
    """Multi-layer head (7,088,256 parameters in the published form, no bias anywhere).

    Its 3x3x3 convolution over all stages and the image is kept as two that are added: of what no prompt changes, and of
    the last stage, so that a new click computes a quarter of it. `text_in_decoder` adds a third, of the map of
    similarity with the text, whose weights start at 0.
    """

    def __init__(self, config: TagsConfig) -> None:
        super().__init__()
        inner = config.features // 2
        self.stages = nn.ModuleList(Stage(config.features, inner) for _ in config.stages)
        self.fuse_fixed = VolumeConv(inner * (len(config.stages) - 1) + 1, inner, bias=False)
        self.fuse_prompted = VolumeConv(inner, inner, bias=False)
        self.fuse_text: VolumeConv | None = None
        if config.text_in_decoder and config.alignment:
            self.fuse_text = VolumeConv(1, inner, bias=False)
            nn.init.zeros_(self.fuse_text.weight)
        self.head = nn.Sequential(
            nn.InstanceNorm3d(inner), nn.ReLU(inplace=True), VolumeConv(inner, CLASSES, bias=False)
        )

    def fixed(self, stages: Sequence[Tensor], image: Tensor) -> Tensor:
        """All stages but the last [B, C, d, h, w] and the image [B, 1, D, H, W] -> [B, C / 2, 2 d, 2 h, 2 w]."""
        half = [2 * n for n in stages[0].shape[2:]]
        seen = [stage(x) for stage, x in zip(self.stages[:-1], stages, strict=True)]
        seen.append(functional.interpolate(image, size=half, mode="trilinear").to(stages[0].dtype))
        out: Tensor = self.fuse_fixed(torch.cat(seen, dim=1))
        return out

    def forward(self, fixed: Tensor, last: Tensor, similarity: Tensor | None, shape: Sequence[int]) -> Tensor:
        """What `fixed` gave, the prompted last stage and a map [B, 1, d, h, w] -> logits [B, 2, *shape]."""
        fused = fixed + self.fuse_prompted(self.stages[-1](last))
        if self.fuse_text is not None and similarity is not None:
            fused = fused + self.fuse_text(functional.interpolate(similarity, scale_factor=2, mode="trilinear"))
        return functional.interpolate(self.head(fused), size=list(shape), mode="trilinear")
