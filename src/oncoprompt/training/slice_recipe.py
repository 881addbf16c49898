"""From a configuration to what `fit` needs for a model of slices: MedSAM, a student of it, or MedSAM compact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import SamModel

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.mapping import updated
from oncoprompt.methods.medsam.checkpoint import read_sam
from oncoprompt.methods.medsam.compact import CompactConfig, CompactNetwork
from oncoprompt.methods.medsam.models import COMPACT, slice_models
from oncoprompt.methods.medsam.sam_network import load_sam
from oncoprompt.methods.medsam.student import StudentConfig, image_side, student_of
from oncoprompt.methods.medsam.text_prompt import CLIP_TEXT, WordReader, read_clip_text, read_tokenizer, text_sam
from oncoprompt.methods.msm_seg.checkpoint import load_own, read_checkpoint
from oncoprompt.methods.weight_files import user_folders
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.distil import DistilItems, EmbeddingLoss, train_encoder
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.frame_items import FramedItems
from oncoprompt.training.picture_items import PictureItemConfig, SyntheticPictures, picture_loss
from oncoprompt.training.recipe import Recipe
from oncoprompt.training.sam_items import SamItems, sam_loss, train_parts
from oncoprompt.training.slice_items import SliceItemConfig, SliceItems
from oncoprompt.training.slice_names import STUDENT
from oncoprompt.training.slice_sources import slice_cases

_ORIGIN = "Training configuration"


@dataclass(frozen=True)
class SamOptions:
    """`[model.options]` of MedSAM: the folder of CLIP's text tower, for words; by default the user's."""

    text: str | None = None


def build_slice_recipe(config: TrainingConfig) -> Recipe:
    """The network of a slice model, items of the labelled slices that `[data]` names, and their loss.

    MedSAM starts from `model.weights`, or from SAM's published file (MedSAM's where it learns points or words) in the
    user's folders. A student starts from `distillation.teacher`, whose embeddings it learns, or from `model.weights`.
    MedSAM compact starts from `model.weights` or from the seed, and without data.cohort learns from synthetic pictures.
    Raises InputError for settings that do not go together
    or cannot be read, WeightsError for weights that are missing or do not fit.
    """
    if (config.adaptation.kind, config.mixing.kind) != ("none", "none"):
        raise InputError(f"{_ORIGIN}: adaptation and mixing are for MSM-Seg; '{config.model.name}' takes neither.")
    if config.distillation.teacher is not None and config.model.name != STUDENT:
        raise InputError(f"{_ORIGIN}: distillation.teacher teaches '{STUDENT}', not '{config.model.name}'.")
    if config.model.name == COMPACT:
        return _compact(config)
    slices = _slices(config)
    torch.manual_seed(config.run.seed)
    if config.model.name == STUDENT and config.distillation.teacher is not None:
        return _distilled(config, slices)
    return _prompted(config, slices)


def _slices(config: TrainingConfig) -> SliceItems:
    options = updated(SliceItemConfig(), config.data.options, _ORIGIN, "data.options")
    return SliceItems(slice_cases(config.data, options), options, config.run.seed, config.data.kept_cases)


def _compact(config: TrainingConfig) -> Recipe:
    sizes = updated(CompactConfig(), config.model.options, _ORIGIN, "model.options")
    torch.manual_seed(config.run.seed)
    network = CompactNetwork(sizes)
    if config.model.weights is not None:
        path = Path(config.model.weights)
        load_own(network, read_checkpoint(path), path.name)
    return Recipe(network, _frames(config, sizes.frame), picture_loss)


def _frames(config: TrainingConfig, side: int) -> ItemSource:
    """Batches of the labelled slices that `[data]` names, of synthetic pictures where it names none."""
    if config.data.cohort is None:
        made_up = updated(PictureItemConfig(frame=side), config.data.options, _ORIGIN, "data.options")
        return SyntheticPictures(made_up, config.run.seed)
    slices = _slices(config)
    if slices.config.prompt == "words":
        raise InputError(f"{_ORIGIN}: '{COMPACT}' does not read words. Train 'medsam-vit-b' with them.")
    return FramedItems(slices, side, clicked=slices.config.prompt == "point")


def _distilled(config: TrainingConfig, slices: SliceItems) -> Recipe:
    teacher = load_sam(read_sam(Path(config.distillation.teacher or "")).state)
    student = student_of(teacher, updated(StudentConfig(), config.model.options, _ORIGIN, "model.options"))
    train_encoder(student)
    items = DistilItems(slices, image_side(teacher), image_side(student))
    return Recipe(student, items, EmbeddingLoss(teacher))


def _prompted(config: TrainingConfig, slices: SliceItems) -> Recipe:
    prompt = slices.config.prompt
    options = updated(SamOptions(), config.model.options, _ORIGIN, "model.options")
    network = load_sam(read_sam(_start(config, prompt)).state)
    train_parts(network, prompt)
    side = image_side(network)
    if prompt != "words":
        return Recipe(network, SamItems(slices, side, prompt), sam_loss)
    return _with_words(network, SamItems(slices, side, prompt), _text_folder(options))


def _with_words(network: SamModel, items: SamItems, folder: Path) -> Recipe:
    text = read_clip_text(folder, network.config.to_dict()["prompt_encoder_config"]["hidden_size"])
    reader = WordReader(text, read_tokenizer(folder))
    model = text_sam(network, text)
    train_parts(model.sam, "words")
    return Recipe(model, replace(items, token_ids=reader.token_ids), sam_loss)


def _start(config: TrainingConfig, prompt: str) -> Path:
    """The weights that training starts from."""
    if config.model.weights is not None:
        return Path(config.model.weights)
    if config.model.name == STUDENT:
        raise InputError(
            f"{_ORIGIN}: '{STUDENT}' learns from distillation.teacher first; then give that run's weights as "
            "model.weights."
        )
    entry = slice_models()["sam-vit-b" if prompt == "box" else "medsam-vit-b"]
    if entry.weights is None:
        raise WeightsError(
            f"Training '{config.model.name}' starts from {entry.files[0]}, which is in none of "
            f"{', '.join(map(str, user_folders()))}. To get it: {entry.source}. Put it there, or give model.weights."
        )
    return entry.weights


def _text_folder(options: SamOptions) -> Path:
    if options.text is not None:
        return Path(options.text)
    folders = [folder / CLIP_TEXT for folder in user_folders()]
    return next((folder for folder in folders if folder.is_dir()), folders[-1])
