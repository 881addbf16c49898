"""From a configuration to what `fit` needs for full-size TAGS: published or plus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.mapping import updated
from oncoprompt.methods.medsam.models import slice_models
from oncoprompt.methods.msm_seg.checkpoint import load_own, read_checkpoint
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.models import image_tower, tags_config
from oncoprompt.methods.tags.names import PLUS
from oncoprompt.methods.tags.network import TagsNetwork
from oncoprompt.methods.tags.sam_weights import read_sam_encoder
from oncoprompt.methods.tags.text_cache import remember, text_vectors, user_cache, user_tower
from oncoprompt.methods.weight_files import user_folders
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.recipe import Recipe
from oncoprompt.training.tags_cases import CaseSource, OrganCohort, case_sources
from oncoprompt.training.tags_loss import VolumeLoss
from oncoprompt.training.tags_volume_items import VolumeItemConfig, VolumeItems

_ORIGIN = "Training configuration"


def build_tags_recipe(config: TrainingConfig) -> Recipe:
    """The network, items of the labelled volumes that `[data]` names, and their loss.

    The encoder starts from SAM's ViT-B: `model.weights`, or its published file in the user's folders; where
    `model.weights` are an earlier run's, the whole network goes on from them. Its blocks are computed again in the
    backward pass. Raises InputError for settings that do not go together or cannot be read, WeightsError for weights
    and CLIP's towers where they are missing or do not fit.
    """
    if (config.adaptation.kind, config.mixing.kind) != ("none", "none"):
        raise InputError(f"{_ORIGIN}: adaptation and mixing are for MSM-Seg; '{config.model.name}' takes neither.")
    items = item_config(config)
    sizes = updated(tags_config(config.model.name), config.model.options, _ORIGIN, "model.options")
    sources = [source for cohort in organ_cohorts(config, items) for source in case_sources(cohort)]
    torch.manual_seed(config.run.seed)
    network = TagsNetwork(sizes, image_tower(sizes, Path(items.clip) if items.clip is not None else None))
    _start(network, config)
    network.encoder.checkpointing = True
    texts = text_matrices(sources, sizes, items)
    volumes = VolumeItems(sources, items, texts, config.run.seed, config.data.kept_cases)
    return Recipe(network, volumes, VolumeLoss(items))


def item_config(config: TrainingConfig) -> VolumeItemConfig:
    """How items are drawn: the model's own way with `data.options` in place."""
    base = VolumeItemConfig.plus() if config.model.name == PLUS else VolumeItemConfig()
    return updated(base, config.data.options, _ORIGIN, "data.options")


def organ_cohorts(config: TrainingConfig, items: VolumeItemConfig) -> tuple[OrganCohort, ...]:
    """The data sets that `[data]` names; raises InputError where it names none, or one in two ways."""
    data = config.data
    if data.pool is not None or data.synthetic_share:
        raise InputError(
            f"{_ORIGIN}: '{config.model.name}' is trained on labelled volumes. Leave out data.pool and "
            "data.synthetic_share."
        )
    if data.cohort is None and items.words is None and items.cohorts:
        return items.cohorts
    if data.cohort is None or items.words is None or items.cohorts:
        raise InputError(
            f"{_ORIGIN}: name one data set as data.cohort with data.options.words (such as 'kidney'), or several as "
            "data.options.cohorts, each with its words."
        )
    one = OrganCohort(items.words, data.cohort, data.layout, data.schema, data.split, data.part, items.fold)
    return (one,)


def text_matrices(sources: list[CaseSource], sizes: TagsConfig, items: VolumeItemConfig) -> Mapping[str, Tensor]:
    """Vectors [2, C] by the words of the cases; none for a network without alignment adapters that reads no words.

    Those of known words are kept in the user's cache, so that whoever uses the weights needs no CLIP.
    """
    wanted = sorted({source.words for source in sources})
    if not (sizes.alignment or sizes.text_in_decoder):
        return {}
    folder = Path(items.clip) if items.clip is not None else user_tower()
    if not (items.dataset_words or items.clip is not None or folder.is_dir()):
        return {words: text_vectors(words, sizes.width) for words in wanted}
    # transformers takes seconds to import
    from oncoprompt.methods.tags.clip_text import read_text_tower

    tower = read_text_tower(folder)
    if tower.width != sizes.width:
        raise WeightsError(
            f"The text tower in '{folder}' gives vectors of {tower.width} numbers, the network needs {sizes.width}. "
            "CLIP ViT-L/14 goes with ViT-B."
        )
    if items.dataset_words:
        return {words: tower.matrix(words, dataset_key=True).T.contiguous() for words in wanted}
    known = remember(tower, user_cache())
    return {words: known[words].T.contiguous() for words in wanted}


def _start(network: TagsNetwork, config: TrainingConfig) -> None:
    """SAM in the encoder, or an earlier run's weights in the whole network."""
    path = Path(config.model.weights) if config.model.weights is not None else slice_models()["sam-vit-b"].weights
    if path is None:
        raise WeightsError(
            f"Training '{config.model.name}' starts from SAM's sam_vit_b_01ec64.pth, which is in none of "
            f"{', '.join(map(str, user_folders()))}. To get it: {slice_models()['sam-vit-b'].source}. Put it there, or "
            "give model.weights."
        )
    if path.suffix == ".safetensors" and path.is_file():
        state = read_checkpoint(path)
        if set(state) == set(network.state_dict()):
            load_own(network, state, path.name)
            return
    read_sam_encoder(network.encoder, path)
