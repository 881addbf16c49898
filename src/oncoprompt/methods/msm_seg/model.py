"""MSM-Seg: encode all frames once, then walk over slices and channels with a dual memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg.compact import CompactBackbone
from oncoprompt.methods.msm_seg.config import CompactConfig, MSMSegConfig, role_index
from oncoprompt.methods.msm_seg.fusion import Fusion
from oncoprompt.methods.msm_seg.mcp_encoder import MCPEncoder
from oncoprompt.methods.msm_seg.memory import DualMemory
from oncoprompt.methods.msm_seg.memory_encoder import MemoryEncoder
from oncoprompt.methods.msm_seg.mf_decoder import MFDecoder, subvoxel_mean, unpack
from oncoprompt.methods.msm_seg.msma import MSMA, BranchCodes, Prepared, Projected
from oncoprompt.methods.msm_seg.tensors import MSMSegOutput, PromptMaps, Pyramid


@dataclass(frozen=True)
class Frames:
    """Everything about the frames that does not depend on memory, cut into frames: lists over t, then over m."""

    coarse: list[list[Tensor]]
    prepared: list[list[tuple[Prepared, Prepared]]]
    prompt: list[Tensor] | None
    prompt_middle: list[list[Tensor]]
    prompt_fine: list[list[Tensor]]
    decoder_middle: list[list[Tensor]]
    decoder_fine: list[list[Tensor]]
    detail: list[list[Tensor]] | None


@dataclass(frozen=True)
class FrameResult:
    """One frame's Z, guidance logits and nested sub-voxel logits."""

    z: Tensor
    guidance: Tensor
    packed: Tensor


