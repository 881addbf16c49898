"""TAGS compact as a training run leaves it: weights beside their manifest."""

from pathlib import Path

import torch

from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg.checkpoint import load_own
from oncoprompt.methods.tags.compact import CompactTags, CompactTagsConfig
from oncoprompt.methods.tags.compact_method import CompactTagsMethod
from oncoprompt.methods.weight_files import read_own


def load_compact_tags(name: str, path: Path, device: str | torch.device = "cpu") -> CompactTagsMethod:
    """The method with the weights in a .safetensors file; raises WeightsError where they are damaged or do not fit."""
    own = read_own(path)
    network = CompactTags(updated(CompactTagsConfig(), own.options, f"Manifest of '{path.name}'", "model.options"))
    load_own(network, own.state, path.name)
    return CompactTagsMethod(network, name, own.sha256, torch.device(device), own.manifest.get("calibration", {}))
