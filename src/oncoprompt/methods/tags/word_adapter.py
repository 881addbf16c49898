"""Where words meet features: TAGS' alignment adapter for the compact network."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.tags.vocabulary import HEALTHY
from oncoprompt.nn.conv import PointwiseConv

_FIRST_SCALE = 10.0


class WordAdapter(nn.Module):
    """a = LeakyReLU(W x); s = k (cos(a, asked) - cos(a, healthy)); y = x + V [a * asked, s], V zero at first.

    The difference s is the logit of TAGS' softmax over the two texts; it is trained to be the map of what is asked for.
    The scale k is learned.
    """

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.align = PointwiseConv(width, words, bias=False)
        self.scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))
        self.blend = PointwiseConv(words + 1, width)
        for parameter in self.blend.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, units: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, d, h, w], unit vectors [K, words] and the rows asked for [B] -> the same size, and k cos(a, units).

        The latter is [B, K, d, h, w].
        """
        aligned = functional.leaky_relu(self.align(x))
        length = aligned.norm(dim=1, keepdim=True).clamp_min(1e-4)
        cosines = functional.conv3d(aligned, units[:, :, None, None, None]) / length * self.scale.exp()
        told = torch.cat([aligned * units[asked][:, :, None, None, None], similarity(cosines, asked)], dim=1)
        out: Tensor = x + self.blend(told)
        return out, cosines


def similarity(cosines: Tensor, asked: Tensor) -> Tensor:
    """s [B, 1, d, h, w] of scaled cosines [B, K, d, h, w] and the rows asked for [B]."""
    rows = torch.arange(len(asked), device=asked.device)
    return (cosines[rows, asked] - cosines[:, HEALTHY])[:, None]
