"""How well full-size TAGS does on crops of cases that it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from oncoprompt.errors import InputError
from oncoprompt.methods.tags.network import TagsNetwork
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import to_device
from oncoprompt.training.tags_cases import OrganCohort, case_sources
from oncoprompt.training.tags_loss import prompt_of
from oncoprompt.training.tags_recipe import item_config, organ_cohorts
from oncoprompt.training.tags_volume_items import VolumeItems
from oncoprompt.training.validation import Validate


def tags_validator(config: TrainingConfig) -> Validate:
    """What scores a network on another part of the split, or of each data set's, one crop a case.

    Raises InputError where the part is the one that is trained on, and where cases cannot be found.
    """
    section, items = config.validation, item_config(config)
    trained = organ_cohorts(config, items)
    if section.cohort is None:
        if any(cohort.split is None or cohort.part == section.part for cohort in trained):
            raise InputError(
                "Training configuration: full-size TAGS is validated on validation.cohort, or on another part of a "
                "split than is trained on."
            )
        cohorts = [replace(cohort, part=section.part) for cohort in trained]
    elif len(trained) == 1:
        cohorts = [OrganCohort(trained[0].words, section.cohort, section.layout, section.schema)]
    else:
        raise InputError(
            "Training configuration: validation.cohort would need words. With several data sets, validate on another "
            "part of their splits."
        )
    sources = [source for cohort in cohorts for source in case_sources(cohort)]
    return VolumeValidator(VolumeItems(sources, items, {}, section.seed, kept=1, augment=False), section.count)


@dataclass(frozen=True)
class VolumeValidator:
    """The first `count` cases: a crop centred on a voxel of the tumour, ten clicks in it, as published."""

    volumes: VolumeItems
    count: int

    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        """Mean Dice of the tumour in the crops."""
        device = next(network.parameters()).device
        scores = []
        for index in range(min(self.count, len(self.volumes.sources))):
            item = to_device(self.volumes.item(index), device)
            with torch.inference_mode():
                tags = cast(TagsNetwork, network)
                answer = tags.decode(tags.encode(item.volume[None]), prompt_of(item)).argmax(dim=1) > 0
            truth = item.tumour > 0
            scores.append(float(2 * (answer & truth).sum() / (answer.sum() + truth.sum()).clamp_min(1)))
        return {"tumour": sum(scores) / len(scores)}
