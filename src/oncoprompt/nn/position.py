"""Fixed and random-Fourier position codes of image grids."""

import math

import torch
from torch import Tensor, nn


def sine_position(grid: tuple[int, int], dim: int, like: Tensor, temperature: float = 1e4) -> Tensor:
    """Normalised sine code [rows * columns, dim] of DETR (arXiv 2005.12872): first half rows, second half columns."""
    rows, columns = grid
    half = dim // 2
    exponent = 2 * torch.div(torch.arange(half, device=like.device), 2, rounding_mode="floor") / half
    frequency = temperature**exponent

    def encode(count: int) -> Tensor:
        place = torch.arange(1, count + 1, device=like.device, dtype=torch.float32) / (count + 1e-6) * 2 * math.pi
        angle = place[:, None] / frequency
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=-1).flatten(1)

    row = encode(rows)[:, None].expand(rows, columns, half)
    column = encode(columns)[None].expand(rows, columns, half)
    return torch.cat([row, column], dim=-1).reshape(rows * columns, dim).to(like.dtype)


class FourierPosition(nn.Module):
    """Random-Fourier position code of a grid (arXiv 2006.10739), as SAM's dense positional encoding."""

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("frequencies", torch.randn(2, dim // 2, generator=generator))

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """Code [rows * columns, dim] of the token centres."""
        rows, columns = grid
        device, dtype = self.frequencies.device, self.frequencies.dtype
        y = (torch.arange(rows, device=device, dtype=dtype) + 0.5) / rows
        x = (torch.arange(columns, device=device, dtype=dtype) + 0.5) / columns
        places = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1)
        angle = 2 * math.pi * ((2 * places - 1) @ self.frequencies)
        return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(0, 1)
