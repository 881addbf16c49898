"""From a configuration to what `fit` needs: the network, its items and its loss."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import nn

from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg import Loss, MSMSeg, PromptMaps, msm_seg_loss
from oncoprompt.methods.msm_seg.checkpoint import find_weights, load_own, load_state, read_checkpoint
from oncoprompt.methods.msm_seg.config import HieraConfig
from oncoprompt.methods.registry import hiera_size, network_config
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.fit import LossFunction
from oncoprompt.training.items import ItemConfig, SyntheticItems, TrainingItem


@dataclass(frozen=True)
class Recipe:
    """A network ready to be trained, the items to train it on and the loss of one item."""

    model: nn.Module
    items: ItemSource
    loss: LossFunction


def build(config: TrainingConfig) -> Recipe:
    """Network with weights drawn from the seed or read from `model.weights`, and synthetic items of the same seed.

    A Hiera network starts from SAM 2's file, given as `model.weights` or found in the user's folders, or from an
    earlier run's weights. Raises `InputError` for names the network's or the items' configuration does not have,
    `WeightsError` for weights that are missing or do not fit.
    """
    origin = "Training configuration"
    network = network_config(config.model.name, config.model.options, origin)
    size = hiera_size(config.model.name)
    usual = ItemConfig() if size is None else ItemConfig(plane=256)
    items = updated(usual, config.data.options, origin, "data.options")
    given = Path(config.model.weights) if config.model.weights is not None else None
    path = given if size is None else given or find_weights(size)
    torch.manual_seed(config.run.seed)
    model = MSMSeg(network)
    if path is not None:
        _load(model, path)
    loss = partial(msm_seg_step, recall=config.optimisation.recall)
    return Recipe(model, SyntheticItems(items, config.run.seed), loss)


def msm_seg_step(model: nn.Module, item: TrainingItem, recall: float = 0.5) -> Loss:
    """Loss (Eq. 10) of one item, a batch of one."""
    network = cast(MSMSeg, model)
    pyramid = network.encode(item.images[None], item.roles)
    output = network.decode(pyramid, PromptMaps(item.box[None], item.clicks[None]))
    return msm_seg_loss(output, item.regions[None], recall)


def _load(model: MSMSeg, path: Path) -> None:
    """Fill the network from an earlier run's weights or, for Hiera, from SAM 2's file."""
    state = read_checkpoint(path)
    if isinstance(model.config.backbone, HieraConfig) and set(state) != set(model.state_dict()):
        load_state(model, state, path.name)
    else:
        load_own(model, state, path.name)
