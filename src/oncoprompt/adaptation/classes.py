"""Nested regions (WT, TC, ET) as mutually exclusive classes: background, oedema, non-enhancing core, enhancing."""

import torch
from torch import Tensor

CLASSES = 4
"""Number of classes: 0 background, 1 WT outside TC, 2 TC outside ET, 3 ET."""


def class_probabilities(logits: Tensor) -> Tensor:
    """Region logits ``[B, 3, ...]`` (WT, TC, ET) -> class probabilities ``[B, 4, ...]`` that sum to 1."""
    whole, core, enhancing = torch.sigmoid(logits).unbind(1)
    core = torch.minimum(core, whole)
    enhancing = torch.minimum(enhancing, core)
    return torch.stack([1 - whole, whole - core, core - enhancing, enhancing], dim=1)


def region_classes(regions: Tensor) -> Tensor:
    """Nested region masks ``[B, 3, ...]`` -> class numbers ``[B, ...]`` (int64)."""
    return (regions > 0.5).sum(dim=1)
