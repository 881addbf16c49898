"""Velocity fields between the cases of a small data set, kept in a folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from oncoprompt.errors import InputError
from oncoprompt.mixing.anchor import Anchor, agreement
from oncoprompt.mixing.mix import Mixture, mix
from oncoprompt.mixing.velocity_field import FitSettings, VelocityField, fit_velocity_field
from oncoprompt.synthesis.case import LabelledCase

MOST_PARTNERS = 10
MOST_PAIRS = 120
_RANDOM_SHARE = 0.3
_BETWEEN = "--to--"
_ENDING = ".safetensors"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FieldStore:
    """Fields as files `<source>--to--<target>.safetensors` of one folder."""

    folder: Path

    def path(self, source: str, target: str) -> Path:
        """File of a field; names are those of case folders."""
        return self.folder / f"{source}{_BETWEEN}{target}{_ENDING}"

    def field(self, source: str, target: str) -> VelocityField:
        """Read a field; raises InputError where it is missing, damaged or of other cases than its name says."""
        path = self.path(source, target)
        if not path.is_file():
            raise InputError(f"There is no velocity field from '{source}' to '{target}' in '{self.folder}'; fit it.")
        field = VelocityField.load(path)
        if (field.source, field.target) != (source, target):
            raise InputError(
                f"'{path}' holds the field from '{field.source}' to '{field.target}'. Delete it, fit again."
            )
        return field

    def partners(self, source: str) -> list[str]:
        """Cases towards which there is a field, by name."""
        start = f"{source}{_BETWEEN}"
        names = (path.name for path in self.folder.iterdir()) if self.folder.is_dir() else iter(())
        return sorted(n[len(start) : -len(_ENDING)] for n in names if n.startswith(start) and n.endswith(_ENDING))

    def fit(self, source: Anchor, target: Anchor, settings: FitSettings) -> VelocityField:
        """The field between two heads: the one that is there if it was fitted as long, else fitted and kept."""
        path = self.path(source.name, target.name)
        if path.is_file():
            try:
                field = self.field(source.name, target.name)
                if field.iterations >= settings.iterations:
                    return field
            except InputError as error:
                _log.warning("Fitted again: %s", error)
        self.folder.mkdir(parents=True, exist_ok=True)
        field = fit_velocity_field(source, target, settings)
        field.save(path)
        return field

    def mix(self, anchor: LabelledCase, mixture: Mixture) -> LabelledCase:
        """The case a mixture describes; ``anchor`` is the case it names."""
        if anchor.name != mixture.anchor:
            raise InputError(f"The mixture moves case '{mixture.anchor}'; found case '{anchor.name}'.")
        fields = [self.field(mixture.anchor, partner) for partner in mixture.partners]
        return mix(anchor, fields, mixture.weights, mixture.time)


def choose_pairs(
    anchors: Sequence[Anchor],
    rng: np.random.Generator,
    most_partners: int = MOST_PARTNERS,
    most_pairs: int = MOST_PAIRS,
) -> list[tuple[str, str]]:
    """Ordered pairs (source, target) to fit: all of a small set, else the same number of partners for each case.

    Each case gets M = min(``most_partners``, n - 1, max(1, ``most_pairs`` / n)) partners: those it agrees with most as
    they lie, and in the place of the last 30 % random others. Only cases that share a channel are paired.
    """
    count = len(anchors)
    partners = min(most_partners, count - 1, max(1, most_pairs // max(1, count)))
    likeness = np.full((count, count), -np.inf)
    for row in range(count):
        for column in range(row + 1, count):
            if set(anchors[row].channels) & set(anchors[column].channels):
                alike = agreement(anchors[row], anchors[column])
                likeness[row, column] = likeness[column, row] = alike.correlation + float(np.mean(alike.tissue_dice))
    pairs: list[tuple[str, str]] = []
    for row in range(count):
        order = [int(column) for column in np.argsort(-likeness[row]) if np.isfinite(likeness[row, column])]
        near = partners if len(order) <= partners else partners - round(_RANDOM_SHARE * partners)
        others = order[near:]
        random = rng.choice(len(others), min(partners - near, len(others)), replace=False)
        chosen = [*order[:near], *(others[int(index)] for index in random)]
        pairs.extend((anchors[row].name, anchors[column].name) for column in chosen)
    return pairs


def random_mix(
    anchors: Sequence[LabelledCase], store: FieldStore, rng: np.random.Generator, most: int = 3
) -> tuple[LabelledCase, Mixture]:
    """A mixed case of a random anchor and random partners it has fields to, and what it is made of."""
    movable = [case for case in anchors if store.partners(case.name)]
    if not movable:
        raise InputError(
            f"No velocity field in '{store.folder}' starts from one of the {len(anchors)} cases; fit some."
        )
    case = movable[int(rng.integers(len(movable)))]
    mixture = Mixture.random(case.name, store.partners(case.name), rng, most)
    mixed = store.mix(case, mixture)
    return replace(mixed, name=f"{case.name}-mix"), mixture
