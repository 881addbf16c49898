"""Full-size TAGS from the weights that a training run wrote."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from oncoprompt.errors import InputError
from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg.checkpoint import load_own
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.intensities import organ_in
from oncoprompt.methods.tags.method import TagsMethod
from oncoprompt.methods.tags.names import FAITHFUL, PLUS
from oncoprompt.methods.tags.network import TagsNetwork
from oncoprompt.methods.tags.tensors import Tower
from oncoprompt.methods.tags.text_cache import text_vectors, user_tower
from oncoprompt.methods.weight_files import read_own


def tags_config(name: str) -> TagsConfig:
    """Configuration of a full-size model by its name; raises InputError for another."""
    if name not in (FAITHFUL, PLUS):
        raise InputError(f"There is no full-size TAGS '{name}'. Known: {FAITHFUL}, {PLUS}.")
    return TagsConfig.faithful() if name == FAITHFUL else TagsConfig.plus()


def load_tags(name: str, path: Path, device: torch.device) -> TagsMethod:
    """The model in a .safetensors file of ours with its manifest, `model.options` of its recipe included.

    Raises InputError for a name or options that are not known, WeightsError where the file is damaged or another
    network's, or CLIP's image tower is missing to a network that looks with it.
    """
    own = read_own(path)
    config = updated(tags_config(name), own.options, f"Manifest of '{path.name}'", "model.options")
    network = TagsNetwork(config, image_tower(config))
    load_own(network, own.state, path.name)
    return TagsMethod(
        network,
        name,
        own.sha256,
        device,
        organ=trained_organ(own.manifest),
        needs_anatomy=name == FAITHFUL,
        text_vectors=partial(text_vectors, width=config.width),
        calibration=own.manifest.get("calibration"),
    )


def image_tower(config: TagsConfig, folder: Path | None = None) -> Tower | None:
    """CLIP's image tower for a network that looks with it, from a folder or the user's; None for another network.

    Raises WeightsError where it is missing.
    """
    if not config.image_semantics:
        return None
    # transformers takes seconds to import
    from oncoprompt.methods.tags.clip_image import read_image_tower

    return read_image_tower(folder or user_tower())


def trained_organ(manifest: Mapping[str, Any]) -> str | None:
    """The organ of all data sets that weights were trained on, by the words of the recipe; None for several or none."""
    options = manifest.get("recipe", {}).get("data", {}).get("options", {})
    words = [options.get("words"), *(cohort.get("words") for cohort in options.get("cohorts") or ())]
    organs = {organ_in(said) for said in words if said}
    return organs.pop() if len(organs) == 1 else None
