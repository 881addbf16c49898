"""SAM's attention in cubes of tokens, with decomposed relative positions along three axes."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class WindowAttention(nn.Module):
    """Multi-head attention inside windows [N, window^3, width]; SAM's weights frozen, the table of the depth trained.

    logit(i, j) = q_i . k_j / sqrt(c) + s (q_i . D[d_i - d_j] + q_i . H[h_i - h_j] + q_i . W[w_i - w_j]), with the
    tables D, H, W of ``table`` entries interpolated to 2 window - 1 and s = 1 (SAM, arXiv 2304.02643; MViTv2, arXiv
    2112.01526).
    """

    def __init__(self, width: int, heads: int, window: int, table: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.qkv = nn.Linear(width, 3 * width).requires_grad_(False)
        self.proj = nn.Linear(width, width).requires_grad_(False)
        self.rel_pos_h = nn.Parameter(torch.empty(table, width // heads), requires_grad=False)
        self.rel_pos_w = nn.Parameter(torch.empty(table, width // heads), requires_grad=False)
        self.rel_pos_d = nn.Parameter(torch.empty(table, width // heads))
        self.position_scale = nn.Parameter(torch.ones(()), requires_grad=False)
        nn.init.trunc_normal_(self.rel_pos_h, std=0.02)
        nn.init.trunc_normal_(self.rel_pos_w, std=0.02)
        self.start_depth()

    @torch.no_grad()
    def start_depth(self) -> None:
        """Let the table of the depth be the mean of those of the plane."""
        self.rel_pos_d.copy_((self.rel_pos_h + self.rel_pos_w) / 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Windows [N, window^3, width] -> the same; mask [N, window^3, window^3] is true where attention is allowed."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # q . T[i - j] is a product of as many terms as a window has places with a key's place in one-hot form: the bias
        # then is a part of the dot product, and never exists as a whole (768 MiB for a crop of 128^3).
        terms = self.position_terms(query)
        places = one_hot_places(self.window, key).expand(*key.shape[:3], -1)
        channels = query.shape[3]
        mixed = functional.scaled_dot_product_attention(
            torch.cat([query * channels**-0.5, terms.to(query.dtype)], 3),
            torch.cat([key, places], 3),
            # the fused kernels want values as wide as keys
            functional.pad(value, (0, places.shape[3])),
            attn_mask=None if mask is None else mask[:, None],
            scale=1.0,
        )
        out: Tensor = self.proj(mixed[..., :channels].transpose(1, 2).flatten(2))
        return out

    def position_terms(self, query: Tensor) -> Tensor:
        """Query [N, heads, window^3, c] -> its bias for a key's place along d, h, w [N, heads, window^3, 3 window]."""
        cube = query.unflatten(2, (self.window,) * 3)
        depth, height, width = (self.offsets(table) for table in (self.rel_pos_d, self.rel_pos_h, self.rel_pos_w))
        terms = [
            torch.einsum("nmxyzc,xkc->nmxyzk", cube, depth),
            torch.einsum("nmxyzc,ykc->nmxyzk", cube, height),
            torch.einsum("nmxyzc,zkc->nmxyzk", cube, width),
        ]
        return self.position_scale * torch.cat(terms, -1).flatten(2, 4)

    def offsets(self, table: Tensor) -> Tensor:
        """A table of any length -> [window, window, c]: its entry for a query's place and a key's."""
        length = 2 * self.window - 1
        if len(table) != length:
            table = functional.interpolate(table.T[None], length, mode="linear")[0].T
        place = torch.arange(self.window, device=table.device)
        return table[place[:, None] - place + self.window - 1]


def one_hot_places(window: int, like: Tensor) -> Tensor:
    """[window^3, 3 window]: the place of each token of a window along d, h and w, one-hot."""
    single = torch.eye(window, dtype=like.dtype, device=like.device)
    cube = (window,) * 3
    axes = single[:, None, None], single[None, :, None], single[None, None]
    return torch.cat([axis.expand(*cube, window) for axis in axes], -1).flatten(0, 2)
