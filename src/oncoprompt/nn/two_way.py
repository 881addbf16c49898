"""Two-way transformer of SAM's mask decoder: tokens read the image and the image reads the tokens."""

from torch import Tensor, nn

from oncoprompt.nn.attention import Attention
from oncoprompt.nn.mlp import MLP


class TwoWayBlock(nn.Module):
    """Token self-attention, token-to-image attention, MLP, image-to-token attention (SAM, arXiv 2304.02643, sec. A)."""

    def __init__(self, dim: int, heads: int, mlp_dim: int, inner: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.token_to_image = Attention(dim, heads, inner=inner)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP((dim, mlp_dim, dim))
        self.norm3 = nn.LayerNorm(dim)
        self.image_to_token = Attention(dim, heads, inner=inner)
        self.norm4 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [N, Q, dim], image [N, L, dim] and their position codes -> both, updated."""
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            query = tokens + token_pe
            tokens = self.norm1(tokens + self.self_attn(query, query, tokens))
        placed = image + image_pe
        tokens = self.norm2(tokens + self.token_to_image(tokens + token_pe, placed, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.image_to_token(placed, tokens + token_pe, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """`depth` two-way blocks and a last token-to-image attention."""

    def __init__(self, depth: int, dim: int, heads: int, mlp_dim: int, downsample: int = 2) -> None:
        super().__init__()
        inner = dim // downsample
        self.layers = nn.ModuleList(TwoWayBlock(dim, heads, mlp_dim, inner, first=i == 0) for i in range(depth))
        self.final_attn = Attention(dim, heads, inner=inner)
        self.norm_final = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [N, Q, dim], image [N, L, dim], image_pe [L, dim] -> both, updated."""
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        read = self.final_attn(tokens + token_pe, image + image_pe, image)
        return self.norm_final(tokens + read), image
