"""Multi-head attention whose projections can be used apart, so that keys and values can be cached."""

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention; queries [N, L, dim], keys and values [N, S, key_dim].

    inner: width inside the heads (SAM's "attention down-sampling" makes it smaller than dim).
    """

    def __init__(self, dim: int, heads: int, key_dim: int | None = None, inner: int | None = None) -> None:
        super().__init__()
        inner = inner or dim
        key_dim = key_dim or dim
        self.heads = heads
        self.head_dim = inner // heads
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(key_dim, inner)
        self.v_proj = nn.Linear(key_dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def split(self, x: Tensor) -> Tensor:
        """[N, L, inner] -> [N, heads, L, head_dim]."""
        return x.view(*x.shape[:2], self.heads, self.head_dim).transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of projected, split heads, projected back: [N, L, dim]."""
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Plain attention without rotation."""
        return self.attend(self.split(self.q_proj(query)), self.split(self.k_proj(key)), self.split(self.v_proj(value)))
