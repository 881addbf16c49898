"""Scores of single lesions: which predicted component belongs to which true one, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oncoprompt.evaluation.comparison import TOLERANCES_MM, Comparison, compare
from oncoprompt.evaluation.components import Components, covering, paired, touching
from oncoprompt.evaluation.profiles import Profile


@dataclass(frozen=True)
class LesionScores:
    """One lesion: a true one with what was predicted of it, or a predicted one that is not there.

    Lesions are numbered from 1, the true ones first; distances in mm, volumes in ml, NSD by tolerance in mm.
    """

    lesion: int
    kind: Literal["matched", "missed", "spurious"]
    volume_ml: float
    truth_volume_ml: float
    dice: float
    hausdorff95_mm: float
    nsd: Mapping[float, float]


@dataclass(frozen=True, eq=False)
class LesionRules:
    """A profile's rules for one region in a scan: `penalty_mm` is the distance of a lesion without counterpart."""

    profile: Profile
    region: str
    spacing_mm: Sequence[float]
    penalty_mm: float

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm))

    def true_components(self, mask: NDArray[np.bool_]) -> Components:
        """Lesions of the truth, of any size."""
        return Components.of(mask, self.profile.dilation_of(self.region))

    def predicted_components(self, mask: NDArray[np.bool_]) -> Components:
        """Lesions of the prediction, without those the profile drops."""
        if not self.profile.merges_predictions:
            return Components.of(mask)
        smallest = self.profile.threshold_of(self.region) / (self.voxel_mm3 if self.profile.prunes_by_volume else 1.0)
        return Components.of(mask, self.profile.dilation_of(self.region)).larger_than(smallest)

    def score(self, prediction: Components, truth: Components) -> tuple[LesionScores, ...]:
        """Scores of every lesion that counts."""
        profile, threshold = self.profile, self.profile.threshold_of(self.region)
        pairing = profile.family == 2026
        if pairing:
            found = paired(truth, prediction, profile.smallest_overlap)
        else:
            found = touching(truth, prediction, profile.dilation_of(self.region))
        scores: list[LesionScores] = []
        for number, others in enumerate(found, start=1):
            if truth.voxels[number - 1] * self.voxel_mm3 > threshold:
                scores.append(self._true_lesion(len(scores) + 1, prediction, others, truth, number))
        known = {other for others in found for other in others}
        for number, voxels in enumerate(prediction.voxels.tolist(), start=1):
            if number not in known and not (pairing and voxels * self.voxel_mm3 <= threshold):
                scores.append(self._row(len(scores) + 1, "spurious", voxels, 0, self._none))
        return tuple(scores)

    def _true_lesion(
        self, lesion: int, prediction: Components, others: list[int], truth: Components, number: int
    ) -> LesionScores:
        voxels = int(truth.voxels[number - 1])
        if not others:
            return self._row(lesion, "missed", 0, voxels, self._none)
        box = covering([truth.boxes[number - 1], *(prediction.boxes[other - 1] for other in others)])
        predicted, true = prediction.mask(others, box), truth.labels[box] == number
        how_well = compare(predicted, true, self.spacing_mm, None if self.profile.family == 2026 else (predicted, true))
        return self._row(lesion, "matched", int(np.count_nonzero(predicted)), voxels, how_well)

    def _row(
        self, lesion: int, kind: Literal["matched", "missed", "spurious"], voxels: int, true: int, found: Comparison
    ) -> LesionScores:
        ml = self.voxel_mm3 / 1000.0
        return LesionScores(lesion, kind, voxels * ml, true * ml, found.dice, found.hausdorff95_mm, found.nsd)

    @property
    def _none(self) -> Comparison:
        return Comparison(0.0, self.penalty_mm, dict.fromkeys(TOLERANCES_MM, 0.0))
