"""Models by name: a method, a configuration and weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.mapping import updated
from oncoprompt.methods.interface import Method
from oncoprompt.methods.medsam import models as slice_models
from oncoprompt.methods.medsam.slice_model import SliceModel
from oncoprompt.methods.msm_seg.checkpoint import load_own, weights_file
from oncoprompt.methods.msm_seg.config import HIERA_SIZES, HieraConfig, HieraSize, MSMSegConfig
from oncoprompt.methods.msm_seg.model import MSMSeg
from oncoprompt.methods.tags import names as tags
from oncoprompt.methods.tags.vocabulary import CONCEPTS
from oncoprompt.methods.volumetric.config import CORES, VolumetricConfig
from oncoprompt.methods.weight_files import BUNDLED, find_file, read_manifest, read_own, user_folders

if TYPE_CHECKING:
    from oncoprompt.methods.volumetric.network import VolumetricNetwork

_HIERA = "msm-seg-hiera-"
_WEIGHTS_ENDING = ".safetensors"


@dataclass(frozen=True)
class ModelCard:
    """What a person should know of a model before choosing it; ``words`` are those it reads."""

    name: str
    method: str
    description: str
    licence: str
    weights: Path | None
    words: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether its weights are on this machine."""
        return self.weights is not None


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
    for size in HIERA_SIZES:
        text = f"MSM-Seg with SAM 2's Hiera {size}; weights come from your own training run."
        cards.append(ModelCard(_HIERA + size, "msm-seg", text, "that of the training data", _find(_HIERA + size)))
    for core, what in (("dynunet", "MONAI's DynUNet, the network of nnU-Net,"), ("segresnet", "MONAI's SegResNet")):
        text = f"{what} with box and clicks as input channels; weights come from your own training run."
        cards.append(ModelCard(core, "volumetric", text, "that of the training data", _find(core)))
    text = (
        "TAGS for processors: words, clicks, a box, an organ's mask on MRI and CT; trained on synthetic studies alone."
    )
    cards.append(ModelCard(tags.COMPACT, "tags", text, "Apache-2.0", _find(tags.COMPACT), CONCEPTS))
    for name, data in (
        (tags.DEFAULT, "synthetic heads and eleven gliomas"),
        (tags.DEFAULT_SYNTHETIC, "synthetic heads"),
    ):
        text = f"One network for every prompt on MRI of the head, in training on {data}; not bundled yet."
        cards.append(ModelCard(name, "tags", text, "Apache-2.0", _find(name), CONCEPTS))
    for name, text in (
        (tags.FAITHFUL, "TAGS as published, SAM ViT-B in three dimensions, with clicks and an organ's mask"),
        (tags.PLUS, "TAGS on SAM ViT-B that hears words, clicks of both kinds and a box when it is asked"),
    ):
        text = f"{text}; weights come from your own training run."
        cards.append(ModelCard(name, "tags", text, "that of the training data", _find(name)))
    for entry in slice_models.slice_models().values():
        cards.append(ModelCard(entry.name, entry.method, entry.description, entry.licence, entry.weights))
    return cards


def load_slice_model(name: str, device: str | torch.device = "cpu") -> SliceModel:
    """A model of single slices ready to answer: a known name, or the path of its weights in any published layout.

    Raises InputError for a name that is not known or of a model of whole studies, and WeightsError where weights are
    missing, damaged or another model's.
    """
    slices = slice_models.slice_models()
    if name not in slices and name in [card.name for card in list_models()]:
        raise InputError(f"'{name}' segments whole studies, not slices. Choose another, such as medsam-compact.")
    return slice_models.load_by_name(name, device)


def check_weights(name: str) -> None:
    """Raise as loading a model does where its name is not known or its weights are missing, but load nothing."""
    entry = slice_models.slice_models().get(name)
    if entry is not None:
        slice_models.weights_of(entry)
    elif not slice_models.is_slice_model(name):
        _located(name)


