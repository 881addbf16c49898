"""From a configuration to what `fit` needs: the network, its items and its loss."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.msm_seg import Loss, MSMSeg, MSMSegConfig, PromptMaps, msm_seg_loss
from oncoprompt.methods.registry import list_models
from oncoprompt.training.config import ModelSection, TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.fit import LossFunction
from oncoprompt.training.items import ItemConfig, SyntheticItems, TrainingItem
from oncoprompt.training.mapping import updated

_HIERA = "msm-seg-hiera-"


@dataclass(frozen=True)
class Recipe:
    """A network ready to be trained, the items to train it on and the loss of one item."""

    model: nn.Module
    items: ItemSource
    loss: LossFunction


def build(config: TrainingConfig) -> Recipe:
    """Network with weights drawn from the seed, or read from `model.weights`, and synthetic items of the same seed.

    Raises `InputError` for names the network's or the items' configuration does not have, `WeightsError` for weights
    that are missing or do not fit.
    """
    network = network_config(config.model)
    items = updated(ItemConfig(), config.data.options, "Training configuration", "data.options")
    torch.manual_seed(config.run.seed)
    model = MSMSeg(network)
    if config.model.weights is not None:
        _load(model, Path(config.model.weights))
    loss = partial(msm_seg_step, recall=config.optimisation.recall)
    return Recipe(model, SyntheticItems(items, config.run.seed), loss)


def network_config(section: ModelSection) -> MSMSegConfig:
    """Configuration of a named network with the section's options in place of its own values."""
    known = [card.name for card in list_models()]
    if section.name not in known:
        raise InputError(f"There is no network '{section.name}' to train. Known: {', '.join(known)}.")
    size = cast(Any, section.name.removeprefix(_HIERA))
    base = MSMSegConfig.hiera(size) if section.name.startswith(_HIERA) else MSMSegConfig.compact()
    return updated(base, section.options, "Training configuration", "model.options")


def msm_seg_step(model: nn.Module, item: TrainingItem, recall: float = 0.5) -> Loss:
    """Loss (Eq. 10) of one item, a batch of one."""
    network = cast(MSMSeg, model)
    pyramid = network.encode(item.images[None], item.roles)
    output = network.decode(pyramid, PromptMaps(item.box[None], item.clicks[None]))
    return msm_seg_loss(output, item.regions[None], recall)


def _load(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"Weights '{path}' cannot be read: {error}.") from error
    except RuntimeError as error:
        raise WeightsError(f"Weights '{path}' do not fit the network of the configuration: {error}") from error
