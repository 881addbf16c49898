"""From a configuration to what `fit` needs: the network, its items and its loss."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import nn

from oncoprompt.errors import InputError
from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg import Loss, MSMSeg, PromptMaps, msm_seg_loss
from oncoprompt.methods.msm_seg.checkpoint import find_weights, load_own, load_state, read_checkpoint
from oncoprompt.methods.msm_seg.config import HieraConfig
from oncoprompt.methods.registry import build_network, hiera_size
from oncoprompt.methods.tags.names import COMPACT_MODELS, TAGS_MODELS
from oncoprompt.training.cohort_items import cohort_items
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.item_pool import PooledItems
from oncoprompt.training.items import ItemConfig, SyntheticItems, TrainingItem
from oncoprompt.training.loss import LossFunction
from oncoprompt.training.slice_names import SLICE_MODELS


@dataclass(frozen=True)
class Recipe:
    """A network ready to be trained, the items to train it on and the loss of one item."""

    model: nn.Module
    items: ItemSource
    loss: LossFunction


def build(config: TrainingConfig) -> Recipe:
    """Network with weights drawn from the seed or read from `model.weights`, and items of the same seed.

    With `data.pool` the items are those drawn before. A Hiera network starts from SAM 2's file, given as
    `model.weights` or found in the user's folders, or from an earlier run's weights. Raises `InputError` for names the
    network's or the items' configuration does not have, for a pool without items and where features of MSM-Seg are
    asked of another network, `WeightsError` for weights that are missing or do not fit.
    """
    if config.model.name in SLICE_MODELS:
        # transformers' SAM takes seconds to import
        from oncoprompt.training.slice_recipe import build_slice_recipe

        return build_slice_recipe(config)
    if config.model.name in TAGS_MODELS:
        return _tags(config)
    origin = "Training configuration"
    size = hiera_size(config.model.name)
    usual = ItemConfig() if size is None else ItemConfig(plane=256)
    items = updated(usual, config.data.options, origin, "data.options")
    given = Path(config.model.weights) if config.model.weights is not None else None
    path = given if size is None else given or find_weights(size)
    torch.manual_seed(config.run.seed)
    model = build_network(config.model.name, config.model.options, origin)
    if path is not None:
        _load(model, path)
    step = msm_seg_step if isinstance(model, MSMSeg) else volumetric_step
    if step is volumetric_step and (config.adaptation.kind, config.mixing.kind) != ("none", "none"):
        raise InputError(
            f"{origin}: adaptation and mixing work on the features of MSM-Seg. Found model.name = "
            f"'{config.model.name}'; choose an MSM-Seg model or set both kinds to 'none'."
        )
    return Recipe(model, _items(config, items), partial(step, recall=config.optimisation.recall))


def msm_seg_step(model: nn.Module, item: TrainingItem, recall: float = 0.5) -> Loss:
    """Loss (Eq. 10) of one item, a batch of one."""
    network = cast(MSMSeg, model)
    pyramid = network.encode(item.images[None], item.roles)
    output = network.decode(pyramid, PromptMaps(item.box[None], item.clicks[None]))
    return msm_seg_loss(output, item.regions[None], recall)


def volumetric_step(model: nn.Module, item: TrainingItem, recall: float = 0.5) -> Loss:
    """Loss of one item, a batch of one, for a plain volumetric network."""
    from oncoprompt.methods.volumetric.loss import volumetric_loss

    output = model(item.images[None], item.roles, PromptMaps(item.box[None], item.clicks[None]))
    return volumetric_loss(output, item.regions[None], recall)


def _tags(config: TrainingConfig) -> Recipe:
    if config.model.name in COMPACT_MODELS:
        from oncoprompt.training.tags_compact import build_tags_compact

        return build_tags_compact(config)
    from oncoprompt.training.tags_recipe import build_tags_recipe

    return build_tags_recipe(config)


def _items(config: TrainingConfig, items: ItemConfig) -> ItemSource:
    """Items of a pool, of a data set on disk, or of synthetic people."""
    data, seed = config.data, config.run.seed
    if data.pool is not None:
        return PooledItems(Path(data.pool))
    return SyntheticItems(items, seed) if data.cohort is None else cohort_items(data, items, seed)


def _load(model: nn.Module, path: Path) -> None:
    """Fill the network from an earlier run's weights or, for Hiera, from SAM 2's file."""
    state = read_checkpoint(path)
    own = set(state) == set(model.state_dict())
    if isinstance(model, MSMSeg) and isinstance(model.config.backbone, HieraConfig) and not own:
        load_state(model, state, path.name)
    else:
        load_own(model, state, path.name)
