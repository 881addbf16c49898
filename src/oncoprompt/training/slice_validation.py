"""How well a network of slices does on labelled slices that it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from transformers import SamModel

from oncoprompt.errors import InputError
from oncoprompt.mapping import updated
from oncoprompt.methods.medsam.compact import CompactNetwork
from oncoprompt.methods.medsam.student import image_side
from oncoprompt.training.config import DataSection, TrainingConfig
from oncoprompt.training.feed import to_device
from oncoprompt.training.frame_items import FramedItems
from oncoprompt.training.sam_items import SamItems, sam_logits
from oncoprompt.training.slice_items import SliceItemConfig, SliceItems
from oncoprompt.training.slice_sources import slice_cases
from oncoprompt.training.validation import Validate

_ORIGIN = "Training configuration"


def slice_validator(config: TrainingConfig) -> Validate:
    """What scores a network of slices by its Dice on targets that it is asked for as `[validation]` says.

    The cases are those of validation.cohort, or of another part of data.split. Raises InputError without either, and
    for prompts of words.
    """
    section = config.validation
    trained = updated(SliceItemConfig(), config.data.options, _ORIGIN, "data.options")
    if trained.prompt == "words" or not section.box:
        raise InputError(f"{_ORIGIN}: a network of slices is validated with boxes or points; it needs one of them.")
    options = replace(trained, flips=False, outwards_px=0, inwards_px=0, jitter=section.jitter)
    items = SliceItems(slice_cases(_data(config), options), options, section.seed)
    return SliceValidator(items, section.count)


@dataclass(frozen=True)
class SliceValidator:
    """The first ``count`` items of labelled slices, made anew every time."""

    slices: SliceItems
    count: int

    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        """Mean Dice of MedSAM's network on the square image, of the compact one's in the frame of the box."""
        device = next(network.parameters()).device
        scores = []
        for index in range(self.count):
            with torch.inference_mode():
                answer, truth = self._answer(network, index, device)
            both = (answer > 0).sum() + (truth > 0.5).sum()
            scores.append(float(2 * ((answer > 0) & (truth > 0.5)).sum() / both.clamp_min(1)))
        return {"target": sum(scores) / len(scores)}

    def _answer(self, network: nn.Module, index: int, device: torch.device) -> tuple[Tensor, Tensor]:
        prompt = self.slices.config.prompt
        if isinstance(network, CompactNetwork):
            frames = FramedItems(self.slices, network.config.frame, count=1, clicked=prompt == "point")
            batch = to_device(frames.item(index), device)
            return network(batch.images, batch.prompts), batch.targets
        items = SamItems(self.slices, image_side(cast(SamModel, network)), prompt)
        item = to_device(items.item(index), device)
        return sam_logits(network, item), item.mask[None]


def _data(config: TrainingConfig) -> DataSection:
    section, data = config.validation, config.data
    if section.cohort is not None:
        return DataSection(cohort=section.cohort, layout=section.layout, schema=section.schema)
    if data.split is None or section.part == data.part:
        raise InputError(
            f"{_ORIGIN}: a network of slices is validated on validation.cohort, a folder of labelled slices, or on "
            "another part of data.split than is trained on."
        )
    return replace(data, part=section.part)
