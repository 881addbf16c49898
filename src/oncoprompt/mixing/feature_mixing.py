"""Implicit mixing of features inside a network: what one sample shows may complete or perturb what another shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from oncoprompt.errors import InputError

OCTAVES = 6
GATE_BIAS = 2.0
_CODE = 2 * OCTAVES * 4


class LabelMode(StrEnum):
    """What a sample's target becomes when its features are mixed.

    complementary: the partner is the same patient, the target stays; mixing: the partner is anybody, soft labels are
    mixed in the same proportion; none: there is no partner.
    """

    complementary = "complementary"
    mixing = "mixing"
    none = "none"


@dataclass(frozen=True)
class Partners:
    """With whom each of B samples is mixed, and how.

    ``index`` ``[B]`` is the partner's place in the batch, or the sample's own for none. ``position`` ``[B, 3]`` is the
    centre of the patch in normalised head coordinates in [-1, 1], ``years`` ``[B]`` the time from the sample to its
    partner. ``share`` ``[B]`` is the sample's own share lambda in mode mixing.
    """

    mode: LabelMode
    index: Tensor
    position: Tensor
    years: Tensor
    share: Tensor

    @staticmethod
    def random(
        mode: LabelMode,
        batch: int,
        rng: np.random.Generator,
        *,
        index: Tensor | None = None,
        position: Tensor | None = None,
        years: Tensor | None = None,
        dropout: float = 0.5,
        concentration: float = 0.4,
    ) -> Partners:
        """Draw partners for a batch; each sample keeps to itself with probability ``dropout``.

        ``index`` names the partners; mode complementary needs it, mode mixing takes the next sample of a random order
        without it. The own share is lambda ~ Beta(a, a), a = ``concentration``.
        """
        itself = torch.arange(batch)
        if index is None:
            if mode is LabelMode.complementary:
                raise InputError("Mode complementary needs index: which sample of the batch is the same patient.")
            order = rng.permutation(batch)
            index = torch.empty(batch, dtype=torch.long)
            index[order] = torch.from_numpy(np.roll(order, 1))
        if index.shape != (batch,) or not bool(((index >= 0) & (index < batch)).all()):
            raise InputError(f"index must hold {batch} places in the batch, 0 to {batch - 1}; found {index.tolist()}.")
        keep = torch.from_numpy(rng.random(batch) < dropout)
        share = torch.from_numpy(rng.beta(concentration, concentration, batch)).float()
        index = itself if mode is LabelMode.none else torch.where(keep, itself, index.cpu())
        return Partners(
            mode,
            index,
            torch.zeros(batch, 3) if position is None else position,
            torch.zeros(batch) if years is None else years,
            torch.where(index == itself, 1.0, share),
        )

    def targets(self, labels: Tensor) -> Tensor:
        """Soft targets ``[B, R, ...]`` that go with mixed features: lambda Y_i + (1 - lambda) Y_j in mode mixing."""
        if self.mode is not LabelMode.mixing:
            return labels
        share = self.share.to(labels.device).view(-1, *[1] * (labels.ndim - 1))
        return share * labels + (1 - share) * labels[self.index]


class FeatureMixer(nn.Module):
    """f~_i = a phi(f_i) + (1 - a) T phi(f_j) for features ``[B, C, D, H, W]``.

    phi(f) = f + W2 GELU(GN(W1 f)) with W2 zero at first; T is the identity or, with ``align``, a flow on the feature
    grid that is zero at first; the gate a = sigmoid(W4 GELU(W3 [phi(f_i), T phi(f_j), gamma]) + b) starts near 1, with
    b = 2, and is lambda in mode mixing. gamma codes position and time. A sample without partner gives phi(f_i).
    """

    def __init__(self, channels: int, align: bool = False) -> None:
        super().__init__()
        self.widen = nn.Conv3d(channels, 2 * channels, 1)
        self.norm = nn.GroupNorm(math.gcd(8, 2 * channels), 2 * channels)
        self.narrow = nn.Conv3d(2 * channels, channels, 1)
        self.code = nn.Sequential(nn.Linear(_CODE, 64), nn.GELU(), nn.Linear(64, channels))
        self.compare = nn.Conv3d(3 * channels, channels, 1)
        self.gate = nn.Conv3d(channels, 1, 1)
        self.flow = FlowHead(channels) if align else None
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(cast(Tensor, self.narrow.bias))
        nn.init.constant_(cast(Tensor, self.gate.bias), GATE_BIAS)

    def mapped(self, features: Tensor) -> Tensor:
        """phi(f)."""
        out: Tensor = features + self.narrow(F.gelu(self.norm(self.widen(features))))
        return out

    def forward(self, features: Tensor, partners: Partners | None = None) -> Tensor:
        """[B, C, D, H, W] -> same; without ``partners`` every sample is on its own."""
        own = self.mapped(features)
        if partners is None or partners.mode is LabelMode.none:
            return own
        if len(partners.index) != len(features):
            raise InputError(f"There are partners for {len(partners.index)} samples but {len(features)} samples.")
        index = partners.index.to(own.device)
        other = own[index]
        alone = index == torch.arange(len(own), device=own.device)
        if self.flow is not None:
            other = torch.where(_wide(alone), other, self.flow(own, other))
        if partners.mode is LabelMode.mixing:
            share = _wide(partners.share.to(own))
        else:
            code = _wide(self.code(position_time_code(partners.position.to(own), partners.years.to(own))))
            code = code.expand(-1, -1, *own.shape[2:])
            share = torch.sigmoid(self.gate(F.gelu(self.compare(torch.cat([own, other, code], dim=1)))))
        return torch.where(_wide(alone), own, share * own + (1 - share) * other)


class FlowHead(nn.Module):
    """Features of one sample moved into the frame of another by a flow of two convolutions, zero at first."""

    def __init__(self, channels: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(2 * channels, width, 3, padding=1), nn.GELU(), nn.Conv3d(width, 3, 3, padding=1)
        )
        nn.init.zeros_(cast(nn.Conv3d, self.layers[2]).weight)
        nn.init.zeros_(cast(Tensor, cast(nn.Conv3d, self.layers[2]).bias))

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """own, other [B, C, D, H, W] -> other, moved; the flow is in half extents of the grid."""
        flow = self.layers(torch.cat([own, other], dim=1)).permute(0, 2, 3, 4, 1)
        still = F.affine_grid(torch.eye(3, 4, device=own.device).expand(len(own), 3, 4), list(own.shape), False)
        return F.grid_sample(other, still + flow, padding_mode="border", align_corners=False)


class FeatureMixing:
    """Puts a FeatureMixer after a stage of any encoder; the encoder itself is not changed.

    The stage must return features ``[B, C, D, H, W]``. While ``partners`` is None, and after `detach`, it returns what
    it always returned: no parameters, no cost. A network whose loss includes that path can be used without the mixer;
    one that keeps its mixer is used with partners of mode none.

    ``features`` is what the stage itself returned last. ``others`` are features of further samples, which count as the
    last of the batch: partners that were encoded on their own, because they have other channels.

    >>> mixing = FeatureMixing(backbone.block8, FeatureMixer(96))
    >>> mixing.partners = Partners.random(LabelMode.mixing, batch, rng)
    """

    def __init__(self, stage: nn.Module, mixer: FeatureMixer) -> None:
        self.mixer = mixer
        self.partners: Partners | None = None
        self.features: Tensor | None = None
        self.others: Tensor | None = None
        self._handle: RemovableHandle = stage.register_forward_hook(self._mix)

    def detach(self) -> None:
        """Take the mixer out of the encoder."""
        self._handle.remove()

    def _mix(self, _stage: nn.Module, _inputs: tuple[Tensor, ...], features: Tensor) -> Tensor | None:
        self.features = features
        if self.partners is None:
            return None
        batch = features if self.others is None else torch.cat([features, self.others])
        return cast(Tensor, self.mixer(batch, self.partners))[: len(features)]


def position_time_code(position: Tensor, years: Tensor) -> Tensor:
    """gamma: sin(2^k pi z), cos(2^k pi z), k = 0..5, of position ``[B, 3]`` and time ``[B]`` -> ``[B, 48]``."""
    z = torch.cat([position, years[:, None]], dim=1)
    angles = (z[:, :, None] * (math.pi * 2.0 ** torch.arange(OCTAVES, device=z.device))).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def consistency_loss(mixed_logits: Tensor, logits: Tensor) -> Tensor:
    """Mean KL(p~ || p) of independent regions ``[B, R, ...]``: what mixed features say against what a sample says."""
    mixed = mixed_logits.sigmoid()
    yes = mixed * (F.logsigmoid(mixed_logits) - F.logsigmoid(logits))
    no = (1 - mixed) * (F.logsigmoid(-mixed_logits) - F.logsigmoid(-logits))
    return (yes + no).mean()


def noise_contrastive_loss(features: Tensor, partner_features: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE between averaged features ``[B, C, ...]``: row i of both is the same patient, other rows are others."""
    first, second = (F.normalize(f.flatten(2).mean(2), dim=1) for f in (features, partner_features))
    likeness = first @ second.T / temperature
    return F.cross_entropy(likeness, torch.arange(len(first), device=first.device))


def _wide(values: Tensor) -> Tensor:
    """[B] or [B, C] -> [B, C or 1, 1, 1, 1]."""
    return values.reshape(len(values), -1, 1, 1, 1)
