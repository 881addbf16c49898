"""Axial rotary position codes on a two-dimensional token grid, real-valued."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AxialRope:
    """Rotation of channel pairs by an angle that grows with the token's column (first half) and row (second half).

    Attention scores between rotated queries and keys depend only on the displacement of their tokens
    (RoFormer, arXiv 2104.09864; axial form of SAM 2, arXiv 2408.00714).

    cosine, sine: [rows * columns, dim]; the sine carries the sign of the rotation.
    """

    cosine: Tensor
    sine: Tensor

    @classmethod
    def build(cls, grid: tuple[int, int], dim: int, like: Tensor, theta: float = 1e4) -> "AxialRope":
        """Codes for a (rows, columns) grid and a head width `dim` (a multiple of 4), on `like`'s device and dtype."""
        rows, columns = grid
        frequencies = theta ** (-torch.arange(0, dim, 4, device=like.device, dtype=torch.float32) / dim)
        index = torch.arange(rows * columns, device=like.device)
        by_column = torch.outer((index % columns).float(), frequencies)
        by_row = torch.outer(torch.div(index, columns, rounding_mode="floor").float(), frequencies)
        angle = torch.cat([by_column, by_row], dim=-1)
        cosine = angle.cos().repeat_interleave(2, dim=-1)
        sine = torch.stack([-angle.sin(), angle.sin()], dim=-1).flatten(-2)
        return cls(cosine.to(like.dtype), sine.to(like.dtype))

    def rotate(self, x: Tensor) -> Tensor:
        """Rotate [..., tokens, dim]; neighbouring channels (2i, 2i + 1) form a pair."""
        swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return torch.addcmul(x * self.cosine, swapped, self.sine)
