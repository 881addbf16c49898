"""MSM-Seg: encode all frames once, then walk over slices and channels with a dual memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg.compact import CompactBackbone
from oncoprompt.methods.msm_seg.companion import Companion
from oncoprompt.methods.msm_seg.config import CompactConfig, MSMSegConfig, role_index
from oncoprompt.methods.msm_seg.dense_prompt import DensePrompt
from oncoprompt.methods.msm_seg.frames import Frame, FrameBuilder, split_slices
from oncoprompt.methods.msm_seg.fusion import Fusion, MeanFusion
from oncoprompt.methods.msm_seg.hiera import HieraBackbone
from oncoprompt.methods.msm_seg.mcp_encoder import MCPEncoder
from oncoprompt.methods.msm_seg.memory import DualMemory
from oncoprompt.methods.msm_seg.memory_encoder import MemoryEncoder
from oncoprompt.methods.msm_seg.mf_decoder import MFDecoder, nest, resize_plane, subvoxel_mean, unpack
from oncoprompt.methods.msm_seg.msma import MSMA, Codes, Projected
from oncoprompt.methods.msm_seg.tensors import MSMSegOutput, PromptMaps, Pyramid

SLICES_AT_ONCE = 16
"""Slices whose memory-free terms are held at a time; bounds the working memory of long volumes."""


@dataclass(frozen=True)
class Walk:
    """What stays the same for every frame of one pass: codes of the grid, query tokens and role numbers, mask size."""

    codes: Codes
    place: Tensor
    queries: list[Tensor]
    names: tuple[str, ...]
    roles: Tensor
    plane: tuple[int, int]


@dataclass(frozen=True)
class FrameResult:
    """One frame's Z, guidance logits (if any), nested sub-voxel logits and their means on the fine grid."""

    z: Tensor
    guidance: Tensor | None
    packed: Tensor
    mean: Tensor


@dataclass(frozen=True)
class SliceResult:
    """Fused nested sub-voxel logits [B, 3, s, d, h, w], channel logits and guidance [B, M, ...] of one slice."""

    fused: Tensor
    channels: Tensor
    guidance: Tensor | None


