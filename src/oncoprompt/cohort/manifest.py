"""A data set listed in a table: one row a case, in CSV or JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oncoprompt.cohort.case import Case, Source
from oncoprompt.cohort.cohort import Cohort, Problem, missing_channels
from oncoprompt.cohort.json_file import read_json
from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema, schemas
from oncoprompt.study.channels import accepted_names, canonical_channel, named

COLUMNS = ("case", "patient", "label_map", "schema")
"""Columns beside those of the channels; only `case` is needed."""


def read_manifest(path: Path, schema: LabelSchema | None = None) -> Cohort:
    """The cases that a .csv or .json file lists; paths are relative to it, and an empty patient is the case itself.

    CSV has a header: `case`, a column for each channel under any accepted spelling, and optionally `patient`,
    `label_map`, `schema`. JSON has `{"cases": [{"case": ..., "channels": {"t1c": path}, ...}]}`, whose channels may
    have any name. Raises InputError for a file that is no such table and where no row can be used.
    """
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    cases: list[Case] = []
    problems: list[Problem] = []
    for number, row in enumerate(rows, 1):
        name = str(row.get("case") or "").strip()
        try:
            cases.append(_case(name, row, path.parent, schema))
        except InputError as error:
            problems.append(Problem(name or f"row {number}", "manifest", str(error)))
    if not cases:
        raise InputError(f"No row of '{path}' can be used.{f' First, {problems[0]}' if problems else ' It is empty.'}")
    return Cohort("manifest", tuple(cases), (*problems, *missing_channels(cases)))


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = csv.DictReader(stream, delimiter=delimiter)
            reader.fieldnames = columns = [column.strip().lower() for column in reader.fieldnames or []]
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' cannot be read as a table ({error}). Save it as CSV in UTF-8.") from error
    by_channel = {column: canonical_channel(column) for column in columns if column not in COLUMNS}
    unknown = [column for column, channel in by_channel.items() if channel is None]
    if "case" not in columns or unknown:
        raise InputError(
            f"'{path}' has the columns {', '.join(columns) or 'none'}, of which {', '.join(unknown) or 'none'} "
            f"mean nothing here. It needs 'case' and columns named as channels ({accepted_names()}), "
            "and may have patient, label_map and schema."
        )
    return [
        {column: row.get(column) for column in COLUMNS}
        | {"channels": {column: row[column].strip() for column in by_channel if (row.get(column) or "").strip()}}
        for row in rows
    ]


def _json_rows(path: Path) -> list[dict[str, Any]]:
    content = read_json(path)
    rows = content.get("cases") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f'\'{path}\' must hold {{"cases": [{{"case": ..., "channels": {{"t1c": path}}}}, ...]}}.')
    return rows


def _case(name: str, row: Mapping[str, Any], folder: Path, schema: LabelSchema | None) -> Case:
    given = row.get("channels")
    if not name or not isinstance(given, Mapping) or not given:
        raise InputError("it needs a name in 'case' and a file for one channel at least.")
    channels: dict[str, Source] = {}
    for channel, file in given.items():
        if named(channel) in channels:
            raise InputError(f"it names channel '{named(channel)}' twice.")
        channels[named(channel)] = Source(_existing(folder, file))
    label_map = _existing(folder, row["label_map"]) if row.get("label_map") else None
    stated = schemas.get(str(row["schema"])) if row.get("schema") else None
    return Case(name, str(row.get("patient") or name).strip(), channels, label_map, schema or stated)


def _existing(folder: Path, file: object) -> Path:
    path = folder / str(file)
    if not path.is_file():
        raise InputError(f"there is no file '{path}'.")
    return path
