"""Profiles: the rules by which a challenge's code turns a label map into lesion-wise scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from oncoprompt.errors import InputError


@dataclass(frozen=True)
class Profile:
    """The rules of one challenge's code, quirks included: its figures are what that code prints.

    2023 and 2024: truth lesions whose dilations touch are one lesion, a lesion is compared with every predicted
    component that touches its dilation, and missed and spurious lesions count with Dice 0 and the penalty. 2024 merges
    predicted components in the same way and drops small ones. 2026 pairs components one to one by Dice and averages
    over pairs alone.

    Checked against figures printed by the official code: 2023 GLI, MEN, MET; 2024 GLI, MEN, MET, SSA, PED; 2026 MenPre.
    The others, and the resection cavity, follow the published rules and were never compared with a run of theirs.
    """

    name: str
    regions: Mapping[str, frozenset[int]]
    family: Literal[2023, 2024, 2026]
    schema: str = "brats2023"
    """Label schema of `oncoprompt.study.schemas` that the label maps are in."""
    dilation: int = 0
    """Times a truth mask is dilated, with the 18-neighbourhood, to join what is near."""
    region_dilation: Mapping[str, int] = field(default_factory=dict)
    threshold: float = 0.0
    """True lesions up to so many mm3 are left out; predicted ones that are merged, up to so many voxels."""
    region_threshold: Mapping[str, float] = field(default_factory=dict)
    penalty_mm: float | None = 374.0
    """Hausdorff distance of a missed or spurious lesion; None is the image's diagonal in voxels."""
    missing_penalty_mm: float = 374.0
    """Hausdorff distance where there is no prediction at all."""
    merges_predictions: bool = False
    """Predicted components whose dilations touch are one, small ones dropped. Such code then hands their numbers, not a
    mask, to the Hausdorff distance, sensitivity and specificity of the whole region; so is it done here."""
    prunes_by_volume: bool = False
    """Small predicted components are told by mm3 like true lesions, not by voxels."""
    penalises_spurious: bool = True
    smallest_overlap: float = 1e-6
    """Dice from which two components can be a pair (2026)."""

    def dilation_of(self, region: str) -> int:
        """Times the masks of a region are dilated."""
        return self.region_dilation.get(region, self.dilation)

    def threshold_of(self, region: str) -> float:
        """Size up to which lesions of a region are left out."""
        return self.region_threshold.get(region, self.threshold)

    def describe(self) -> str:
        """The rules in words, for reports."""
        if self.family == 2026:
            small = f"; components under {self.threshold:g} mm3 are left out" if self.threshold else ""
            return (
                f"{self.name}: predicted and true components are paired one to one by the largest sum of Dice, from "
                f"{self.smallest_overlap:g} on{small}. Lesion-wise figures are means over pairs; missed and spurious "
                "lesions show in the counts."
            )
        joined = ", ".join(f"{self.dilation_of(r)} for {r}" for r in self.regions)
        small = ", ".join(f"{self.threshold_of(r):g} for {r}" for r in self.regions)
        penalty = "the image diagonal in voxels" if self.penalty_mm is None else f"{self.penalty_mm:g} mm"
        counted = "Missed and spurious" if self.penalises_spurious else "Missed (not spurious)"
        merged = " Predicted components are merged likewise and dropped up to that size." * self.merges_predictions
        return (
            f"{self.name}: true components that touch after dilation are one lesion (times dilated: {joined}); lesions "
            f"up to a size are left out (mm3: {small}).{merged} A lesion is compared with all predicted components its "
            f"dilation touches. {counted} lesions count with Dice 0 and a Hausdorff distance of {penalty}."
        )


