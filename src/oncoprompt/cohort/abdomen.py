"""CT of abdominal tumours as it is distributed: KiTS, a folder a case, and LiTS, numbered files."""

from __future__ import annotations

import re
from pathlib import Path

from oncoprompt.cohort.case import Case, Source
from oncoprompt.cohort.cohort import Cohort, Problem
from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema, schemas
from oncoprompt.study.channels import split_extension

_KITS_IMAGE = "imaging.nii.gz"
_KITS_LABELS = ("aggregated_MAJ_seg.nii.gz", "segmentation.nii.gz")
_LITS_IMAGE = re.compile(r"volume-(\d+)")
_LITS_DEPTH = 2


def is_kits(folder: Path) -> bool:
    """Whether a folder, or the folder `data` in it, has a case of KiTS."""
    return any(True for _ in (*folder.glob(f"case_*/{_KITS_IMAGE}"), *folder.glob(f"data/case_*/{_KITS_IMAGE}")))


def is_lits(folder: Path) -> bool:
    """Whether a folder, or one up to two folders below it, has a volume of LiTS."""
    return bool(_lits_volumes(folder))


def read_kits(folder: Path, schema: LabelSchema | None = None) -> Cohort:
    """One case for each `case_*/imaging.nii.gz`, its label map the majority's of KiTS21 or the one of KiTS23.

    A case is its own patient. Raises InputError where there is none.
    """
    schema = schema or schemas.get("kits21")
    cases: list[Case] = []
    problems: list[Problem] = []
    for image in sorted((*folder.glob(f"case_*/{_KITS_IMAGE}"), *folder.glob(f"data/case_*/{_KITS_IMAGE}"))):
        name = image.parent.name
        label_map = next((image.with_name(file) for file in _KITS_LABELS if image.with_name(file).is_file()), None)
        if label_map is None:
            problems.append(Problem(name, "no label map", f"no label map {' or '.join(_KITS_LABELS)}."))
        cases.append(Case(name, name, {"ct": Source(image)}, label_map, schema))
    if not cases:
        raise InputError(f"'{folder}' holds no case of KiTS. They are named case_00000/{_KITS_IMAGE}.")
    return Cohort("kits21", tuple(cases), tuple(problems))


def read_lits(folder: Path, schema: LabelSchema | None = None) -> Cohort:
    """One case for each `volume-<number>.nii`, its label map `segmentation-<number>.nii` beside it.

    They lie in the folder or up to two folders below it, compressed or not. A case is its own patient. Raises
    InputError where there is none.
    """
    schema = schema or schemas.get("organ-tumour")
    cases: list[Case] = []
    problems: list[Problem] = []
    for name, image in _lits_volumes(folder):
        stem = name.replace("volume", "segmentation")
        maps = [path for ending in (".nii", ".nii.gz") if (path := image.with_name(stem + ending)).is_file()]
        if not maps:
            problems.append(Problem(name, "no label map", f"no label map {stem}.nii beside {image.name}."))
        cases.append(Case(name, name, {"ct": Source(image)}, maps[0] if maps else None, schema))
    if not cases:
        raise InputError(f"'{folder}' holds no case of LiTS. They are named volume-0.nii and segmentation-0.nii.")
    return Cohort("lits", tuple(cases), tuple(problems))


def _lits_volumes(folder: Path) -> list[tuple[str, Path]]:
    """Names and paths of the volumes, by number."""
    found = []
    for depth in range(_LITS_DEPTH + 1):
        for path in folder.glob(f"{'*/' * depth}volume-*.nii*"):
            parts = split_extension(path.name)
            if parts is not None and (match := _LITS_IMAGE.fullmatch(parts[0])):
                found.append((int(match[1]), parts[0], path))
    return [(name, path) for _, name, path in sorted(found)]
