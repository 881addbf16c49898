"""Training items of heads between the real ones: implicit spatiotemporal mixing (ISM) inside the training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oncoprompt.mixing.anchor import Anchor
from oncoprompt.mixing.mix import Mixture, mixed_displacement
from oncoprompt.mixing.store import FieldStore, choose_pairs
from oncoprompt.mixing.velocity_field import FitSettings, VelocityField
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.training.augmentation import NO_CHANGE, Augmentation
from oncoprompt.training.case_items import CasePatient
from oncoprompt.training.items import ItemConfig, TrainingItem, draw_item

logger = logging.getLogger("oncoprompt.training")


@dataclass(frozen=True)
class IsmItems:
    """Endless items of mixed heads; ``item(index)`` depends on the seed and the index alone.

    ``fields`` are the velocity fields that start from each case, by its name. A mix is a deformation of its anchor, so
    it is composed with the item's own augmentation, and images are interpolated once.
    """

    cases: Sequence[LabelledCase]
    fields: Mapping[str, Sequence[VelocityField]]
    config: ItemConfig
    seed: int = 0
    augment: bool = True

    def item(self, index: int) -> TrainingItem:
        """Draw an anchor, partners, their weights and how far it moves, and item ``index`` of that head."""
        rng = np.random.default_rng([self.seed, index])
        movable = [case for case in self.cases if self.fields.get(case.name)]
        case = movable[int(rng.integers(len(movable)))]
        towards = {field.target: field for field in self.fields[case.name]}
        mixture = Mixture.random(case.name, sorted(towards), rng)
        displacement = mixed_displacement([towards[n] for n in mixture.partners], mixture.weights, mixture.time)
        change = Augmentation.random(rng, len(case.channels)) if self.augment else NO_CHANGE
        return draw_item(CasePatient(case, change.after(displacement)), self.config, rng)


def fitted_fields(
    cases: Sequence[LabelledCase],
    store: FieldStore,
    minutes: float,
    settings: FitSettings = FitSettings(),  # noqa: B008
    most_partners: int = 4,
) -> dict[str, list[VelocityField]]:
    """Velocity fields between cases, fitted until ``minutes`` are over, and those already in the store.

    At least one is fitted where two cases share a channel. Cases in turn get their first partner, then the next.
    """
    anchors = [Anchor.of_case(case) for case in cases]
    pairs = choose_pairs(anchors, np.random.default_rng(settings.seed), most_partners)
    ranks: dict[str, int] = {}
    turns = []
    for source, target in pairs:
        ranks[source] = ranks.get(source, -1) + 1
        turns.append((ranks[source], source, target))
    ordered = [(source, target) for _, source, target in sorted(turns, key=lambda turn: turn[0])]
    named = {anchor.name: anchor for anchor in anchors}
    fields: dict[str, list[VelocityField]] = {}
    done = 0
    began = time.monotonic()
    for source, target in ordered:
        fields.setdefault(source, []).append(store.fit(named[source], named[target], settings))
        done += 1
        if time.monotonic() - began > 60.0 * minutes:
            break
    logger.info("%d of %d deformations between cases fitted.", done, len(ordered))
    return fields


def stored_fields(cases: Sequence[LabelledCase], store: FieldStore) -> dict[str, list[VelocityField]]:
    """The velocity fields between cases that a store holds."""
    names = {case.name for case in cases}
    return {name: [store.field(name, other) for other in store.partners(name) if other in names] for name in names}
