"""What goes in and out of MSM-Seg's two steps."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PromptMaps:
    """Prompts on the network's grid; a sample whose maps are all zero is segmented automatically.

    box: [B, 1, D, H, W], the filled box, 0..1; clicks: [B, 2, D, H, W], positive and negative.
    """

    box: Tensor
    clicks: Tensor

    def stacked(self) -> Tensor:
        """All maps [B, 3, D, H, W]."""
        return torch.cat([self.box, self.clicks], dim=1)


@dataclass(frozen=True)
class Pyramid:
    """Prompt-free features of every frame (slice t, channel m), to be kept while prompts change.

    coarse: [B, T, M, C, 1, h, w]; middle, fine: [B, T, M or 1, C, d, h, w], a channel axis of 1 is shared by all;
    detail: the channels' own voxels packed onto the fine grid [B, T, M, s, d, h, w], or None where that is not done;
    companion: what the companion has computed without a prompt [B, C, D/2, H/2, W/2], or None without one.
    """

    coarse: Tensor
    middle: Tensor
    fine: Tensor
    detail: Tensor | None
    roles: tuple[str, ...]
    size: tuple[int, int, int]
    companion: Tensor | None = None


@dataclass(frozen=True)
class MSMSegOutput:
    """Nested logits (ET <= TC <= WT at every position), regions in the order WT, TC, ET.

    fused: the channels' fused prediction [B, 3, D, H, W]; channel_logits: [B, M, 3, d, h, w] and guidance:
    [B, M, 1, d, h, w] on the fine grid (stride 2 in every axis for the compact backbone, stride 4 within a plane for
    Hiera), guidance None for a network without it; companion: the companion's prediction, or None without one.
    """

    fused: Tensor
    channel_logits: Tensor
    guidance: Tensor | None
    companion: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """The answer [B, 3, D, H, W]: the fused prediction, averaged with the companion's where there is one."""
        return self.fused if self.companion is None else (self.fused + self.companion) / 2
