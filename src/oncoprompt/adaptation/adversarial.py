"""Adversarial adaptation: features and predictions from which a discriminator cannot tell synthetic from real."""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

PEAK_STRENGTH = 0.1


class _Reversal(torch.autograd.Function):
    """Identity forwards, the gradient times -strength backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """x itself; its gradient is multiplied by ``-strength`` (DANN, arXiv 1505.07818)."""
    return cast(Tensor, _Reversal.apply(x, strength))  # type: ignore[no-untyped-call]


def reversal_strength(progress: float, peak: float = PEAK_STRENGTH) -> float:
    """``peak * (2 / (1 + exp(-10 p)) - 1)`` for progress p in [0, 1]: none at first, so that features settle."""
    return peak * (2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0)


class DomainClassifier(nn.Module):
    """Synthetic or real, from features averaged over space: C -> 256 -> 64 -> 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, 256), nn.LeakyReLU(0.2), nn.Linear(256, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """features ``[B, C, ...]`` -> logits ``[B]`` of being synthetic."""
        out: Tensor = self.layers(features.flatten(2).mean(2))
        return out[:, 0]


class OutputDiscriminator(nn.Module):
    """Synthetic or real, for patches of class probabilities and their entropy (ADVENT, arXiv 1811.12833)."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        # No norm and kernels of 3: a region may be a single voxel thick after three halvings.
        self.layers = nn.Sequential(
            nn.Conv3d(classes + 1, width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(width, 2 * width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(4 * width, 1, 3, padding=1),
        )

    def forward(self, probabilities: Tensor) -> Tensor:
        """probabilities ``[B, K, D, H, W]`` -> logits of being synthetic ``[B, 1, d, h, w]``, one an 8-voxel patch."""
        out: Tensor = self.layers(torch.cat([probabilities, entropy_map(probabilities)], dim=1))
        return out


def entropy_map(probabilities: Tensor) -> Tensor:
    """``-sum_k p_k log p_k / log K``, 0 (certain) to 1, ``[B, 1, ...]`` of probabilities ``[B, K, ...]``."""
    terms: Tensor = torch.special.entr(probabilities.clamp_min(1e-8))
    return terms.sum(dim=1, keepdim=True) / math.log(probabilities.shape[1])


@dataclass(frozen=True)
class AdversaryLoss:
    """total: what the discriminators minimise and the network, by reversal, maximises; accuracy of the features'."""

    total: Tensor
    accuracy: float


class DomainAdversary(nn.Module):
    """Both discriminators behind a gradient reversal: one backward pass trains them and works against them."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.of_features = DomainClassifier(channels)
        self.of_outputs = OutputDiscriminator(classes)

    def forward(
        self, features: tuple[Tensor, Tensor], probabilities: tuple[Tensor, Tensor], strength: float
    ) -> AdversaryLoss:
        """Cross-entropy of telling (synthetic, real) apart, on features ``[B, C, ...]`` and class probabilities."""
        losses: list[Tensor] = []
        right: list[Tensor] = []
        for of_domain, truth in zip(range(2), (1.0, 0.0), strict=True):
            by_features = self.of_features(reverse_gradient(features[of_domain], strength))
            by_outputs = self.of_outputs(reverse_gradient(probabilities[of_domain], strength))
            right.append(((by_features > 0) == (truth > 0.5)).float())
            losses += [_told(by_features, truth), _told(by_outputs, truth)]
        return AdversaryLoss(torch.stack(losses).sum() / 2, float(torch.cat(right).mean()))


def _told(logits: Tensor, truth: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
