"""MCP-Encoder: memory-conditioned features and, if given, prompt maps become a map of the tumour."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg.config import PromptEncoderConfig, Step
from oncoprompt.nn.conv import PlaneConv, PointwiseConv, plane_or_point
from oncoprompt.nn.norm import ChannelLayerNorm

PROMPT_MAPS = 3


def activation(gelu: bool) -> nn.Module:
    """GELU as in SAM, or the cheaper ReLU."""
    return nn.GELU() if gelu else nn.ReLU()


class PromptProcessor(nn.Sequential):
    """Prompt maps on slabs of one grid -> prompt features, two convolutions."""

    def __init__(self, width: int, depth: int, kernel: int) -> None:
        first, second = plane_or_point(PROMPT_MAPS, width, depth, kernel), plane_or_point(width, width, depth, kernel)
        super().__init__(first, nn.ReLU(), second, nn.ReLU())


class MapEmbedding(nn.Sequential):
    """DS of the paper: two strided convolutions from the fine to the coarse grid (SAM's mask path)."""

    def __init__(self, maps: int, dim: int, step: Step, config: PromptEncoderConfig) -> None:
        a, b = config.embed_widths
        super().__init__(
            nn.Conv3d(maps, a, step, stride=step),
            ChannelLayerNorm(a, eps=1e-6),
            activation(config.gelu),
            nn.Conv3d(a, b, step, stride=step),
            ChannelLayerNorm(b, eps=1e-6),
            activation(config.gelu),
            PointwiseConv(b, dim),
        )


def prompted(maps: Tensor) -> Tensor:
    """Which samples of maps [B, 3, D, H, W] hold a prompt, 1 or 0 [B, 1, 1, 1, 1, 1]."""
    return (maps.flatten(1).amax(1) > 0).to(maps.dtype).view(-1, 1, 1, 1, 1, 1)


def map_slabs(maps: Tensor, slices: int, depth: int, plane: tuple[int, int]) -> Tensor:
    """maps [B, 3, D, H, W] averaged over the cells of a level -> its slabs [B * T, 3, depth, h, w]."""
    shading = functional.adaptive_avg_pool3d(maps, (slices * depth, *plane))
    slabs: Tensor = shading.unflatten(2, (slices, depth)).movedim(2, 1).flatten(0, 1)
    return slabs


class MCPEncoder(nn.Module):
    """F^fus_i = conv(Concat(up(F^fus_{i-1}), F_i[, G_i])), P = phi(F^fus_l), H = Z + DS(sigmoid(P)).

    A convolution of a concatenation is a sum of convolutions, so the terms of F_i and G_i are computed for all frames
    at once (`prepare_*`), and a sample without prompt leaves G_i out exactly, as the paper's automatic mode does.
    """

    def __init__(self, dim: int, middle_dim: int, fine_dim: int, step: Step, config: PromptEncoderConfig) -> None:
        super().__init__()
        w0, w1, w2 = config.widths
        scale = tuple(float(s) for s in step)
        self.scale = (scale[0], scale[1], scale[2])
        self.depths = depths = (1, step[0], step[0] ** 2)
        kernels = (3, 3, config.fine_kernel)
        self.processors = nn.ModuleList(map(PromptProcessor, config.prompt_widths, depths, kernels))
        self.from_prompt = nn.ModuleList(
            PointwiseConv(g, w, bias=False) for g, w in zip(config.prompt_widths, config.widths, strict=True)
        )
        self.from_z = PlaneConv(dim, w0, depth=1)
        self.norm0 = nn.GroupNorm(8, w0)
        self.from_middle = PointwiseConv(middle_dim, w1)
        self.up_middle = PointwiseConv(w0, w1, bias=False)
        self.block = nn.Sequential(nn.ReLU(), PlaneConv(w1, w1, depths[1]), nn.GroupNorm(8, w1))
        self.from_fine = plane_or_point(fine_dim, w2, depths[2], config.fine_kernel)
        self.up_fine = PointwiseConv(w1, w2, bias=False)
        self.head = PointwiseConv(w2, 1)
        self.embed = MapEmbedding(1, dim, step, config)
        nn.init.constant_(self.head.bias, -2.0) if self.head.bias is not None else None

    def prepare_prompt(self, maps: Tensor, slices: int, planes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """maps [B, 3, D, H, W], (h, w) of the three levels -> their terms [B, T, C, d, h, w], 0 without a prompt."""
        present = prompted(maps)
        terms = []
        for processor, out, depth, plane in zip(self.processors, self.from_prompt, self.depths, planes, strict=True):
            slabs = map_slabs(maps, slices, depth, plane)
            terms.append(present * out(processor(slabs)).unflatten(0, (maps.shape[0], slices)))
        return terms

    def prepare_middle(self, middle: Tensor) -> Tensor:
        """middle [N, C, d, h, w] -> its term of the middle convolution."""
        out: Tensor = self.from_middle(middle)
        return out

    def prepare_fine(self, fine: Tensor) -> Tensor:
        """fine [N, C, d, h, w] -> its term of the fine convolution."""
        out: Tensor = self.from_fine(fine)
        return out

    def forward(self, z: Tensor, prompt: Tensor | None, middle: Tensor, fine: Tensor) -> Tensor:
        """One frame: z [B, dim, 1, h, w], prompt term at its grid, middle and fine terms -> logits [B, 1, d, h, w]."""
        x = self.from_z(z)
        if prompt is not None:
            x = x + prompt
        x = self.up_middle(functional.relu(self.norm0(x)))
        x = self.block(functional.interpolate(x, scale_factor=self.scale) + middle)
        x = self.up_fine(functional.relu(x))
        x = functional.relu(functional.interpolate(x, scale_factor=self.scale) + fine)
        out: Tensor = self.head(x)
        return out

    def embed_guidance(self, guidance: Tensor) -> Tensor:
        """Guidance logits [B, 1, d, h, w] -> DS(sigmoid(P)) [B, dim, 1, h', w']."""
        out: Tensor = self.embed(torch.sigmoid(guidance))
        return out
