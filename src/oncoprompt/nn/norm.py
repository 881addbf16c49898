"""Normalisation of image-like tensors."""

from torch import Tensor, nn
from torch.nn import functional


class ChannelLayerNorm(nn.LayerNorm):
    """Layer normalisation over the channel axis of [N, C, ...] (SAM's LayerNorm2d in any number of dimensions)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every position's channel vector."""
        moved = x.movedim(1, -1)
        return functional.layer_norm(moved, self.normalized_shape, self.weight, self.bias, self.eps).movedim(-1, 1)
