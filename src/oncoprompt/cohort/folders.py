"""One folder a case, or the files of many cases in one folder: scans and label maps told apart by their names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oncoprompt.cohort.brats import edition_of
from oncoprompt.cohort.case import Case, Source
from oncoprompt.cohort.cohort import Cohort, Problem, missing_channels
from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema, schemas
from oncoprompt.study.channels import channel_of_stem, is_mask, is_own_result, split_extension
from oncoprompt.study.nifti import scan_files
from oncoprompt.study.unused import is_usual, unread_stem, why_unused

_LABEL_MAP = re.compile(r"(^|[-_. ])(seg|gtv)$")
_DEPTH = 2


@dataclass
class Files:
    """Files of one case while they are gathered: scans by channel, label maps, and others."""

    channels: dict[str, list[Path]] = field(default_factory=dict)
    label_maps: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    def contradiction(self) -> str | None:
        """What keeps these files from being one case, or None."""
        for what, files in (*((f"channel {name}", files) for name, files in self.channels.items()),
                            ("the label map", self.label_maps)):  # fmt: skip
            if len(files) > 1:
                return f"{len(files)} files for {what}: {', '.join(path.name for path in files)}. Keep one."
        return None


def read_folders(folder: Path, schema: LabelSchema | None = None) -> Cohort:
    """The cases in a folder and up to two folders below it, as BraTS lays them out in all its editions.

    The layout is brats2021, brats2023 or, with names of neither, folders. Raises InputError where no scan is found.
    """
    gathered: dict[str, list[Files]] = {}
    unused: list[Problem] = []
    nameless: list[Problem] = []
    for name, files in _gather(folder, unused):
        if files.channels or files.label_maps:
            gathered.setdefault(name, []).append(files)
        else:
            nameless.append(_nameless(name, files))
    cases: list[Case] = []
    problems: list[Problem] = []
    for name, several in sorted(gathered.items()):
        for files in several:
            contradiction = files.contradiction()
            if contradiction is not None:
                problems.append(Problem(name, "contradiction", contradiction))
            elif not files.channels:
                problems.append(Problem(name, "missing channel", f"no scan beside {files.label_maps[0].name}."))
            else:
                cases.append(_case(name, files, schema))
                if not files.label_maps:
                    problems.append(_unlabelled(name, files))
    if not cases:
        raise _no_case(folder, gathered, problems)
    if not any(case.label_map for case in cases):
        problems = [problem for problem in problems if problem.kind != "no label map"]
    return Cohort(_layout(cases), tuple(cases), (*problems, *nameless, *_incomplete(cases)), tuple(unused))


def _gather(folder: Path, unused: list[Problem]) -> Iterator[tuple[str, Files]]:
    """Names of cases and their files; a folder with a channel twice holds several cases, told apart by file names.

    Scans that are of no case join `unused`.
    """
    for parent, names in _folders(folder, _DEPTH):
        whole, by_stem = Files(), dict[str, Files]()
        for path in sorted(names, key=lambda path: (split_extension(path.name) is None, path)):
            # a channel in a format that is not read is a problem of its case and no absence
            stem = (split_extension(path.name) or [unread_stem(path.name)])[0]
            if stem is None or is_own_result(stem):
                unused += _unused(parent.name, path)
            elif match := _LABEL_MAP.search(stem.lower()):
                group = by_stem.setdefault(stem[: match.start()], Files())
                for files in (whole, group):
                    files.label_maps.append(path)
            elif not is_mask(stem) and (found := channel_of_stem(stem)) is not None:
                group = by_stem.setdefault(found[1], Files())
                for files in (whole, group):
                    files.channels.setdefault(found[0], []).append(path)
            else:
                whole.others.append(path)
                unused += _unused(parent.name, path)
        if len(by_stem) > 1 and whole.contradiction() is not None:
            yield from ((stem or parent.name, files) for stem, files in by_stem.items())
        elif by_stem:
            stem = next(iter(by_stem)) if len(by_stem) == 1 else ""
            # a folder may have any name where its files are named as BraTS names them
            yield (stem if stem and edition_of(stem) and not edition_of(parent.name) else parent.name), whole
        elif parent != folder.resolve() and any(_may_be_scan(path) for path in whole.others):
            yield parent.name, whole


def _unused(case: str, path: Path) -> list[Problem]:
    reason = why_unused(path)
    if reason is None:
        return []
    kind = "usual file" if is_usual(reason) else "unused file"
    return [Problem(case, kind, f"{path.name} is not used: {reason}.")]


def _may_be_scan(path: Path) -> bool:
    parts = split_extension(path.name)
    return parts is not None and not is_mask(parts[0])


def _nameless(name: str, files: Files) -> Problem:
    found = ", ".join(f"{path.name} ({why_unused(path)})" for path in files.others[:3])
    return Problem(name, "missing channel", f"no file names a channel. Found: {found}.")


def _folders(folder: Path, depth: int) -> Iterator[tuple[Path, list[Path]]]:
    """Folders and their files, both by name, without hidden ones; `depth` folders below the first."""
    with os.scandir(folder) as entries:
        listed = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    # a link to nothing is a file that cannot be read, and no absence
    yield folder.resolve(), scan_files(Path(entry.path) for entry in listed if not entry.is_dir())
    if depth:
        for entry in listed:
            if entry.is_dir():
                yield from _folders(Path(entry.path), depth - 1)


def _case(name: str, files: Files, schema: LabelSchema | None) -> Case:
    known = edition_of(name)
    if schema is None and known is not None and known[0].schema is not None:
        schema = schemas.get(known[0].schema)
    channels = {channel: Source(paths[0]) for channel, paths in files.channels.items()}
    label_map = files.label_maps[0] if files.label_maps else None
    return Case(name, known[1] if known else name, channels, label_map, schema)


def _layout(cases: list[Case]) -> str:
    """That of most cases."""
    known = Counter(found[0].layout for case in cases if (found := edition_of(case.name)))
    return known.most_common(1)[0][0] if known else "folders"


def _incomplete(cases: list[Case]) -> list[Problem]:
    """Channels that are missing: of those of the edition, or of those that the other cases have."""
    problems: list[Problem] = []
    for case in cases:
        if known := edition_of(case.name):
            problems += missing_channels([case], known[0].channels)
    return problems + missing_channels([case for case in cases if not edition_of(case.name)])


def _unlabelled(name: str, files: Files) -> Problem:
    beside = f" Its folder also holds {', '.join(path.name for path in files.others[:3])}." if files.others else ""
    return Problem(name, "no label map", f"no label map named *-seg or *-gtv, which other cases have.{beside}")


def _no_case(folder: Path, gathered: dict[str, list[Files]], problems: list[Problem]) -> InputError:
    if problems:
        return InputError(
            f"'{folder}' holds files of {len(gathered)} cases, but none is complete; the first, {problems[0]} "
            "A case needs its scans."
        )
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    listed = ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")
    return InputError(f"'{folder}' holds no case that can be made out. Found: {listed or 'nothing'}.")
