"""How `oncoprompt train` scores a network between its steps: as `segment` uses it, on cases it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from oncoprompt.experiments.cases import Case
    from oncoprompt.experiments.protocol import PromptProtocol
    from oncoprompt.methods.interface import Method
    from oncoprompt.training.config import TrainingConfig
    from oncoprompt.training.validation import Validate


def validator(config: TrainingConfig) -> Validate | None:
    """What scores a network as `[validation]` says, None where it says nothing.

    Raises InputError for a data set that cannot be read or has no labelled case.
    """
    from oncoprompt.experiments.protocol import moved_box, unprompted
    from oncoprompt.methods.tags.names import FAITHFUL, PLUS
    from oncoprompt.training.slice_names import SLICE_MODELS

    section = config.validation
    if not section.wanted:
        return None
    if config.model.name in SLICE_MODELS:
        from oncoprompt.training.slice_validation import slice_validator

        return slice_validator(config)
    if config.model.name in (FAITHFUL, PLUS):
        from oncoprompt.training.tags_validation import tags_validator

        return tags_validator(config)
    protocol = moved_box(section.jitter, section.draws) if section.box else unprompted()
    return _Validator(config.model.name, _cases(config), protocol)


@dataclass(frozen=True)
class _Validator:
    """The cases, which are read anew every time, and the way of asking."""

    model: str
    cases: Sequence[Case]
    protocol: PromptProtocol

    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        """Mean Dice over cases of each region that occurs; raises InputError where no case could be scored."""
        import numpy as np

        from oncoprompt.experiments.engine import Setting, dice_of, run
        from oncoprompt.study import REGIONS

        setting = Setting("validation", _method(network, self.model), self.protocol)
        outcome = run(self.cases, lambda _: [setting])
        scores = {}
        for region in REGIONS:
            values = outcome.per_case(outcome.sources[0], setting.name, dice_of(region))
            if values:
                scores[region] = float(np.mean(list(values.values())))
        return scores


def _cases(config: TrainingConfig) -> list[Case]:
    """The first `count` labelled cases of validation.cohort or of a part of data.split, else synthetic studies."""
    from functools import partial

    from oncoprompt.experiments.cases import LABELLED, Case, LabelledStudy, cases_of
    from oncoprompt.training.cohort_items import labelled_cases

    section, data = config.validation, config.data
    if section.cohort is not None:
        found = labelled_cases(section.cohort, section.layout, section.schema, None, section.part)
    elif data.split is not None:
        if section.part == data.part:
            raise InputError(
                f"Training configuration: validation.part and data.part are both '{data.part}'. Scores on cases that "
                "were trained on would say nothing; name another part of the split."
            )
        found = labelled_cases(data.cohort or "", data.layout, data.schema, data.split, section.part)
    else:
        return cases_of(None, None, section.count, section.seed)
    return [
        Case(case.name, case.patient, LABELLED, partial(lambda case: LabelledStudy(case.study(), case.labels()), case))
        for case in found[: section.count]
    ]


def _method(network: nn.Module, name: str) -> Method:
    """The network as a method, on the device it is on."""
    from oncoprompt.methods.msm_seg import MSMSeg
    from oncoprompt.methods.msm_seg.config import HieraConfig
    from oncoprompt.methods.msm_seg.region import PlanePolicy, RegionPolicy
    from oncoprompt.methods.region_method import RegionMethod, RegionNetwork
    from oncoprompt.methods.tags.compact import CompactTags

    device = next(network.parameters()).device
    if isinstance(network, CompactTags):
        from oncoprompt.methods.tags.compact_method import CompactTagsMethod

        return CompactTagsMethod(network, name, "", device)
    backbone = network.config.backbone if isinstance(network, MSMSeg) else None
    policy = PlanePolicy(plane=backbone.image_size) if isinstance(backbone, HieraConfig) else RegionPolicy()
    return RegionMethod(cast(RegionNetwork, network), name, "", device, policy)