class MSMSeg(nn.Module):
    """S_{t,m} = R(X_{t,m}, S_{t,<m}, S_{<t}), Y_{t,m} = P(S_{t,m}), Y_t = sum_m w_m Y_{t,m} (arXiv 2510.10679)."""

    def __init__(self, config: MSMSegConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or MSMSegConfig.compact()
        self.backbone = build_backbone(c)
        self.msma = MSMA(c.dim, c.memory)
        self.memory_encoder = MemoryEncoder(c.dim, c.memory.dim, c.step, c.memory_encoder)
        self.prompt_encoder = MCPEncoder(c.dim, c.middle_dim, c.fine_dim, c.step, c.prompt_encoder)
        self.decoder = MFDecoder(c.dim, c.middle_dim, c.fine_dim, c.step, c.decoder)
        self.fusion = Fusion(c.dim, c.step, c.fusion)

    def encode(self, images: Tensor, roles: Sequence[str]) -> Pyramid:
        """images [B, M, D, H, W], one channel role for each of the M channels -> prompt-free features, to be cached."""
        if images.ndim != 5 or images.shape[1] != len(roles) or not roles:
            raise InputError(
                f"Images must be [B, M, D, H, W] with one role a channel. Found: {tuple(images.shape)}, roles {roles}."
            )
        pyramid: Pyramid = self.backbone(images, roles)
        return pyramid

    def decode(self, pyramid: Pyramid, prompt: PromptMaps | None = None) -> MSMSegOutput:
        """Segment encoded frames; without prompt, or where its maps are zero, automatically."""
        frames, codes, place = self._prepare(pyramid, prompt)
        output = self._walk(pyramid, frames, codes, place, self.config.descending)
        if not self.config.bidirectional:
            return output
        other = self._walk(pyramid, frames, codes, place, not self.config.descending)
        return MSMSegOutput(
            (output.logits + other.logits) / 2,
            (output.channel_logits + other.channel_logits) / 2,
            (output.guidance + other.guidance) / 2,
        )

    def forward(self, images: Tensor, roles: Sequence[str], prompt: PromptMaps | None = None) -> MSMSegOutput:
        """Encode and decode."""
        return self.decode(self.encode(images, roles), prompt)

    def _prepare(
        self, pyramid: Pyramid, prompt: PromptMaps | None
    ) -> tuple[Frames, tuple[BranchCodes, BranchCodes], Tensor]:
        b, t, m = pyramid.coarse.shape[:3]
        grid = (pyramid.coarse.shape[-2], pyramid.coarse.shape[-1])
        codes = self.msma.codes(grid)
        tokens = pyramid.coarse.flatten(0, 2).flatten(2).transpose(1, 2)
        by_slice, by_channel = self.msma.prepare(tokens, grid, codes)
        branches = [
            [list(zip(x, q, strict=True)) for x, q in zip(*(cut_frames(p.unflatten(0, (b, t, m)), m) for p in branch), strict=True)]
            for branch in (by_slice, by_channel)
        ]
        middle, fine = pyramid.middle.flatten(0, 2), pyramid.fine.flatten(0, 2)
        mm, mf = pyramid.middle.shape[2], pyramid.fine.shape[2]
        prompt_middle = self.prompt_encoder.prepare_middle(middle).unflatten(0, (b, t, mm))
        prompt_fine = self.prompt_encoder.prepare_fine(fine).unflatten(0, (b, t, mf))
        coarse_prompt = None
        if prompt is not None:
            levels = (pyramid.coarse, pyramid.middle, pyramid.fine)
            planes = [(level.shape[-2], level.shape[-1]) for level in levels]
            terms = self.prompt_encoder.prepare_prompt(prompt.stacked(), t, planes)
            coarse_prompt = list(terms[0].unbind(1))
            prompt_middle = prompt_middle + terms[1].unsqueeze(2)
            prompt_fine = prompt_fine + terms[2].unsqueeze(2)
        frames = Frames(
            coarse=cut_frames(pyramid.coarse, m),
            prepared=[list(zip(a, c, strict=True)) for a, c in zip(*branches, strict=True)],
            prompt=coarse_prompt,
            prompt_middle=cut_frames(prompt_middle, m),
            prompt_fine=cut_frames(prompt_fine, m),
            decoder_middle=cut_frames(self.decoder.prepare_middle(middle).unflatten(0, (b, t, mm)), m),
            decoder_fine=cut_frames(self.decoder.prepare_fine(fine).unflatten(0, (b, t, mf)), m),
            detail=None if pyramid.detail is None else cut_frames(pyramid.detail, m),
        )
        return frames, codes, self.decoder.place(grid)

    def _walk(
        self,
        pyramid: Pyramid,
        frames: Frames,
        codes: tuple[BranchCodes, BranchCodes],
        place: Tensor,
        descending: bool,
    ) -> MSMSegOutput:
        b, t_count, m_count = pyramid.coarse.shape[:3]
        roles = torch.tensor([role_index(r) for r in pyramid.roles], device=pyramid.coarse.device)
        queries = [self.decoder.tokens(r, b) for r in pyramid.roles]
        memory: DualMemory[Projected] = DualMemory(self.config.memory.slices, self.config.memory.channels)
        fused: dict[int, Tensor] = {}
        channel: dict[int, Tensor] = {}
        guidance: dict[int, Tensor] = {}
        order = range(t_count - 1, -1, -1) if descending else range(t_count)
        for step, t in enumerate(order):
            results: list[FrameResult] = []
            means: list[Tensor] = []
            for m in range(m_count):
                result = self._frame(frames, t, m, pyramid.roles[m], queries[m], memory, codes, place)
                results.append(result)
                means.append(subvoxel_mean(result.packed))
                if m + 1 < m_count:
                    item = self.memory_encoder(frames.coarse[t][m], self._memory_mask(means[m]))
                    memory.remember_channel(self.msma.channel_branch.project(item, codes[1]))
            fused[t] = self.fusion([r.packed for r in results], [r.z for r in results], roles)
            channel[t] = torch.stack(means, dim=1)
            guidance[t] = torch.stack([r.guidance for r in results], dim=1)
            if step + 1 < t_count:
                feature = torch.stack(frames.coarse[t]).mean(0)
                item = self.memory_encoder(feature, self._memory_mask(subvoxel_mean(fused[t])))
                memory.close_slice(self.msma.slice_branch.project(item, codes[0]))
        return self._assemble(pyramid, [fused[t] for t in range(t_count)], channel, guidance)

    def _frame(
        self,
        frames: Frames,
        t: int,
        m: int,
        role: str,
        query: Tensor,
        memory: DualMemory[Projected],
        codes: tuple[BranchCodes, BranchCodes],
        place: Tensor,
    ) -> FrameResult:
        coarse = frames.coarse[t][m]
        tokens = coarse.flatten(2).transpose(1, 2)
        z = self.msma(frames.prepared[t][m], tokens, memory.read_slices(), memory.read_channels(), codes)
        z = z.transpose(1, 2).reshape(coarse.shape)
        prompt = None if frames.prompt is None else frames.prompt[t]
        guidance = self.prompt_encoder(z, prompt, frames.prompt_middle[t][m], frames.prompt_fine[t][m])
        h = z + self.prompt_encoder.embed_guidance(guidance)
        fine = frames.decoder_fine[t][m]
        if frames.detail is not None:
            fine = self.decoder.add_detail(fine, frames.detail[t][m], role)
        packed = self.decoder(h, query, place, frames.decoder_middle[t][m], fine, guidance)
        return FrameResult(z, guidance, packed)

    def _memory_mask(self, logits: Tensor) -> Tensor:
        return logits

    def _assemble(
        self, pyramid: Pyramid, fused: list[Tensor], channel: dict[int, Tensor], guidance: dict[int, Tensor]
    ) -> MSMSegOutput:
        order = range(len(fused))
        full = unpack(torch.cat(fused, dim=3), self.config.decoder.subvoxels)
        return MSMSegOutput(
            logits=full,
            channel_logits=torch.cat([channel[t] for t in order], dim=3),
            guidance=torch.cat([guidance[t] for t in order], dim=3),
        )


def build_backbone(config: MSMSegConfig) -> nn.Module:
    """The backbone a configuration names."""
    if isinstance(config.backbone, CompactConfig):
        return CompactBackbone(config.backbone, config.dim, config.middle_dim, config.fine_dim)
    raise InputError("unsupported")


def cut_frames(x: Tensor, m: int) -> list[list[Tensor]]:
    """[B, T, M or 1, ...] -> list over t of lists over m; unbind keeps the backward pass linear in the frames."""
    slices = [list(s.unbind(1)) for s in x.unbind(1)]
    return [s if len(s) == m else s * m for s in slices]
