"""The loss of masks drawn on slices: Dice and cross-entropy, unweighted, as MedSAM's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class SliceLoss:
    """A scalar to minimise and its parts."""

    total: Tensor
    parts: Mapping[str, float]


def mask_loss(logits: Tensor, masks: Tensor) -> SliceLoss:
    """Loss of logits [B, 1, H, W] against masks of 0 and 1 of the same shape.

    mean_b(1 - (2 sum(p m) + s) / (sum(p^2) + sum(m^2) + s)) + BCE(logits, m), p = sigmoid(logits), s = 1e-5. Source:
    MedSAM, Nature Communications 15:654 (2024).
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, masks)
    shares, truth = torch.sigmoid(logits).flatten(1), masks.flatten(1)
    overlap = 2 * (shares * truth).sum(1) + _SMOOTH
    dice = (1 - overlap / (shares.square().sum(1) + truth.square().sum(1) + _SMOOTH)).mean()
    return SliceLoss(dice + cross_entropy, {"dice": float(dice.detach()), "bce": float(cross_entropy.detach())})


_SMOOTH = 1e-5
