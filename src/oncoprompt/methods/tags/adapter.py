"""What is trained around SAM's frozen blocks: spatial adapters, and alignment adapters that words supervise."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SpatialAdapter(nn.Module):
    """x + f(x) with f a bottleneck that looks at the 3 x 3 x 3 neighbours of a token (3DSAM-adapter, arXiv 2306.13465).

    zero: f ends in a linear layer of zeros, so that SAM starts undisturbed; without it f ends in a ReLU, as published.
    """

    def __init__(self, width: int, inner: int, zero: bool = False) -> None:
        super().__init__()
        self.zero = zero
        self.down = nn.Linear(width, inner)
        self.neighbours = nn.Conv3d(inner, inner, 3, padding=1, groups=inner)
        self.up = nn.Linear(inner, width)
        if zero:
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, d, h, w, width] -> the same shape."""
        inner = functional.relu(self.down(x)).movedim(-1, 1)
        inner = functional.relu(self.neighbours(inner)).movedim(1, -1)
        change: Tensor = self.up(inner)
        return x + (change if self.zero else functional.relu(change))


class AlignmentAdapter(nn.Module):
    """a = LeakyReLU(A x), which the loss draws to the text, and x + g (a - x), which the next block sees.

    blend: the share g; None for a trained one that starts at 0.
    """

    def __init__(self, width: int, blend: float | None = 0.2) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        self.blend = nn.Parameter(torch.zeros(())) if blend is None else blend

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [..., width] -> the blended ones and a, both of the same shape."""
        aligned = functional.leaky_relu(self.linear(x))
        return x + self.blend * (aligned - x), aligned
