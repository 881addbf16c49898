"""The loss that draws tokens of a tumour towards the words for it, and the others towards those for a healthy organ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 100.0
_FOCUS = 2.0
_SMOOTH = 1e-5


def alignment_loss(alignments: Sequence[Tensor], text: Tensor, tumour: Tensor, double_softmax: bool = False) -> Tensor:
    """Sum over stages of 0.5 (focal + soft Dice) of p = softmax(100 cos(a, T)) against the mask of the tumour.

    alignments: tokens [B, C, d, h, w] of each stage; text: T, unit columns [C, 2], healthy and tumour; tumour:
    [B, 1, D, H, W] of 0 and 1. The maps are brought to D, H, W before the softmax. Focal loss has gamma 2 and is the
    mean over voxels; Dice is that of the tumour. With `double_softmax` the focal loss gets softmax(p) as in the
    released code, and cannot fall below 0.0227. No alignments: 0.
    """
    total = tumour.new_zeros((), dtype=torch.float32)
    for tokens in alignments:
        logits = similarity(tokens, text)
        logits = functional.interpolate(logits, tumour.shape[2:], mode="trilinear", align_corners=True)
        shares = logits.softmax(dim=1)
        focal = focal_loss(shares.softmax(dim=1) if double_softmax else shares, tumour)
        total = total + 0.5 * (focal + soft_dice_loss(shares[:, 1:], tumour))
    return total


def similarity(tokens: Tensor, text: Tensor) -> Tensor:
    """100 cos(a, T) [B, 2, d, h, w] of tokens [B, C, d, h, w] and unit columns [C, 2], in single precision."""
    with torch.autocast(tokens.device.type, enabled=False):
        units = functional.normalize(tokens.float(), dim=1, eps=1e-6)
        return TEMPERATURE * torch.einsum("bcdhw,ck->bkdhw", units, text.float())


def focal_loss(shares: Tensor, tumour: Tensor) -> Tensor:
    """Mean of -(1 - p)^2 log p, p the share [B, 2, D, H, W] given to the true class of a voxel."""
    true = torch.where(tumour > 0.5, shares[:, 1:], shares[:, :1])
    # the smoothing of the label keeps the logarithm finite
    true = true.float() * (1.0 - 2.0 * _SMOOTH) + 2.0 * _SMOOTH
    return (-((1.0 - true) ** _FOCUS) * true.log()).mean()


def soft_dice_loss(shares: Tensor, tumour: Tensor) -> Tensor:
    """Mean over the batch of 1 - (2 sum(p m) + s) / (sum(p) + sum(m) + s) for shares and masks [B, 1, D, H, W]."""
    p, m = shares.float().flatten(1), tumour.float().flatten(1)
    return (1.0 - (2.0 * (p * m).sum(1) + _SMOOTH) / (p.sum(1) + m.sum(1) + _SMOOTH)).mean()
