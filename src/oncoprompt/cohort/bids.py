"""BIDS data sets: sub-*/ses-*/anat, and the label maps of their derivatives."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from oncoprompt.cohort.case import Case, Source
from oncoprompt.cohort.cohort import Cohort, Problem, missing_channels
from oncoprompt.cohort.label_names import schema_of_labels
from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema
from oncoprompt.study.channels import channel_of_stem, is_result, split_extension
from oncoprompt.study.nifti import scan_files


def is_bids(folder: Path) -> bool:
    """Whether a folder has a subject with an anat folder."""
    return any(True for _ in folder.glob("sub-*/anat")) or any(True for _ in folder.glob("sub-*/ses-*/anat"))


def read_bids(folder: Path, schema: LabelSchema | None = None) -> Cohort:
    """One case for each subject and session, its scans from anat, its label map from a `_dseg` file.

    Label maps lie beside the scans or in derivatives/*. A scan with the entity `ce-` is t1c. A table `<label map>.tsv`
    or `dseg.tsv` with columns index and name (or abbreviation) gives the schema unless `schema` does. Raises InputError
    where no scan is found.
    """
    label_maps: dict[str, list[Path]] = {}
    for root in (folder, *sorted(path for path in folder.glob("derivatives/*") if path.is_dir())):
        for name, path in _anatomical(root):
            if _stem(path).endswith("_dseg"):
                label_maps.setdefault(name, []).append(path)
    scans: dict[str, dict[str, list[Path]]] = {}
    for name, path in _anatomical(folder):
        stem = _stem(path)
        if not is_result(stem) and (found := channel_of_stem(stem)) is not None:
            scans.setdefault(name, {}).setdefault(found[0], []).append(path)
    cases: list[Case] = []
    problems: list[Problem] = []
    for name, channels in scans.items():
        maps = label_maps.get(name, [])
        several = [files for files in (*channels.values(), maps) if len(files) > 1]
        if several:
            names = ", ".join(path.name for path in several[0])
            sentence = f"{names} are one channel or one label map; say which to take in a manifest."
            problems.append(Problem(name, "contradiction", sentence))
            continue
        if not maps and label_maps:
            problems.append(Problem(name, "no label map", "no label map *_dseg, which other cases have."))
        label_map = maps[0] if maps else None
        meaning = schema
        if meaning is None and label_map is not None:
            try:
                meaning = _schema_beside(label_map)
            except InputError as error:
                problems.append(Problem(name, "no label schema", str(error)))
        sources = {channel: Source(files[0]) for channel, files in channels.items()}
        cases.append(Case(name, name.split("_")[0], sources, label_map, meaning))
    problems += [
        Problem(name, "missing channel", f"no scan for {maps[0].name}.")
        for name, maps in sorted(label_maps.items())
        if name not in scans
    ]
    if not cases:
        raise InputError(
            f"No case of '{folder}' can be used.{f' First, {problems[0]}' if problems else ''} Scans are named "
            "sub-<label>/[ses-<label>/]anat/*_T1w.nii.gz, *_ce-<agent>_T1w.nii.gz, *_T2w.nii.gz, *_FLAIR.nii.gz."
        )
    return Cohort("bids", tuple(cases), (*problems, *missing_channels(cases)))


def _anatomical(root: Path) -> Iterator[tuple[str, Path]]:
    """Names of cases, `sub-01` or `sub-01_ses-1`, and their files in anat."""
    for anat in sorted((*root.glob("sub-*/anat"), *root.glob("sub-*/ses-*/anat"))):
        for path in scan_files(anat.iterdir()):
            if split_extension(path.name) is not None:
                yield "_".join(anat.relative_to(root).parts[:-1]), path


def _schema_beside(label_map: Path) -> LabelSchema | None:
    """The schema a table describes, the nearest first, or None without a table."""
    tables = [label_map.with_name(f"{_stem(label_map)}.tsv")]
    tables += [parent / "dseg.tsv" for parent in list(label_map.parents)[:4]]
    for table in tables:
        if table.is_file():
            with table.open(encoding="utf-8-sig", newline="") as stream:
                rows = list(csv.DictReader(stream, delimiter="\t"))
            try:
                labels = {row.get("abbreviation") or row["name"]: int(row["index"]) for row in rows}
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"'{table}' needs the columns index and name, and a whole number in each index."
                ) from error
            return schema_of_labels({name: number for name, number in labels.items() if number}, table.name)
    return None


def _stem(path: Path) -> str:
    parts = split_extension(path.name)
    return parts[0] if parts is not None else path.stem