_TUMOUR = {"WT": frozenset({1, 2, 3}), "TC": frozenset({1, 3}), "ET": frozenset({3})}
_CAVITY = {**_TUMOUR, "RC": frozenset({4})}
_TREATED = {**_TUMOUR, "NETC": frozenset({1}), "SNFH": frozenset({2}), "ET": frozenset({3}), "RC": frozenset({4})}
_CHILD = {
    "WT": frozenset({1, 2, 3, 4}),
    "TC": frozenset({1, 2, 3}),
    "ET": frozenset({1}),
    "NETC": frozenset({2}),
    "CC": frozenset({3}),
    "ED": frozenset({4}),
}
_GTV = {"GTV": frozenset({1})}

_2023 = (
    Profile("brats2023-gli", _TUMOUR, 2023, dilation=3, threshold=50),
    Profile("brats2023-ssa", _TUMOUR, 2023, dilation=3, threshold=50),
    Profile("brats2023-ped", _TUMOUR, 2023, dilation=3, threshold=50),
    Profile("brats2023-men", _TUMOUR, 2023, dilation=1, threshold=50),
    Profile("brats2023-met", _TUMOUR, 2023, dilation=1, threshold=2),
)
_2024 = (
    Profile(
        "brats2024-gli",
        _TREATED,
        2024,
        schema="brats2024-gli",
        dilation=3,
        # The code means 5 for SNFH too, but misspells the name it tests for.
        region_dilation={"NETC": 5, "RC": 5},
        threshold=20,
        region_threshold={"ET": 10},
        penalty_mm=337.0,
        missing_penalty_mm=337.0,
        merges_predictions=True,
    ),
    Profile("brats2024-men", _TUMOUR, 2024, dilation=1, threshold=50),
    Profile(
        "brats2024-met",
        _CAVITY,
        2024,
        schema="brats2024-gli",
        dilation=1,
        threshold=2,
        penalty_mm=None,
        merges_predictions=True,
    ),
    Profile("brats2024-ssa", _TUMOUR, 2024, dilation=3, threshold=50, merges_predictions=True),
    Profile(
        "brats2024-ped",
        _CHILD,
        2024,
        schema="brats2024-ped",
        dilation=5,
        threshold=10,
        merges_predictions=True,
    ),
    Profile(
        "brats2024-men-rt",
        _GTV,
        2024,
        schema="men-rt",
        dilation=1,
        threshold=50,
        penalty_mm=None,
        merges_predictions=True,
        prunes_by_volume=True,
        penalises_spurious=False,
    ),
)
_2026 = tuple(
    replace(plain, penalty_mm=373.0, missing_penalty_mm=373.0)
    for plain in (
        Profile("brats2026-gli", _TREATED, 2026, schema="brats2024-gli"),
        Profile("brats2026-mets", _CAVITY, 2026, schema="brats2024-gli", threshold=27, smallest_overlap=0.2),
        Profile("brats2026-ped", _CHILD, 2026, schema="brats2024-ped"),
        Profile("brats2026-menrt", _GTV, 2026, schema="men-rt"),
        Profile("brats2026-menpre", _TUMOUR, 2026),
        Profile("brats2026-goat", _TUMOUR, 2026),
    )
)
_2025 = tuple(replace(rules, name=rules.name.replace("2024", "2025")) for rules in _2024)

PROFILES: Mapping[str, Profile] = {rules.name: rules for rules in (*_2023, *_2024, *_2025, *_2026)}
"""Every profile by its name."""

_SPELLINGS = {"men-pre": "men", "menpre": "men", "mets": "met", "menrt": "men-rt"}


def profile(name: str) -> Profile:
    """The profile of that name, in any usual spelling (`brats2026-met` is `brats2026-mets`).

    Raises InputError with the names there are.
    """
    wanted = _plain(name)
    for rules in PROFILES.values():
        if _plain(rules.name) == wanted:
            return rules
    raise InputError(f"There is no profile '{name}'. Known: {', '.join(PROFILES)}.")


def _plain(name: str) -> str:
    edition, _, challenge = name.strip().lower().replace("_", "-").replace("brats-", "brats").partition("-")
    return f"{edition}-{_SPELLINGS.get(challenge, challenge)}"
