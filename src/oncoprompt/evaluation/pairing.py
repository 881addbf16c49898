"""Which predicted label map belongs to which true one, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oncoprompt.errors import InputError
from oncoprompt.study.channels import EXTENSIONS, OWN_RESULT, channel_of_stem, is_own_result, split_extension
from oncoprompt.study.nifti import scan_files
from oncoprompt.study.unused import unread_stem

_LABELS = re.compile(r"[-_](seg|gtv)$", re.IGNORECASE)
# What the organisers of BraTS find in the name of a submitted file: patient and time.
_NUMBER = re.compile(r"\d{5}-\d{3}")


@dataclass(frozen=True)
class Pair:
    """The label maps of one case; `prediction` is None where there is none to use, and `problem` then says why."""

    case: str
    truth: Path
    prediction: Path | None
    problem: str | None = None


@dataclass(frozen=True)
class Pairing:
    """Every case with one true label map, in the order of their names, and what could not be paired.

    `unusable` says why a case has no truth to score it against; `without_truth` names the other predictions.
    """

    pairs: tuple[Pair, ...]
    without_truth: tuple[str, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)


def pair_label_maps(truth: Path, prediction: Path) -> Pairing:
    """Pair two folders of `<case>.nii.gz` or `<case>-seg.nii.gz`, at hand or in one sub-folder a case; or two files.

    What is left over by name is paired by the number that BraTS identifies a case by (`00132-000`), where one file has
    it on either side. Raises InputError for a place that is not there or holds no label map, and where none pairs.
    """
    true, predicted = _label_maps(truth, own=False), _label_maps(prediction, own=True)
    if truth.is_file() and prediction.is_file():
        return Pairing((Pair(next(iter(true)), truth, prediction),))
    unusable = {case: _several(files) for case, files in true.items() if len(files) > 1}
    partners = _partners(true, predicted)
    if not partners:
        raise InputError(
            f"No prediction belongs to a truth: '{prediction}' holds {_some(predicted)}, '{truth}' holds "
            f"{_some(true)}. Name both files of a case <case>.nii.gz or <case>-seg.nii.gz."
        )
    pairs = []
    for case, files in true.items():
        if case in unusable:
            continue
        found = predicted[partners[case]] if case in partners else []
        problem = None if len(found) == 1 else _several(found) if found else "There is no prediction."
        pairs.append(Pair(case, files[0], found[0] if problem is None else None, problem))
    used = set(partners.values())
    return Pairing(tuple(pairs), tuple(case for case in predicted if case not in used), unusable)


def _partners(true: Iterable[str], predicted: Iterable[str]) -> dict[str, str]:
    """Name among the predictions of each true case that has one: its own, else the only other one with its number."""
    partners = {case: case for case in true if case in set(predicted)}
    left = _by_number(case for case in true if case not in partners)
    other = _by_number(case for case in predicted if case not in partners)
    for number, cases in left.items():
        if len(cases) == 1 and len(other.get(number, ())) == 1:
            partners[cases[0]] = other[number][0]
    return partners


def _by_number(cases: Iterable[str]) -> dict[str, list[str]]:
    numbered: dict[str, list[str]] = {}
    for case in cases:
        if match := _NUMBER.search(case):
            numbered.setdefault(match.group(), []).append(case)
    return numbered


def _label_maps(place: Path, own: bool) -> dict[str, list[Path]]:
    """Label maps of each case in a folder, in the order of their names, or the one of a file.

    With ``own``, a result of OncoPrompt beside the expert's label map is the one that is meant.
    """
    if not place.exists():
        raise InputError(f"File or folder '{place}' does not exist.")
    if place.is_file():
        parts = split_extension(place.name)
        if parts is None:
            raise InputError(f"'{place.name}' is no label map this package reads; give {', '.join(EXTENSIONS)}.")
        return {_LABELS.sub("", parts[0]): [place]}
    found: dict[str, list[Path]] = {}
    for path in sorted(path for path in place.iterdir() if not path.name.startswith(".")):
        inside = path.iterdir() if path.is_dir() else [path]
        for file in scan_files(inside):
            case = _case_of(file, anything=not path.is_dir(), own=own)
            if case is not None:
                found.setdefault(case, []).append(file)
    if not found:
        raise InputError(
            f"Folder '{place}' holds no label maps. Each case is a file <case>.nii.gz or <case>-seg.nii.gz, or a "
            "sub-folder with <case>-seg.nii.gz in it."
        )
    ours = {case: [file for file in files if is_own_result(file.name)] for case, files in found.items()}
    return {case: ours[case] or files for case, files in sorted(found.items())}


def _case_of(file: Path, anything: bool, own: bool) -> str | None:
    """Case that a file name gives: that of `<case>-seg`, and if `anything` will do, of any name but a scan's.

    Results of OncoPrompt beside scans are label maps of predictions (``own``) and never of truth.
    """
    # one in a format that is not read is a problem of its case and no absence
    stem = (split_extension(file.name) or [unread_stem(file.name)])[0]
    if stem is None:
        return None
    case = _LABELS.sub("", stem)
    if is_own_result(case):
        # beside the scans lie both, the expert's and ours: the name says which is which
        # what follows its mark is no label map but a map of probabilities
        return case[: -len(OWN_RESULT)] if own and case.lower().endswith(OWN_RESULT) else None
    if case != stem:
        return case
    return case if anything and channel_of_stem(case) is None else None


def _several(files: list[Path]) -> str:
    return f"It has {len(files)} label maps: {', '.join(file.name for file in files)}. Keep one."


def _some(cases: Mapping[str, list[Path]]) -> str:
    shown = ", ".join(list(cases)[:3])
    return shown if len(cases) <= 3 else f"{shown}, ... ({len(cases)} cases)"
