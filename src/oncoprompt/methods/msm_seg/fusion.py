"""Adaptive fusion of the channels' predictions of one slice."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg.config import ROLES, FusionConfig, Step
from oncoprompt.methods.msm_seg.mf_decoder import nest, subvoxel_mean
from oncoprompt.nn.conv import PointwiseConv, plane_or_point


class MeanFusion(nn.Module):
    """Y_t = mean_m Y_{t,m}, which is nested as its terms are."""

    def forward(self, packed: Sequence[Tensor], z: Sequence[Tensor], roles: Tensor) -> Tensor:
        """M tensors [B, 3, s, d, h, w] -> [B, 3, s, d, h, w]; Z and roles are not looked at."""
        return torch.stack(list(packed)).mean(0)


class Fusion(nn.Module):
    """Y_t = sum_m w_m Y_{t,m}, w = softmax over the channels present, per voxel and region (Eq. 9).

    Every channel is scored by the same small network from its logits, Z_{t,m} and its role, so any number and order of
    channels is accepted; the scores start equal. The result is nested again, for the weights differ between regions.
    """

    def __init__(self, dim: int, step: Step, config: FusionConfig) -> None:
        super().__init__()
        self.scale = tuple(float(s * s) for s in step)
        self.role = nn.Parameter(torch.zeros(len(ROLES), config.hidden))
        self.from_logits = plane_or_point(3, config.hidden, step[0] ** 2, config.kernel)
        self.from_z = PointwiseConv(dim, config.hidden)
        self.score = PointwiseConv(config.hidden, 3)
        nn.init.normal_(self.score.weight, std=1e-2)

    def forward(self, packed: Sequence[Tensor], z: Sequence[Tensor], roles: Tensor) -> Tensor:
        """M tensors [B, 3, s, d, h, w] and M tensors Z [B, dim, 1, h', w'] -> fused, nested [B, 3, s, d, h, w]."""
        if len(packed) == 1:
            return packed[0]
        stack = torch.stack(list(packed), dim=1)
        b, m = stack.shape[:2]
        place = self.from_z(torch.stack(list(z), dim=1).flatten(0, 1)).unflatten(0, (b, m))
        place = place + self.role[roles].view(1, m, -1, 1, 1, 1)
        hidden = self.from_logits(subvoxel_mean(stack.flatten(0, 1)).detach() / 8)
        hidden = hidden + functional.interpolate(place.flatten(0, 1), scale_factor=self.scale)
        score = self.score(functional.relu(hidden)).unflatten(0, (b, m))
        weight = torch.softmax(score, dim=1).unsqueeze(3)
        return nest((weight * stack).sum(1))
