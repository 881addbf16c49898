"""Training items of real lesions in synthetic healthy brains."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from oncoprompt.errors import InputError
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.generate import case_of
from oncoprompt.synthesis.injection import Injection, inject
from oncoprompt.synthesis.subject import Subject
from oncoprompt.training.augmentation import NO_CHANGE, Augmentation
from oncoprompt.training.case_items import CasePatient
from oncoprompt.training.items import ItemConfig, TrainingItem, draw_item, in_whole_tumour

_ATTEMPTS = 4


@dataclass(frozen=True, eq=False)
class InjectedItems:
    """Endless items of composites; ``item(index)`` depends on the seed and the index alone.

    A composite takes seconds to make, so ``variants`` of them serve ``span`` successive indices; as many are kept.
    """

    cases: Sequence[LabelledCase]
    config: ItemConfig
    seed: int = 0
    augment: bool = True
    variants: int = 4
    span: int = 96
    _kept: OrderedDict[int, LabelledCase] = field(default_factory=OrderedDict, init=False, repr=False)

    def item(self, index: int) -> TrainingItem:
        """Draw one of the composites of this stretch, the changes it is seen with, and item ``index`` of it."""
        rng = np.random.default_rng([self.seed, index])
        number = index // self.span * self.variants + int(rng.integers(self.variants))
        if number not in self._kept:
            self._kept[number] = injected_case(self.cases, np.random.default_rng([self.seed, number, 1]))
            if len(self._kept) > self.variants:
                self._kept.popitem(last=False)
        case = self._kept[number]
        change = Augmentation.random(rng, len(case.channels)) if self.augment else NO_CHANGE
        return draw_item(CasePatient(case, change), self.config, rng)


def injected_case(cases: Sequence[LabelledCase], rng: np.random.Generator) -> LabelledCase:
    """The lesion of one case, half of the time morphed towards another's, in a synthetic healthy brain.

    Raises InputError where no case has a tumour, or no brain in a row had a place for it.
    """
    ill = [case for case in cases if bool(in_whole_tumour(case.labels).any())]
    if not ill:
        raise InputError("None of the cases has a tumour that could be injected.")
    for _ in range(_ATTEMPTS):
        chosen = rng.permutation(len(ill))
        source, partner = ill[chosen[0]], ill[chosen[-1]]
        morphed = len(ill) > 1 and rng.random() < 0.5
        background = healthy_case(int(rng.integers(2**48)))
        made = inject(source, background, Injection.random(rng), partner if morphed else None)
        if made is not None:
            return made
    raise InputError(f"{_ATTEMPTS} synthetic brains in a row had no place for a lesion; the lesions may be too large.")


def healthy_case(seed: int) -> LabelledCase:
    """A synthetic healthy head at 1 mm, a function of the seed."""
    return case_of(Subject.random(seed, "healthy"), f"healthy-{seed}")
