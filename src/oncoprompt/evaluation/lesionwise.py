"""Scores of a label map lesion by lesion, by the rules of a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.evaluation.comparison import TOLERANCES_MM, Comparison, compare
from oncoprompt.evaluation.confusion import sensitivity_and_specificity
from oncoprompt.evaluation.lesions import LesionRules, LesionScores
from oncoprompt.evaluation.profiles import Profile
from oncoprompt.geometry.bounds import mask_bounds
from oncoprompt.study import schemas

__all__ = ["TOLERANCES_MM", "LesionScores", "LesionWiseScores", "missing_case", "score_case"]


@dataclass(frozen=True)
class LesionWiseScores:
    """Scores of one region: of the whole of it, and averaged over its lesions.

    `nsd` and `lesionwise_nsd` map a tolerance in mm to the normalised surface Dice. True positives and false negatives
    count true lesions, false positives predicted ones. `lesions` holds those that are counted.
    """

    dice: float
    hausdorff95_mm: float
    nsd: Mapping[float, float]
    lesionwise_dice: float
    lesionwise_hausdorff95_mm: float
    lesionwise_nsd: Mapping[float, float]
    true_positives: int
    false_positives: int
    false_negatives: int
    sensitivity: float
    specificity: float
    volume_ml: float
    truth_volume_ml: float
    lesions: tuple[LesionScores, ...]

    @property
    def f1(self) -> float:
        """F1 = 2 TP / (2 TP + FP + FN) over lesions; NaN where there is none."""
        counted = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / counted if counted else float("nan")


def score_case(
    prediction: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float], profile: Profile
) -> dict[str, LesionWiseScores]:
    """Scores of every region of a profile, for label maps (I, J, K) in the numbering of its schema.

    Where neither map has a region, editions to 2025 give Dice and NSD 1 and 0 mm, that of 2026 NaN. Where only lesions
    too small to count are true and none is predicted, lesion-wise figures are those of none. Raises InputError where
    shapes or spacing do not fit and for numbers outside the schema.
    """
    if truth.ndim != 3 or prediction.shape != truth.shape:
        raise InputError(
            f"A prediction of shape {prediction.shape} does not fit a truth of shape {truth.shape}; give two label "
            "maps (I, J, K) on one grid."
        )
    if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise InputError(f"Spacing is {tuple(spacing_mm)} mm; give three lengths above 0.")
    schema = schemas.get(profile.schema)
    p, t = _cropped(*(np.ascontiguousarray(schema.check(labels)) for labels in (prediction, truth)))
    scores = {}
    for region, values in profile.regions.items():
        p_mask, t_mask = _cropped(np.isin(p, list(values)), np.isin(t, list(values)))
        scores[region] = _score_region(p_mask, t_mask, truth.shape, spacing_mm, profile, region)
    return scores


def missing_case(truth: NDArray[Any], spacing_mm: Sequence[float], profile: Profile) -> dict[str, LesionWiseScores]:
    """Scores where there is no prediction: 0 and the profile's penalty for every region, every true lesion missed."""
    none = dict.fromkeys(TOLERANCES_MM, 0.0)
    return {
        region: replace(
            scores,
            dice=0.0,
            hausdorff95_mm=profile.missing_penalty_mm,
            nsd=none,
            lesionwise_dice=0.0,
            lesionwise_hausdorff95_mm=profile.missing_penalty_mm,
            lesionwise_nsd=none,
            sensitivity=0.0,
            specificity=0.0,
        )
        for region, scores in score_case(np.zeros_like(truth), truth, spacing_mm, profile).items()
    }


def _score_region(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    shape: tuple[int, ...],
    spacing_mm: Sequence[float],
    profile: Profile,
    region: str,
) -> LesionWiseScores:
    """Scores of two masks cut out of a scan of some shape."""
    penalty_mm = float(np.linalg.norm(shape)) if profile.penalty_mm is None else profile.penalty_mm
    rules = LesionRules(profile, region, spacing_mm, np.inf if profile.family == 2026 else penalty_mm)
    p_parts, t_parts = rules.predicted_components(prediction), rules.true_components(truth)
    lesions = rules.score(p_parts, t_parts)
    p, t = (p_parts.labels, t_parts.labels) if profile.merges_predictions else (prediction, truth)
    whole = compare(prediction, truth, spacing_mm, None if profile.family == 2026 else (p, t))
    if not np.isfinite(whole.hausdorff95_mm):
        whole = replace(whole, hausdorff95_mm=penalty_mm)
    if not (prediction.any() or truth.any()):
        whole = _of_none(profile)
    sensitivity, specificity = sensitivity_and_specificity(p, t, int(np.prod(shape)))
    mean = _mean(lesions, rules)
    kinds = [lesion.kind for lesion in lesions]
    ml = rules.voxel_mm3 / 1000.0
    return LesionWiseScores(
        dice=whole.dice,
        hausdorff95_mm=whole.hausdorff95_mm,
        nsd=whole.nsd,
        lesionwise_dice=mean.dice,
        lesionwise_hausdorff95_mm=mean.hausdorff95_mm,
        lesionwise_nsd=mean.nsd,
        true_positives=kinds.count("matched"),
        false_positives=kinds.count("spurious"),
        false_negatives=kinds.count("missed"),
        sensitivity=sensitivity,
        specificity=specificity,
        volume_ml=int(np.count_nonzero(prediction)) * ml,
        truth_volume_ml=int(np.count_nonzero(truth)) * ml,
        lesions=lesions,
    )


def _mean(lesions: tuple[LesionScores, ...], rules: LesionRules) -> Comparison:
    """Mean over the lesions that a profile averages; that of a lesion not found where it averages none of those."""
    left_out = {"missed", "spurious"} if rules.profile.family == 2026 else set()
    if not rules.profile.penalises_spurious:
        left_out.add("spurious")
    averaged = [lesion for lesion in lesions if lesion.kind not in left_out] or lesions
    if not averaged:
        return _of_none(rules.profile)
    return Comparison(
        float(np.mean([lesion.dice for lesion in averaged])),
        float(np.mean([lesion.hausdorff95_mm for lesion in averaged])),
        {tolerance: float(np.mean([lesion.nsd[tolerance] for lesion in averaged])) for tolerance in TOLERANCES_MM},
    )


def _of_none(profile: Profile) -> Comparison:
    """Scores where there is nothing to find and nothing was found."""
    perfect, far = (float("nan"), float("nan")) if profile.family == 2026 else (1.0, 0.0)
    return Comparison(perfect, far, dict.fromkeys(TOLERANCES_MM, perfect))


def _cropped(one: NDArray[Any], other: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two arrays of one shape cut to the box around what either holds, to one voxel where both are empty."""
    present = (one != 0) | (other != 0)
    bounds = mask_bounds(present) if present.any() else np.array([[0, 1]] * 3)
    box = tuple(slice(int(low), int(high)) for low, high in bounds)
    return one[box], other[box]