class MSMSeg(nn.Module):
    """S_{t,m} = R(X_{t,m}, S_{t,<m}, S_{<t}), Y_{t,m} = P(S_{t,m}), Y_t = sum_m w_m Y_{t,m} (arXiv 2510.10679)."""

    def __init__(self, config: MSMSegConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or MSMSegConfig.compact()
        self.backbone: CompactBackbone | HieraBackbone
        if isinstance(c.backbone, CompactConfig):
            self.backbone = CompactBackbone(c.backbone, c.dim, c.middle_dim, c.fine_dim)
        else:
            self.backbone = HieraBackbone(c.backbone, c.dim, c.middle_dim, c.fine_dim)
        self.msma = MSMA(c.dim, c.memory)
        remembers = c.memory.slices or c.memory.channels
        self.memory_encoder = MemoryEncoder(c.dim, c.memory.dim, c.step, c.memory_encoder) if remembers else None
        self.prompt_encoder: MCPEncoder | DensePrompt
        if c.prompt_encoder.guidance:
            self.prompt_encoder = MCPEncoder(c.dim, c.middle_dim, c.fine_dim, c.step, c.prompt_encoder)
        else:
            self.prompt_encoder = DensePrompt(c.dim, c.step, c.prompt_encoder)
        self.decoder = MFDecoder(c.dim, c.middle_dim, c.fine_dim, c.step, c.decoder, c.prompt_encoder.guidance)
        self.fusion: Fusion | MeanFusion = Fusion(c.dim, c.step, c.fusion) if c.fusion.learned else MeanFusion()
        self.companion = Companion(c.companion) if c.companion else None

    def encode(self, images: Tensor, roles: Sequence[str]) -> Pyramid:
        """images [B, M, D, H, W], one channel role for each of the M channels -> prompt-free features, to be cached."""
        if images.ndim != 5 or images.shape[1] != len(roles) or not roles:
            raise InputError(
                f"Images must be [B, M, D, H, W] with one role a channel. Found: {tuple(images.shape)}, roles {roles}."
            )
        pyramid: Pyramid = self.backbone(images, roles)
        return pyramid if self.companion is None else replace(pyramid, companion=self.companion.encode(images, roles))

    def decode(self, pyramid: Pyramid, prompt: PromptMaps | None = None) -> MSMSegOutput:
        """Segment encoded frames; without prompt, or where its maps are zero, automatically."""
        output = self._pass(pyramid, prompt, self.config.descending)
        if self.companion is not None and pyramid.companion is not None:
            output = replace(output, companion=self.companion.decode(pyramid.companion, prompt))
        if not self.config.bidirectional:
            return output
        other = self._pass(pyramid, prompt, not self.config.descending)
        both = (output.guidance, other.guidance)
        return MSMSegOutput(
            nest((output.fused + other.fused) / 2),
            nest_channels((output.channel_logits + other.channel_logits) / 2),
            None if both[0] is None or both[1] is None else (both[0] + both[1]) / 2,
            output.companion,
        )

    def forward(self, images: Tensor, roles: Sequence[str], prompt: PromptMaps | None = None) -> MSMSegOutput:
        """Encode and decode."""
        return self.decode(self.encode(images, roles), prompt)

    def _pass(self, pyramid: Pyramid, prompt: PromptMaps | None, descending: bool) -> MSMSegOutput:
        b, t_count = pyramid.coarse.shape[:2]
        walk = self._walk(pyramid, b)
        memory = self._memory()
        results: list[SliceResult] = []
        for frames in self._slices(pyramid, prompt, walk, descending):
            clip = self.config.clip_slices
            if clip is not None and len(results) % clip == 0:
                memory = self._memory()
            results.append(self._slice(frames, memory, walk, last=len(results) + 1 == t_count))
        if descending:
            results.reverse()
        logits = unpack(torch.cat([r.fused for r in results], dim=3), self.config.decoder.subvoxels)
        if logits.shape[2:] != pyramid.size:
            logits = nest(resize_plane(logits, walk.plane))
        guidance = [r.guidance for r in results if r.guidance is not None]
        return MSMSegOutput(
            fused=logits,
            channel_logits=torch.cat([r.channels for r in results], dim=3),
            guidance=torch.cat(guidance, dim=3) if guidance else None,
        )

    def _memory(self) -> DualMemory[Projected]:
        return DualMemory(self.config.memory.slices, self.config.memory.channels)

    def _walk(self, pyramid: Pyramid, batch: int) -> Walk:
        grid = (pyramid.coarse.shape[-2], pyramid.coarse.shape[-1])
        return Walk(
            codes=self.msma.codes(grid),
            place=self.decoder.place(grid),
            queries=[self.decoder.tokens(name, batch) for name in pyramid.roles],
            names=pyramid.roles,
            roles=torch.tensor([role_index(name) for name in pyramid.roles], device=pyramid.coarse.device),
            plane=pyramid.size[1:],
        )

    def _slices(
        self, pyramid: Pyramid, prompt: PromptMaps | None, walk: Walk, descending: bool
    ) -> Iterator[list[Frame]]:
        """The frames of each slice, in the order they are visited."""
        builder = FrameBuilder(self.msma, self.prompt_encoder, self.decoder, walk.codes)
        pieces = split_slices(pyramid, SLICES_AT_ONCE)
        terms: list[list[Tensor]] | None = None
        if prompt is not None:
            levels = (pyramid.coarse, pyramid.middle, pyramid.fine)
            planes = [(level.shape[-2], level.shape[-1]) for level in levels]
            whole = self.prompt_encoder.prepare_prompt(prompt.stacked(), pyramid.coarse.shape[1], planes)
            terms = [list(x) for x in zip(*(level.split(SLICES_AT_ONCE, dim=1) for level in whole), strict=True)]
        order = range(len(pieces))
        for i in reversed(order) if descending else order:
            frames = builder.build(pieces[i], None if terms is None else terms[i])
            yield from reversed(frames) if descending else frames

    def _slice(self, frames: list[Frame], memory: DualMemory[Projected], walk: Walk, last: bool) -> SliceResult:
        """Visit the channels of a slice, fuse their predictions, and remember them."""
        results: list[FrameResult] = []
        for m, frame in enumerate(frames):
            result = self._frame(frame, walk.names[m], walk.queries[m], memory, walk)
            results.append(result)
            if m + 1 < len(frames) and self.config.memory.channels:
                memory.remember_channel(self._item(1, frame.coarse, result.mean, walk))
        fused: Tensor = self.fusion([r.packed for r in results], [r.z for r in results], walk.roles)
        if not last:
            feature = torch.stack([frame.coarse for frame in frames]).mean(0)
            kept = self.config.memory.slices > 0
            memory.close_slice(self._item(0, feature, subvoxel_mean(fused), walk) if kept else None)
        guidance = [r.guidance for r in results if r.guidance is not None]
        return SliceResult(
            fused,
            torch.stack([r.mean for r in results], dim=1),
            torch.stack(guidance, dim=1) if guidance else None,
        )

    def _item(self, bank: int, feature: Tensor, logits: Tensor, walk: Walk) -> Projected | None:
        """What the slice bank (0) or the channel bank (1) remembers of a feature and logits; None without a branch."""
        branch, codes = self.msma.branches[bank], walk.codes[bank]
        if self.memory_encoder is None or branch is None or codes is None:
            return None
        return branch.project(self.memory_encoder(feature, self._memory_mask(logits, walk)), codes)

    def _frame(self, frame: Frame, role: str, query: Tensor, memory: DualMemory[Projected], walk: Walk) -> FrameResult:
        tokens = frame.coarse.flatten(2).transpose(1, 2)
        z = self.msma(frame.starts, tokens, memory.read_slices(), memory.read_channels(), walk.codes)
        z = z.transpose(1, 2).reshape(frame.coarse.shape)
        guidance = None
        if isinstance(self.prompt_encoder, MCPEncoder) and frame.guidance is not None:
            guidance = self.prompt_encoder(z, frame.prompt, *frame.guidance)
            h = z + self.prompt_encoder.embed_guidance(guidance)
        else:
            h = z if frame.prompt is None else z + frame.prompt
        fine = frame.decoder_fine
        if frame.detail is not None:
            fine = self.decoder.add_detail(fine, frame.detail, role)
        packed = self.decoder(h, query, walk.place, frame.decoder_middle, fine, guidance)
        return FrameResult(z, guidance, packed, subvoxel_mean(packed))

    def _memory_mask(self, logits: Tensor, walk: Walk) -> Tensor:
        """Region logits on the grid the memory encoder's mask path starts from."""
        return resize_plane(logits, walk.plane) if self.config.memory_encoder.full_size else logits


def nest_channels(logits: Tensor) -> Tensor:
    """`nest` for channel logits [B, M, 3, ...]."""
    return nest(logits.flatten(0, 1)).view(logits.shape)
