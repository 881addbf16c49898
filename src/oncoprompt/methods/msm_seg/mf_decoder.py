"""MF-Decoder: a query token for each channel role, a shared pixel decoder and one head a region."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg.config import ROLES, DecoderConfig, Step, role_index
from oncoprompt.nn.conv import PointwiseConv
from oncoprompt.nn.mlp import MLP
from oncoprompt.nn.norm import ChannelLayerNorm
from oncoprompt.nn.position import FourierPosition
from oncoprompt.nn.two_way import TwoWayTransformer

REGIONS = 3


def nest(logits: Tensor) -> Tensor:
    """Raw logits [B, 3, ...] (WT, TC, ET) -> nested: each region is the minimum of itself and the one around it."""
    whole, core, enhancing = logits.unbind(1)
    core = whole - functional.relu(whole - core)
    return torch.stack([whole, core, core - functional.relu(core - enhancing)], dim=1)


def subvoxel_mean(packed: Tensor) -> Tensor:
    """[B, 3, s, d, h, w] -> mean logits of every fine position [B, 3, d, h, w]."""
    return packed.mean(2) if packed.shape[2] > 1 else packed.squeeze(2)


def unpack(packed: Tensor, step: Step) -> Tensor:
    """Sub-voxel logits [B, 3, s, d, h, w], s = product of step -> [B, 3, d * step, ...] (3-D pixel shuffle)."""
    b, c, _, d, h, w = packed.shape
    i, j, k = step
    split = packed.reshape(b, c, i, j, k, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return split.reshape(b, c, d * i, h * j, w * k)


class MFDecoder(nn.Module):
    """Y_{t,m} = P_pd(H) (x) P_mlp(E_{t,m}) with E the token of the channel's role (Eq. 8).

    Three heads shared by the channels give WT, TC and ET; every fine position is split into `subvoxels`. The weights'
    constant part (the bias of a head's last layer) makes a direct path from the fine features to the logits.
    """

    def __init__(
        self, dim: int, middle_dim: int, fine_dim: int, step: Step, config: DecoderConfig, guidance: bool = True
    ) -> None:
        super().__init__()
        w1, w2 = config.widths
        roles = len(ROLES) if config.by_role else 1
        self.by_role = config.by_role
        self.subvoxels = config.subvoxels[0] * config.subvoxels[1] * config.subvoxels[2]
        self.role_tokens = nn.Parameter(torch.randn(roles, dim))
        self.extra_tokens = nn.Parameter(torch.randn(config.extra_tokens, dim))
        self.position = FourierPosition(dim)
        self.transformer = TwoWayTransformer(config.depth, dim, config.heads, config.mlp_dim)
        self.up_middle = nn.ConvTranspose3d(dim, w1, step, stride=step)
        self.from_middle = nn.Identity() if middle_dim == w1 else PointwiseConv(middle_dim, w1)
        self.norm = ChannelLayerNorm(w1, eps=1e-6)
        self.up_fine = nn.ConvTranspose3d(w1, w2, step, stride=step)
        self.from_fine = nn.Identity() if fine_dim == w2 else PointwiseConv(fine_dim, w2)
        self.from_guidance = PointwiseConv(1, w2, bias=False) if config.guided and guidance else None
        detail = torch.randn(roles, w2, self.subvoxels) / self.subvoxels
        self.from_detail = nn.Parameter(detail) if config.guided else None
        self.activation = nn.GELU() if config.gelu else nn.ReLU()
        heads = [MLP((dim, dim, dim, w2 * self.subvoxels)) for _ in range(REGIONS)]
        self.heads = nn.ModuleList(heads)
        self.bias = nn.Parameter(torch.full((REGIONS * self.subvoxels,), -2.0))
        for head in heads:
            nn.init.normal_(head.last.bias, std=w2**-0.5)

    def place(self, grid: tuple[int, int]) -> Tensor:
        """Position code [rows * columns, dim] of the coarse grid."""
        code: Tensor = self.position(grid)
        return code

    def tokens(self, role: str, batch: int) -> Tensor:
        """Query token of a channel role followed by the extra tokens: [B, 1 + extra, dim]."""
        own = self.role_tokens[self._index(role)].unsqueeze(0)
        return torch.cat([own, self.extra_tokens]).expand(batch, -1, -1)

    def forward(
        self, h: Tensor, tokens: Tensor, place: Tensor, middle: Tensor, fine: Tensor, guidance: Tensor | None
    ) -> Tensor:
        """One frame: H [B, dim, 1, h, w], its tokens, middle and fine terms, guidance -> nested [B, 3, s, d, h, w]."""
        grid = h.shape[2:]
        tokens, image = self.transformer(tokens, h.flatten(2).transpose(1, 2), place)
        u = self.up_middle(image.transpose(1, 2).unflatten(2, grid)) + middle
        u = self.up_fine(self.activation(self.norm(u))) + fine
        if self.from_guidance is not None and guidance is not None:
            u = u + self.from_guidance(guidance)
        u = self.activation(u)
        token = tokens[:, 0]
        weights = torch.cat([head(token).unflatten(-1, (self.subvoxels, -1)) for head in self.heads], dim=1)
        logits = torch.baddbmm(self.bias.view(1, -1, 1), weights, u.flatten(2))
        return nest(logits.view(-1, REGIONS, self.subvoxels, *fine.shape[2:]))

    def add_detail(self, fine: Tensor, detail: Tensor, role: str) -> Tensor:
        """fine term [B, C, d, h, w] plus a role-specific projection of the channel's own voxels [B, s, d, h, w]."""
        if self.from_detail is None:
            return fine
        weight = self.from_detail[self._index(role)].expand(len(fine), -1, -1)
        return torch.baddbmm(fine.flatten(2), weight, detail.flatten(2)).view(fine.shape)

    def _index(self, role: str) -> int:
        return role_index(role) if self.by_role else 0

    def prepare_middle(self, middle: Tensor) -> Tensor:
        """middle skip [N, C, d, h, w] at the width of the pixel decoder."""
        out: Tensor = self.from_middle(middle)
        return out

    def prepare_fine(self, fine: Tensor) -> Tensor:
        """fine skip [N, C, d, h, w] at the width of the pixel decoder."""
        out: Tensor = self.from_fine(fine)
        return out


def resize_plane(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of the last two axes of [N, C, d, h, w]."""
    n, c, d = x.shape[:3]
    flat = functional.interpolate(x.flatten(1, 2), size=size, mode="bilinear", align_corners=False)
    return flat.view(n, c, d, *size)
