"""A data set divided into parts for training, validation and test, patient by patient."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oncoprompt.cohort.cohort import Cohort
from oncoprompt.errors import InputError
from oncoprompt.study.output import write_output

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Shares of the patients by default."""

PUBLISHED_SHARES: Mapping[str, Mapping[str, float]] = {
    "kits21": {"train": 209 / 300, "validation": 30 / 300, "test": 61 / 300},
    "msd-pancreas": {"train": 196 / 281, "validation": 28 / 281, "test": 57 / 281},
    "lits": {"train": 83 / 118, "validation": 11 / 118, "test": 24 / 118},
}
"""Shares that give parts of the sizes TAGS was published with; which cases were in them is not known here."""


@dataclass(frozen=True)
class Split:
    """Parts of a data set: part -> patient -> names of that patient's cases; `seed` drew them.

    Raises InputError where a patient or a case is in two parts.
    """

    parts: Mapping[str, Mapping[str, tuple[str, ...]]]
    seed: int

    def __post_init__(self) -> None:
        for kind, names in (
            ("Patient", [(part, patient) for part, patients in self.parts.items() for patient in patients]),
            ("Case", [(part, case) for part in self.parts for case in self.cases(part)]),
        ):
            seen: dict[str, str] = {}
            for part, name in names:
                if seen.setdefault(name, part) != part:
                    raise InputError(
                        f"{kind} '{name}' is in part '{seen[name]}' and in part '{part}' of the split. Split it again."
                    )

    def cases(self, part: str) -> tuple[str, ...]:
        """Names of the cases of a part; raises InputError with the parts there are."""
        if part not in self.parts:
            raise InputError(f"The split has no part '{part}'. Found: {', '.join(self.parts)}.")
        return tuple(case for cases in self.parts[part].values() for case in cases)

    def sides(self) -> dict[str, str]:
        """The part of every case, by the name of the case."""
        return {case: part for part in self.parts for case in self.cases(part)}

    def select(self, cohort: Cohort, part: str) -> Cohort:
        """The cases of a part; raises InputError for cases the cohort does not have and for patients on two sides."""
        names = set(self.cases(part))
        absent = sorted(names - {case.name for case in cohort.cases})
        if absent:
            raise InputError(
                f"Part '{part}' of the split names {len(absent)} cases that the data set does not have, such as "
                f"'{absent[0]}'. Give the data set that was split, or split this one."
            )
        if leaks := self.leaks(cohort):
            patient, parts = next(iter(leaks.items()))
            raise InputError(
                f"Patient '{patient}' has cases in parts {' and '.join(parts)} of the split. Split the data set again."
            )
        return replace(
            cohort,
            cases=tuple(case for case in cohort.cases if case.name in names),
            problems=tuple(problem for problem in cohort.problems if problem.case in names),
            unused=tuple(problem for problem in cohort.unused if problem.case in names),
        )

    def leaks(self, cohort: Cohort) -> dict[str, tuple[str, ...]]:
        """Patients of a cohort whose cases are in several parts, and those parts."""
        sides, parts = self.sides(), dict[str, set[str]]()
        for case in cohort.cases:
            if case.name in sides:
                parts.setdefault(case.patient, set()).add(sides[case.name])
        return {patient: tuple(sorted(found)) for patient, found in parts.items() if len(found) > 1}

    def write(self, path: Path) -> None:
        """Write the split as JSON, whole or not at all."""
        parts = {
            part: {patient: list(cases) for patient, cases in patients.items()} for part, patients in self.parts.items()
        }
        write_output(path, f"{json.dumps({'seed': self.seed, 'parts': parts}, indent=2)}\n".encode())

    @classmethod
    def read(cls, path: Path, fold: int = 0) -> Split:
        """Read a split, or one of the folds of a list of them.

        A fold is {"train": cases, "val": cases, "test": cases}, a case its own patient, as in nnU-Net's
        splits_final.json; the cases may be the names of a table. Raises InputError for a file of another kind, a fold
        that is not there and a patient on two sides.
        """
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            if "parts" in content:
                parts = {
                    str(part): {str(patient): _names(cases) for patient, cases in patients.items()}
                    for part, patients in content["parts"].items()
                }
                seed = int(content["seed"])
            else:
                parts, seed = _parts_of_fold(content, fold), fold
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"'{path}' cannot be read as a split ({type(error).__name__}: {error}). "
                "Make one with 'oncoprompt data split'."
            ) from error
        return cls(parts, seed)


def split_cohort(cohort: Cohort, shares: Mapping[str, float] = SHARES, seed: int = 0) -> Split:
    """Divide the labelled cases, patient by patient; the order in which files are listed does not matter.

    Each part gets its share of the patients, rounded, and at least one of them. Raises InputError for shares that do
    not sum to one and for fewer patients than parts.
    """
    if not shares or min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        listed = ", ".join(f"{part} {share:g}" for part, share in shares.items())
        raise InputError(f"Shares must be positive and sum to 1; found {listed or 'none'}.")
    patients = _shuffled(cohort, seed)
    if len(patients) < len(shares):
        raise InputError(
            f"Each of the {len(shares)} parts {', '.join(shares)} needs a labelled patient at least; "
            f"found {len(patients)} in the data set."
        )
    names = iter(patients)
    counts = _counts(len(patients), list(shares.values()))
    parts = {
        part: dict(sorted((name := next(names), patients[name]) for _ in range(count)))
        for part, count in zip(shares, counts, strict=True)
    }
    return Split(parts, seed)


def folds(cohort: Cohort, number: int, seed: int = 0) -> list[Split]:
    """Splits for cross-validation: every labelled patient is once in part "validation", else in part "train".

    Raises InputError for fewer than two folds and for fewer patients than folds.
    """
    patients = _shuffled(cohort, seed)
    if not 2 <= number <= len(patients):
        raise InputError(
            f"The number of folds is {number}; it must be 2 to {len(patients)}, the number of labelled patients."
        )
    held_out = [set(list(patients)[fold::number]) for fold in range(number)]
    return [
        Split(
            {
                "train": {name: patients[name] for name in sorted(set(patients) - names)},
                "validation": {name: patients[name] for name in sorted(names)},
            },
            seed,
        )
        for names in held_out
    ]


def _shuffled(cohort: Cohort, seed: int) -> dict[str, tuple[str, ...]]:
    """Cases of each labelled patient, the patients in an order that follows from the seed and their names alone."""
    patients: dict[str, list[str]] = {}
    for case in cohort.labelled:
        patients.setdefault(case.patient, []).append(case.name)
    order = sorted(patients, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return {name: tuple(sorted(set(patients[name]))) for name in order}


def _counts(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that sum to `total`, each the share of it rounded down or up, and at least one."""
    exact = [total * share for share in shares]
    counts = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: total - sum(counts)]:
        counts[part] += 1
    while 0 in counts:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return counts


def _parts_of_fold(content: Any, fold: int) -> dict[str, dict[str, tuple[str, ...]]]:
    """Parts of one of several folds, each a table of parts, in a list or numbered by name."""
    folds = [content[str(number)] for number in range(len(content))] if isinstance(content, dict) else content
    if not 0 <= fold < len(folds):
        raise ValueError(f"it has {len(folds)} folds, none is number {fold}")
    named = {"val": "validation"}
    return {
        named.get(part, part): {name: (name,) for name in _names(list(cases))} for part, cases in folds[fold].items()
    }


def _names(cases: Any) -> tuple[str, ...]:
    if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
        raise TypeError("cases are listed by name")
    return tuple(cases)
