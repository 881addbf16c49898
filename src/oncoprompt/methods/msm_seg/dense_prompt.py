"""Prompts without a map of the tumour: their maps are embedded and added to the features, as SAM does with masks."""

from collections.abc import Sequence

from torch import Tensor, nn

from oncoprompt.methods.msm_seg.config import PromptEncoderConfig, Step
from oncoprompt.methods.msm_seg.mcp_encoder import PROMPT_MAPS, MapEmbedding, map_slabs, prompted


class DensePrompt(nn.Module):
    """H = Z + DS(prompt maps), and H = Z for a sample without a prompt: what is left without the MCP-Encoder."""

    def __init__(self, dim: int, step: Step, config: PromptEncoderConfig) -> None:
        super().__init__()
        self.depth = step[0] ** 2
        self.embed = MapEmbedding(PROMPT_MAPS, dim, step, config)

    def prepare_prompt(self, maps: Tensor, slices: int, planes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """maps [B, 3, D, H, W], (h, w) of the three levels -> the term on the coarse grid [B, T, dim, 1, h, w]."""
        slabs = map_slabs(maps, slices, self.depth, planes[-1])
        return [prompted(maps) * self.embed(slabs).unflatten(0, (maps.shape[0], slices))]
