"""MedSAM compact: a U-Net that looks at the surroundings of one box, made to be trained from scratch."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.errors import InputError

IMAGE_PLANES = 3
PROMPT_PLANES = 4
"""Box, positive points, negative points, rough drawing or earlier answer."""

_GROUPS = 8


@dataclass(frozen=True)
class CompactConfig:
    """Channels at each halving of the frame, and the frame's side in pixels (a multiple of 2^(levels - 1))."""

    widths: tuple[int, ...] = (16, 32, 64, 128, 192)
    frame: int = 128

    def __post_init__(self) -> None:
        """Check that sizes fit each other; raises InputError."""
        step = 2 ** (len(self.widths) - 1)
        if self.frame % step or self.frame <= 0 or any(width % _GROUPS for width in self.widths):
            raise InputError(
                f"MedSAM compact needs widths in multiples of {_GROUPS} and a frame in multiples of {step}; found "
                f"widths {self.widths} and frame {self.frame}."
            )


class CompactNetwork(nn.Module):
    """U-Net [B, 3 + 4, S, S] -> logits [B, 1, S, S] of the target that fills the box."""

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config or CompactConfig()
        widths = self.config.widths
        self.stem = nn.Conv2d(IMAGE_PLANES + PROMPT_PLANES, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList([_Residual(width) for width in widths])
        steps = list(pairwise(widths))
        self.down = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps])
        self.bottom = _Residual(widths[-1])
        self.up = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in steps])
        self.decoder = nn.ModuleList([_Residual(a) for a, _ in steps])
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, image: Tensor, prompts: Tensor) -> Tensor:
        """Standardised image [B, 3, S, S] and prompt maps [B, 4, S, S] -> logits [B, 1, S, S]."""
        x = self.stem(torch.cat([image, prompts], dim=1))
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else self.down[level - 1](x))
            skips.append(x)
        x = self.bottom(skips.pop())
        for level in reversed(range(len(skips))):
            above = functional.interpolate(self.up[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.decoder[level](skips[level] + above)
        logits: Tensor = self.head(x)
        return logits


class _Residual(nn.Module):
    """x + conv(norm(conv(norm(x)))), with leaky rectifiers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(_GROUPS, width), nn.GroupNorm(_GROUPS, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(functional.leaky_relu(self.norm1(x), 0.1))
        out: Tensor = x + self.conv2(functional.leaky_relu(self.norm2(inner), 0.1))
        return out
