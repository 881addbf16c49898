"""Labelled cases on disk: one folder a case, its scans beside its label map, as BraTS lays them out."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oncoprompt.errors import InputError, in_shell
from oncoprompt.study import LabelSchema, Study, read_label_map, schemas
from oncoprompt.study.channels import is_own_result, split_extension
from oncoprompt.study.nifti import scan_files
from oncoprompt.study.schemas import UnnamedSchemaError
from oncoprompt.synthesis.case import LabelledCase

_LABEL_MAP = re.compile(r"(^|[^a-z0-9])seg$")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseFiles:
    """Where a labelled case lies: the folder of its scans and the label map in it."""

    folder: Path
    label_map: Path

    @property
    def name(self) -> str:
        """Name of the case, that of its folder."""
        return self.folder.resolve().name

    def read(self, schema: LabelSchema | str | None = None) -> LabelledCase:
        """The case in the head box; the label map is in ``schema``, or in the schema its file names.

        Raises InputError for files that cannot be read, channels nobody knows or a label map on another grid.
        """
        return LabelledCase.of_study(Study.read(self.folder), read_label_map(self.label_map, schema))


def find_cases(folder: Path) -> list[CaseFiles]:
    """The labelled cases among the sub-folders, by name; nothing is read yet.

    A sub-folder of scans without one `*-seg.nii.gz` (or `_seg`, `seg`) is passed over with a warning that names it.
    Raises InputError where the folder is missing, holds no case, or holds only unlabelled ones.
    """
    cases, unlabelled = _sorted_out(folder)
    if cases:
        return cases
    if unlabelled:
        raise InputError(
            f"None of the {len(unlabelled)} cases in '{folder}' is labelled (the first is '{unlabelled[0]}'). "
            "Put one label map <case>-seg.nii.gz beside the scans of each case."
        )
    hint = " It holds scans itself: give the folder above it." if _scans(folder) else ""
    raise InputError(
        f"Folder '{folder}' holds no cases.{hint} Each case is a sub-folder with its scans and one <case>-seg.nii.gz."
    )


def cases_left_out(folder: Path) -> list[str]:
    """Names of the sub-folders of scans without one label map, which `find_cases` leaves out."""
    return _sorted_out(folder, warn=False)[1]


def _sorted_out(folder: Path, warn: bool = True) -> tuple[list[CaseFiles], list[str]]:
    """The labelled cases of a folder, and the names of those that are none."""
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder}'. Give a folder that holds one folder for each case.")
    cases: list[CaseFiles] = []
    unlabelled: list[str] = []
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        stems = _scans(path)
        label_maps = [scan for scan, stem in stems.items() if _LABEL_MAP.search(stem.lower())]
        if len(label_maps) == 1:
            cases.append(CaseFiles(path, label_maps[0]))
        elif stems:
            found = ", ".join(scan.name for scan in label_maps) or "no label map"
            if warn:
                _log.warning("Case '%s' is left out: found %s; it needs one file *-seg.nii.gz.", path.name, found)
            unlabelled.append(path.name)
    return cases, unlabelled


def read_cases(folder: Path, schema: LabelSchema | str | None = None, at_least: int = 1) -> Iterator[LabelledCase]:
    """Read the labelled cases of a folder one after another, in the order of their names.

    ``schema`` is that of every label map, or None for the schema each file names. A case that cannot be read is passed
    over with a warning that names it, but one whose schema nobody names raises. Raises InputError at once as
    `find_cases` does, for an unknown schema and for fewer than ``at_least`` labelled cases, and at the end where fewer
    could be read.
    """
    known = schemas.get(schema) if isinstance(schema, str) else schema
    cases = find_cases(folder)
    if len(cases) < at_least:
        raise _too_few(folder, len(cases), at_least, "")
    return _readable(folder, cases, known, at_least)


def _readable(
    folder: Path, cases: Sequence[CaseFiles], schema: LabelSchema | None, at_least: int
) -> Iterator[LabelledCase]:
    read, reason = 0, ""
    for files in cases:
        try:
            case = files.read(schema)
        except UnnamedSchemaError:
            # what is missing here is missing for every case, and whoever asks can say it once
            raise
        except (InputError, OSError) as error:
            reason = f" '{files.name}' cannot be read: {in_shell(error)}"
            _log.warning("Case '%s' is left out: %s", files.name, in_shell(error))
            continue
        read += 1
        yield case
    if read < at_least:
        raise _too_few(folder, read, at_least, reason)


def _too_few(folder: Path, found: int, needed: int, reason: str) -> InputError:
    return InputError(
        f"Folder '{folder}' holds too few labelled cases: {found} can be used; this needs at least {needed}.{reason}"
    )


def _scans(folder: Path) -> dict[Path, str]:
    """Files of a folder that are named as scans are, and their stems."""
    parts = {path: split_extension(path.name) for path in scan_files(folder.iterdir())}
    named = {path: part[0] for path, part in parts.items() if part is not None}
    return {path: stem for path, stem in named.items() if not is_own_result(stem)}
