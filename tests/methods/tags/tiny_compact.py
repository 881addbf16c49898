"""A small TAGS compact that was never trained but hears words, and studies to ask it about."""

import numpy as np
import torch

from oncoprompt.geometry import Grid
from oncoprompt.methods.tags.compact import CompactTags, CompactTagsConfig
from oncoprompt.study import Study

OPTIONS = {"widths": (8, 8, 8, 8), "words": 8}
SHAPE = (30, 26, 20)
LESION = (slice(8, 18), slice(9, 20), slice(6, 15))
BOX = [[8, 18], [9, 20], [6, 15]]


def tiny_compact(bias: float = 0.0) -> CompactTags:
    """Weights drawn from a seed; logits lie about ``bias``."""
    torch.manual_seed(0)
    network = CompactTags(CompactTagsConfig(**OPTIONS))
    for adapter in network.adapters:
        torch.nn.init.normal_(adapter.blend.weight)
    torch.nn.init.normal_(network.prompt_stem, std=0.1)
    torch.nn.init.constant_(network.head.bias, bias)
    return network


def study_of(*channels: str, spacing_mm: float = 3.0) -> Study:
    """A bright block in noise; as "ct" soft tissue in air."""
    rng = np.random.default_rng(1)
    images = {}
    for name in channels:
        image = rng.normal(100, 10, SHAPE).astype(np.float32)
        image[LESION] += 80
        if name == "ct":
            image = image - 80
        image[:3] = -1000.0 if name == "ct" else 0.0
        images[name] = image
    return Study(images, Grid(SHAPE, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])))
