"""The companion: a U-Net that sees the box before it looks, and whose answer is averaged with MSM-Seg's."""

from collections.abc import Sequence

from torch import Tensor

from oncoprompt.methods.msm_seg.prompted_trunk import PromptedTrunk
from oncoprompt.methods.msm_seg.tensors import PromptMaps

PROMPT_MAPS = 3


class Companion(PromptedTrunk):
    """The compact trunk with box and clicks among its inputs, read out at once, without memory or query tokens."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths, PROMPT_MAPS)

    def decode(self, features: Tensor, prompt: PromptMaps | None = None) -> Tensor:
        """Features of `encode` and prompts -> nested logits [B, 3, D, H, W] (WT, TC, ET)."""
        x2, x4, x8, x16 = self.down(features, None if prompt is None else prompt.stacked())
        return self.read_out(self.merge2(x2, self.merge4(x4, self.merge8(x8, x16))))
