"""TAGS' prompt encoder: the last stage's features learn what clicks, a box and words point at."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.tensors import PADDING, POSITIVE, TagsPrompt
from oncoprompt.nn.attention import Attention
from oncoprompt.nn.mlp import MLP

LAYERS, QUERIES, HEADS = 2, 10, 8
_MLP_RATIO = 8


def sample_at(features: Tensor, points: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Features [B, C, d, h, w] at points [B, N, 3] in voxels (d, h, w) of a crop of `shape`: [B, N, C], trilinear.

    A voxel's middle is a whole number, and both grids share their outer faces; points beyond take the border's value.
    """
    grid = 2 * _share(points, shape) - 1
    found = functional.grid_sample(
        features, grid.flip(-1)[:, :, None, None].to(features.dtype), padding_mode="border", align_corners=False
    )
    return found[..., 0, 0].transpose(1, 2)


def _share(points: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Points in voxels (d, h, w) as shares of the crop's sides, 0 and 1 on its faces."""
    return (points + 0.5) / points.new_tensor(shape)


class PromptLayer(nn.Module):
    """Queries gather what the prompts say, and the image reads the queries.

    T = LN(T + LN(self-attention(T))) over queries and prompt tokens, Q = LN(Q + MLP(Q)), X = LN(X + attention(X, Q)).
    `idle`: holds the attention of tokens to the image that the released code allocates and never uses (131,712
    parameters at 256 features), so that its size agrees.
    """

    def __init__(self, features: int, idle: bool) -> None:
        super().__init__()
        self.queries = nn.Parameter(0.1 * torch.randn(1, QUERIES, features))
        self.self_attention = Attention(features, HEADS)
        self.norm_attended = nn.LayerNorm(features)
        self.norm_tokens = nn.LayerNorm(features)
        self.mlp = MLP((features, _MLP_RATIO * features, features))
        self.norm_queries = nn.LayerNorm(features)
        self.image_to_queries = Attention(features, HEADS, inner=features // 2)
        self.norm_image = nn.LayerNorm(features)
        self.idle_attention = Attention(features, HEADS, inner=features // 2) if idle else None

    def forward(self, image: Tensor, tokens: Tensor, there: Tensor, position: Tensor | None) -> tuple[Tensor, Tensor]:
        """image [B, L, C], tokens [B, N, C], which of them are there [B, N], code [L, C] -> image and tokens."""
        asking = torch.cat([self.queries.expand(len(tokens), -1, -1), tokens], dim=1)
        asking = self.norm_tokens(asking + self.norm_attended(self._among(asking, there)))
        queries = asking[:, :QUERIES]
        queries = self.norm_queries(queries + self.mlp(queries))
        placed = image if position is None else image + position
        return self.norm_image(image + self.image_to_queries(placed, queries, queries)), asking[:, QUERIES:]

    def _among(self, asking: Tensor, there: Tensor) -> Tensor:
        """Self-attention in which tokens that are not there are not heard."""
        heard = functional.pad(there, (QUERIES, 0), value=True)[:, None, None]
        attention = self.self_attention
        query, key, value = (attention.split(p(asking)) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=heard)
        out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class PromptEncoder(nn.Module):
    """Two layers over the last stage's features.

    Published form (3,164,160 parameters, 263,424 of them idle): a click is the features sampled where it lies, without
    label or position; boxes and words are not read.
    With `labelled_clicks` positive and negative clicks and the two corners of a box have embeddings, and tokens and
    image a random-Fourier code of their position, without which a corner could not tell where the box ends. With
    `text_in_decoder` the vector of the organ with a tumour is a token: it holds kind and organ. Without any prompt
    there are the queries alone.
    """

    frequencies: Tensor

    def __init__(self, config: TagsConfig) -> None:
        super().__init__()
        features = config.features
        self.labelled = config.labelled_clicks
        self.layers = nn.ModuleList(PromptLayer(features, idle=not self.labelled) for _ in range(LAYERS))
        self.word = nn.Linear(config.width, features) if config.text_in_decoder else None
        if self.labelled:
            self.click_embedding = nn.Parameter(0.1 * torch.randn(2, features))
            self.corner_embedding = nn.Parameter(0.1 * torch.randn(2, features))
            generator = torch.Generator().manual_seed(0)
            self.register_buffer("frequencies", torch.randn(3, features // 2, generator=generator))

    def forward(self, features: Tensor, prompt: TagsPrompt, shape: tuple[int, int, int]) -> Tensor:
        """features [B, C, d, h, w] of a crop of `shape` -> the same size, told of the prompt.

        A click labelled PADDING, an empty box and a text of zeros stand for none in their item of the batch.
        """
        tokens, there = self._tokens(features, prompt, shape)
        image = features.flatten(2).transpose(1, 2)
        position = self._position(_centres(features)) if self.labelled else None
        for layer in self.layers:
            image, tokens = layer(image, tokens, there, position)
        return image.transpose(1, 2).reshape(features.shape)

    def _tokens(self, features: Tensor, prompt: TagsPrompt, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, C] of clicks, box corners and words, and which are there [B, N]."""
        clicks = self._points(features, prompt.clicks, shape)
        if self.labelled:
            positive = (prompt.labels == POSITIVE)[..., None]
            clicks = clicks + torch.where(positive, self.click_embedding[1], self.click_embedding[0])
        tokens, there = [clicks], [prompt.labels != PADDING]
        if self.labelled and prompt.box is not None:
            # The box is half-open from the crop's edge, clicks count from the middle of the first voxel.
            corners = prompt.box.transpose(1, 2) - 0.5
            tokens.append(self._points(features, corners, shape) + self.corner_embedding)
            there.append((prompt.box[..., 1] > prompt.box[..., 0]).all(1, keepdim=True).expand(-1, 2))
        if self.word is not None and prompt.text is not None:
            tokens.append(self.word(prompt.text[:, 1:]).to(clicks.dtype))
            there.append(prompt.text[:, 1:].any(-1))
        return torch.cat(tokens, dim=1), torch.cat(there, dim=1)

    def _points(self, features: Tensor, points: Tensor, shape: tuple[int, int, int]) -> Tensor:
        if points.shape[1] == 0:
            return features.new_zeros(len(features), 0, features.shape[1])
        content = sample_at(features, points, shape)
        return content + self._position(_share(points, shape)) if self.labelled else content

    def _position(self, share: Tensor) -> Tensor:
        """Random-Fourier code [..., C] (arXiv 2006.10739) of places [..., 3] in 0..1 of the crop."""
        angle = 2 * math.pi * ((2 * share - 1) @ self.frequencies)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _centres(features: Tensor) -> Tensor:
    """Centres [d h w, 3] of the tokens as shares of the crop."""
    lines = [(torch.arange(n, device=features.device, dtype=torch.float32) + 0.5) / n for n in features.shape[2:]]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).flatten(0, 2)
