"""TAGS compact's weights: those of MRI, and beside them the layers that CT has for itself."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg.checkpoint import load_own
from oncoprompt.methods.tags.compact import SHARED_WITH_CT, CompactTags, CompactTagsConfig
from oncoprompt.methods.tags.compact_method import CompactTagsMethod
from oncoprompt.methods.weight_files import read_own

_OF_CT = "ct."


def load_compact_tags(name: str, path: Path, device: str | torch.device = "cpu") -> CompactTagsMethod:
    """The method with the weights in a .safetensors file; raises WeightsError where they are damaged or do not fit."""
    own = read_own(path)
    config = updated(CompactTagsConfig(), own.options, f"Manifest of '{path.name}'", "model.options")

    def network(ct: bool) -> CompactTags:
        built = CompactTags(config)
        load_own(built, parted(own.state, ct), path.name)
        return built

    of_ct = network(ct=True) if any(key.startswith(_OF_CT) for key in own.state) else None
    calibration = own.manifest.get("calibration", {})
    return CompactTagsMethod(network(ct=False), name, own.sha256, torch.device(device), calibration, of_ct)


def parted(state: Mapping[str, Tensor], ct: bool) -> dict[str, Tensor]:
    """The parameters of the network for CT, or of that for MRI; the same ones where CT has none of its own."""
    shared = {name: value for name, value in state.items() if not name.startswith(_OF_CT)}
    own = {name.removeprefix(_OF_CT): value for name, value in state.items() if name.startswith(_OF_CT)}
    return shared | own if ct else shared


def joined(mri: Mapping[str, Tensor], ct: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of both networks without those of CT that `SHARED_WITH_CT` names."""
    own = {f"{_OF_CT}{name}": value for name, value in ct.items() if not name.startswith(SHARED_WITH_CT)}
    return dict(mri) | own
