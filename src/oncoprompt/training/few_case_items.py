"""What a model learns few real cases from: them, heads between them, their lesions elsewhere, synthetic people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from oncoprompt.mixing.velocity_field import VelocityField
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.training.case_items import CaseItems
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.injected_items import InjectedItems
from oncoprompt.training.ism_items import IsmItems
from oncoprompt.training.items import ItemConfig, SyntheticItems
from oncoprompt.training.mixed_items import MixedItems


@dataclass(frozen=True)
class Shares:
    """How often an item is real, a mix of real heads (ISM), a real lesion injected elsewhere, or synthetic."""

    real: float = 0.4
    ism: float = 0.2
    injected: float = 0.2
    synthetic: float = 0.2

    def without_mixing(self) -> Shares:
        """The same shares of one another, none of them mixed."""
        return Shares(self.real, 0.0, self.injected, self.synthetic)


def few_case_items(
    cases: Sequence[LabelledCase],
    velocity_fields: Mapping[str, Sequence[VelocityField]],
    shares: Shares,
    config: ItemConfig,
    seed: int,
    augment: bool = True,
) -> MixedItems:
    """Items of the sources that have a share; without velocity fields, none are mixed."""
    if not any(velocity_fields.values()):
        shares = shares.without_mixing()
    sources: dict[str, ItemSource] = {
        "real": CaseItems(cases, config, seed, augment),
        "ism": IsmItems(cases, velocity_fields, config, seed, augment),
        "injected": InjectedItems(cases, config, seed, augment),
        "synthetic": SyntheticItems(config, seed),
    }
    wanted = {member.name: getattr(shares, member.name) for member in fields(shares)}
    used = {name: share for name, share in wanted.items() if share > 0}
    return MixedItems({name: sources[name] for name in used}, used, seed)
