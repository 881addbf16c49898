"""Cubes of tokens that attend to one another, and who may attend to whom in them."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

_FOLDED = "b (d x) (h y) (w z) c"
_WINDOWS = "(b d h w) (x y z) c"


class Windows:
    """Windows of side^3 tokens over a grid (d, h, w), padded at its ends where they do not fit.

    shifted: the grid is rolled by half a window first, along each axis that has more than one window (Swin, arXiv
    2103.14030).
    """

    def __init__(self, grid: tuple[int, int, int], side: int, shifted: bool) -> None:
        self.grid = grid
        self.side = side
        self.counts = tuple(-(-tokens // side) for tokens in grid)
        self.shifts = tuple(side // 2 if shifted and count > 1 else 0 for count in self.counts)

    def split(self, x: Tensor) -> Tensor:
        """Tokens [B, d, h, w, C] -> windows [B * windows, side^3, C]."""
        ends = [count * self.side - tokens for count, tokens in zip(self.counts, self.grid, strict=True)]
        x = functional.pad(x, (0, 0, 0, ends[2], 0, ends[1], 0, ends[0]))
        return self._cut(self._rolled(x, -1))

    def join(self, windows: Tensor) -> Tensor:
        """Windows [B * windows, side^3, C] -> tokens [B, d, h, w, C]."""
        d, h, w = self.counts
        side = {"x": self.side, "y": self.side, "z": self.side}
        x = rearrange(windows, f"{_WINDOWS} -> {_FOLDED}", d=d, h=h, w=w, **side)
        depth, height, width = self.grid
        return self._rolled(x, 1)[:, :depth, :height, :width]

    def mask(self, device: torch.device) -> Tensor | None:
        """[windows, side^3, side^3], true where a token may attend to another; None where all may.

        Tokens that only the roll has made neighbours may not, nor may those of the grid attend to the padding.
        """
        if self.shifts == (0, 0, 0) and all(n % self.side == 0 for n in self.grid):
            return None
        part = torch.zeros((), dtype=torch.int64, device=device)
        for tokens, count, shift in zip(self.grid, self.counts, self.shifts, strict=True):
            place = torch.arange(count * self.side, device=device)
            part = 3 * part[..., None] + (place < shift) + 2 * (place >= tokens)
        labels = self._cut(self._rolled(part[None, ..., None], -1))
        return labels == labels.transpose(1, 2)

    def _rolled(self, x: Tensor, sign: int) -> Tensor:
        return x.roll([sign * shift for shift in self.shifts], (1, 2, 3)) if any(self.shifts) else x

    def _cut(self, x: Tensor) -> Tensor:
        return rearrange(x, f"{_FOLDED} -> {_WINDOWS}", x=self.side, y=self.side, z=self.side)