def load_model(name: str, device: str | torch.device = "cpu") -> Method:
    """A model ready to segment: a known name, or a path to the weights (.safetensors) that a training run wrote.

    Raises InputError for a name that is not known and WeightsError where its weights are missing or damaged.
    """
    from oncoprompt.methods.msm_seg.region import PlanePolicy, RegionPolicy
    from oncoprompt.methods.region_method import RegionMethod

    kind, path = _located(name)
    if kind in tags.TAGS_MODELS:
        return _load_tags(kind, path, device)
    trained = _read_network(kind, path)
    backbone = trained.network.config.backbone if isinstance(trained.network, MSMSeg) else None
    policy = PlanePolicy(plane=backbone.image_size) if isinstance(backbone, HieraConfig) else RegionPolicy()
    return RegionMethod(
        trained.network, trained.name, trained.sha256, torch.device(device), policy, trained.calibration
    )


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network with its weights: the name of its kind, the options it was built with, the SHA-256 of the file.

    ``calibration`` is that section of the weights' manifest, empty where there is none.
    """

    name: str
    network: "MSMSeg | VolumetricNetwork"
    options: Mapping[str, Any]
    sha256: str
    calibration: Mapping[str, Any] = field(default_factory=dict)


def load_network(name: str) -> TrainedNetwork:
    """The network of a model, by name or by the path of its weights; raises as `load_model` does, and for TAGS."""
    kind, path = _located(name)
    if kind in tags.TAGS_MODELS:
        raise InputError(f"'{name}' is TAGS, which is trained, not fine-tuned. Choose an MSM-Seg model.")
    return _read_network(kind, path)


def _located(name: str) -> tuple[str, Path]:
    """Name of the kind of a model, and its weights."""
    if slice_models.is_slice_model(name):
        raise InputError(f"'{name}' is a model of slices. Choose one of whole studies, such as msm-seg-compact.")
    if name.endswith(_WEIGHTS_ENDING):
        path = Path(name)
        if not path.is_file():
            raise WeightsError(f"There are no weights '{name}'. Give the path of the file that a training run wrote.")
        return str(read_manifest(path).get("model", path.stem)), path
    cards = {card.name: card for card in list_models()}
    if name not in cards:
        raise InputError(
            f"There is no model '{name}'. Known: {', '.join(cards)}, or the path of weights ({_WEIGHTS_ENDING})."
        )
    weights = cards[name].weights
    if weights is None:
        raise WeightsError(_how_to_get(name))
    return name, weights


def build_network(name: str, options: Mapping[str, Any], origin: str) -> "MSMSeg | VolumetricNetwork":
    """A named network with ``options`` in place of its own values, its weights drawn from torch's generator.

    Raises InputError for a name or an option that is not known; ``origin`` says where the options come from.
    """
    if name not in CORES:
        return MSMSeg(network_config(name, options, origin))
    # MONAI's networks take seconds to import
    from oncoprompt.methods.volumetric.network import VolumetricNetwork

    return VolumetricNetwork(updated(VolumetricConfig(CORES[name]), options, origin, "model.options"))


def network_config(name: str, options: Mapping[str, Any], origin: str) -> MSMSegConfig:
    """Configuration of a named MSM-Seg network with ``options`` in place of its own; raises as `build_network`."""
    known = [card.name for card in list_models() if card.method in ("msm-seg", "volumetric")]
    if name not in known:
        raise InputError(f"There is no network '{name}'. Known: {', '.join(known)}.")
    if name in CORES:
        raise InputError(f"'{name}' is no MSM-Seg network. Those are {', '.join(n for n in known if n not in CORES)}.")
    size = hiera_size(name)
    base = MSMSegConfig.compact() if size is None else MSMSegConfig.hiera(size)
    return updated(base, options, origin, "model.options")


def hiera_size(name: str) -> HieraSize | None:
    """The size of Hiera a model's name tells, or None for the compact backbone."""
    return next((size for size in HIERA_SIZES if name == _HIERA + size), None)


def _find(name: str) -> Path | None:
    return find_file(f"{name}{_WEIGHTS_ENDING}", [*user_folders(), BUNDLED])


def _how_to_get(name: str) -> str:
    places = ", ".join(str(folder) for folder in user_folders())
    size = hiera_size(name)
    if name in (*CORES, tags.DEFAULT, tags.DEFAULT_SYNTHETIC, tags.FAITHFUL, tags.PLUS):
        return (
            f"Model '{name}' has no trained weights here: {name}.safetensors was looked for in {places}. Train them "
            f"with 'oncoprompt train' and model.name = \"{name}\"; random weights never answer."
        )
    if size is None:
        return f"The weights of '{name}' are missing: {name}.safetensors. Reinstall the package, or put it in {places}."
    return (
        f"Model '{name}' has no trained weights here: {name}.safetensors was looked for in {places}. Train them with "
        f"'oncoprompt train' from SAM 2's {weights_file(size)} (hub id facebook/sam2.1-hiera-{size}); "
        "random weights never answer."
    )


def _load_tags(name: str, path: Path, device: str | torch.device) -> Method:
    if name in tags.COMPACT_MODELS:
        from oncoprompt.methods.tags.compact_weights import load_compact_tags

        return load_compact_tags(name, path, device)
    from oncoprompt.methods.tags.models import load_tags

    return load_tags(name, path, torch.device(device))


def _read_network(name: str, path: Path) -> TrainedNetwork:
    own = read_own(path)
    network = build_network(name, own.options, f"Manifest of '{path.name}'")
    load_own(network, own.state, path.name)
    return TrainedNetwork(name, network, own.options, own.sha256, own.manifest.get("calibration", {}))
