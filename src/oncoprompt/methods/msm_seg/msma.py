"""MSMA: modality-and-slice memory attention."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg.config import MemoryConfig
from oncoprompt.nn.attention import Attention
from oncoprompt.nn.position import sine_position
from oncoprompt.nn.rope import AxialRope

Projected = list[tuple[Tensor, Tensor]]
"""Keys and values of one memory item for every layer, each [B, heads, L, head_dim]; the keys are already rotated."""

Prepared = tuple[Tensor, Tensor]
"""Tokens [N, L, d_model] and their queries [N, heads, L, head_dim] where a branch first meets its memory."""

Starts = tuple[Prepared | None, Prepared | None]
"""What the slice and the channel branch start from; None for a branch that is left out."""


@dataclass(frozen=True)
class BranchCodes:
    """Codes of a branch that depend on the grid alone: rotation, spatial key code, temporal key codes a layer."""

    rope: AxialRope
    place: Tensor
    temporal: list[Tensor]


Codes = tuple[BranchCodes | None, BranchCodes | None]
"""Codes of the slice and the channel branch; None for a branch that is left out."""


class MemoryAttentionLayer(nn.Module):
    """SAM 2's layer: {LN, RoPE self-attention; LN, RoPE cross-attention to memory; LN, FFN}, each with a residual."""

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        dim = config.d_model
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = Attention(dim, config.heads)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = Attention(dim, config.heads, key_dim=config.dim)
        self.norm3 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, config.ffn_dim)
        self.linear2 = nn.Linear(config.ffn_dim, dim)

    def attend_self(self, x: Tensor, rope: AxialRope) -> Tensor:
        """x [N, L, d_model] plus its rotary self-attention."""
        a, y = self.self_attn, self.norm1(x)
        query, key = rope.rotate(a.split(a.q_proj(y))), rope.rotate(a.split(a.k_proj(y)))
        return x + a.attend(query, key, a.split(a.v_proj(y)))

    def query(self, x: Tensor, rope: AxialRope) -> Tensor:
        """x [N, L, d_model] -> rotated queries of the cross-attention [N, heads, L, head_dim]."""
        a = self.cross_attn
        return rope.rotate(a.split(a.q_proj(self.norm2(x))))

    def attend_memory(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """x [B, L, d_model] plus what its queries read from the memory, then the feed-forward part."""
        x = x + self.cross_attn.attend(query, key, value)
        out: Tensor = x + self.linear2(functional.relu(self.linear1(self.norm3(x))))
        return out


class MemoryBranch(nn.Module):
    """One branch of MSMA: phi, a memory-attention stack, its own temporal code table and dummy token.

    What does not depend on memory (phi, the first self-attention and the first queries) runs for all frames at once in
    `prepare`, and the keys and values of an item are projected once, when it is remembered, in `project`.
    """

    def __init__(self, split: int, entries: int, config: MemoryConfig) -> None:
        super().__init__()
        self.phi = nn.Linear(split, config.d_model)
        self.layers = nn.ModuleList(MemoryAttentionLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.temporal = nn.Parameter(0.02 * torch.randn(entries, config.dim))
        self.dummy = nn.Parameter(0.02 * torch.randn(1, 1, config.dim))

    def codes(self, grid: tuple[int, int]) -> BranchCodes:
        """Codes of a (rows, columns) grid."""
        attention: list[Attention] = [layer.cross_attn for layer in self._stack()]
        rope = AxialRope.build(grid, attention[0].head_dim, self.dummy)
        tokens = grid[0] * grid[1]
        temporal = []
        for a in attention:
            key = functional.linear(self.temporal, a.k_proj.weight)
            temporal.append(rope.rotate(a.split(key.unsqueeze(1).expand(-1, tokens, -1))))
        return BranchCodes(rope, sine_position(grid, self.dummy.shape[-1], self.dummy), temporal)

    def prepare(self, split: Tensor, codes: BranchCodes, place: Tensor) -> Prepared:
        """split [N, L, split], place [L, d_model] -> tokens and queries at the first cross-attention."""
        first = self._stack()[0]
        x = first.attend_self(self.phi(split) + 0.1 * place, codes.rope)
        return x, first.query(x, codes.rope)

    def project(self, item: Tensor, codes: BranchCodes) -> Projected:
        """Memory item [B, L, dim] -> its rotated keys and its values."""
        attention = [layer.cross_attn for layer in self._stack()]
        placed = item + codes.place
        return [(codes.rope.rotate(a.split(a.k_proj(placed))), a.split(a.v_proj(item))) for a in attention]

    def forward(self, prepared: Prepared, items: Sequence[Projected], codes: BranchCodes) -> Tensor:
        """prepared tokens and queries of a frame, items nearest first -> [B, L, d_model]."""
        x, query = prepared
        for i, layer in enumerate(self._stack()):
            if i:
                x = layer.attend_self(x, codes.rope)
                query = layer.query(x, codes.rope)
            key, value = self._read(i, items, codes, x.shape[0])
            x = layer.attend_memory(x, query, key, value)
        out: Tensor = self.norm(x)
        return out

    def _read(self, i: int, items: Sequence[Projected], codes: BranchCodes, batch: int) -> tuple[Tensor, Tensor]:
        if not items:
            a = self._stack()[i].cross_attn
            dummy = self.dummy.expand(batch, -1, -1)
            return a.split(a.k_proj(dummy)), a.split(a.v_proj(dummy))
        key = torch.cat([item[i][0] + codes.temporal[i][age] for age, item in enumerate(items)], dim=2)
        return key, torch.cat([item[i][1] for item in items], dim=2)

    def _stack(self) -> list[MemoryAttentionLayer]:
        return [layer for layer in self.layers if isinstance(layer, MemoryAttentionLayer)]


class MSMA(nn.Module):
    """Z = CA(Q_slice, S_{<t}) + CA(Q_modal, S_{t,<m}) [+ F]; the channels of F are split between the two branches.

    A bank of length 0 has no branch; without any, Z = F.
    """

    def __init__(self, dim: int, config: MemoryConfig) -> None:
        super().__init__()
        self.split = half = dim // 2
        self.d_model = config.d_model
        self.residual = config.residual
        self.slice_branch = MemoryBranch(half, config.slices, config) if config.slices else None
        self.channel_branch = MemoryBranch(dim - half, config.channels, config) if config.channels else None
        needed = config.d_model != dim and (config.slices or config.channels)
        self.out = nn.Linear(config.d_model, dim) if needed else nn.Identity()

    @property
    def branches(self) -> tuple[MemoryBranch | None, MemoryBranch | None]:
        """Slice branch and channel branch."""
        return self.slice_branch, self.channel_branch

    def prepare(self, coarse: Tensor, grid: tuple[int, int], codes: Codes) -> Starts:
        """coarse tokens [N, L, dim] of any number of frames -> what both branches start from."""
        place = sine_position(grid, self.d_model, coarse)
        parts = (coarse[..., : self.split], coarse[..., self.split :])
        starts = [
            None if branch is None or code is None else branch.prepare(part, code, place)
            for branch, part, code in zip(self.branches, parts, codes, strict=True)
        ]
        return starts[0], starts[1]

    def codes(self, grid: tuple[int, int]) -> Codes:
        """Codes of both branches for a (rows, columns) grid."""
        codes = [None if branch is None else branch.codes(grid) for branch in self.branches]
        return codes[0], codes[1]

    def forward(
        self,
        starts: Starts,
        coarse: Tensor,
        slices: Sequence[Projected],
        channels: Sequence[Projected],
        codes: Codes,
    ) -> Tensor:
        """One frame: prepared branches and coarse tokens [B, L, dim], memory items nearest first -> Z [B, L, dim]."""
        read = [
            branch(start, items, code)
            for branch, start, items, code in zip(self.branches, starts, (slices, channels), codes, strict=True)
            if branch is not None and start is not None and code is not None
        ]
        if not read:
            return coarse
        z: Tensor = self.out(sum(read[1:], read[0]))
        return z + coarse if self.residual else z
