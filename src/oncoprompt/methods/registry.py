"""Models by name: a method, a configuration and weights."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.interface import Method

BUNDLED = Path(__file__).resolve().parent.parent / "weights"
_SAM2_FILES = {
    f"msm-seg-hiera-{size}": (f"sam2.1_hiera_{size.replace('-', '_').replace('base_', 'base_')}.pt", size)
    for size in ("tiny", "small", "base-plus", "large")
}


@dataclass(frozen=True)
class ModelCard:
    """What a person should know of a model before choosing it."""

    name: str
    method: str
    description: str
    licence: str
    weights: Path | None

    @property
    def ready(self) -> bool:
        """Whether its weights are on this machine."""
        return self.weights is not None


def weight_folders() -> list[Path]:
    """Where weights are looked for, in order: ONCOPROMPT_WEIGHTS, the user's cache, the package."""
    own = os.environ.get("ONCOPROMPT_WEIGHTS")
    folders = [Path(own)] if own else []
    return [*folders, Path.home() / ".cache" / "oncoprompt", BUNDLED]


def list_models() -> list[ModelCard]:
    """All models this version knows, with the weights found for each."""
    cards = [
        ModelCard(
            "msm-seg-compact",
            "msm-seg",
            "MSM-Seg with a convolutional backbone for processors; trained on synthetic studies alone.",
            "Apache-2.0",
            _find("msm-seg-compact"),
        )
    ]
    for name, (_, size) in _SAM2_FILES.items():
        text = f"MSM-Seg with SAM 2's Hiera {size}; weights come from your own training run."
        cards.append(ModelCard(name, "msm-seg", text, "that of the training data", _find(name)))
    return cards


def load_model(name: str, device: str | torch.device = "cpu") -> Method:
    """A model ready to segment.

    Raises InputError for a name that is not known and WeightsError where its weights are missing or damaged.
    """
    cards = {card.name: card for card in list_models()}
    if name not in cards:
        raise InputError(f"There is no model '{name}'. Known: {', '.join(cards)}.")
    card = cards[name]
    if card.weights is None:
        raise WeightsError(_how_to_get(name))
    return _load_msm_seg(name, card.weights, torch.device(device))


def _find(name: str) -> Path | None:
    for folder in weight_folders():
        path = folder / f"{name}.safetensors"
        if path.is_file():
            return path
    return None


def _how_to_get(name: str) -> str:
    places = ", ".join(str(folder) for folder in weight_folders()[:-1])
    if name not in _SAM2_FILES:
        return f"The weights of '{name}' are missing: {name}.safetensors. Reinstall the package, or put it in {places}."
    file, size = _SAM2_FILES[name]
    return (
        f"Model '{name}' has no trained weights here: {name}.safetensors was looked for in {places}. Train them with "
        f"'oncoprompt train' from SAM 2's {file} (hub id facebook/sam2.1-hiera-{size}); random weights never answer."
    )


def _load_msm_seg(name: str, path: Path, device: torch.device) -> Method:
    from oncoprompt.methods.msm_seg import MSMSeg
    from oncoprompt.methods.msm_seg.method import MSMSegMethod

    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    manifest = read_manifest(path)
    if manifest.get("sha256", digest) != digest:
        raise WeightsError(f"The weights '{path.name}' are damaged: SHA-256 differs from the manifest's. Get them again.")
    network = MSMSeg(_network_config(name, manifest))
    try:
        network.load_state_dict({key: value.float() for key, value in load(content).items()})
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"The weights '{path.name}' do not fit model '{name}': {error}") from error
    return MSMSegMethod(network, name, digest, device)


def _network_config(name: str, manifest: dict[str, Any]) -> Any:
    from oncoprompt.methods.msm_seg import MSMSegConfig

    if name == "msm-seg-compact":
        return MSMSegConfig.compact()
    size: Any = _SAM2_FILES[name][1]
    return MSMSegConfig.hiera(size)


def read_manifest(weights: Path) -> dict[str, Any]:
    """The manifest beside a weights file (``<name>.json``), or nothing."""
    path = weights.with_suffix(".json")
    if not path.is_file():
        return {}
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
