"""Medical Segmentation Decathlon tasks: four-dimensional files listed in dataset.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oncoprompt.cohort.case import Case, Source
from oncoprompt.cohort.cohort import Cohort, Problem
from oncoprompt.cohort.json_file import read_table
from oncoprompt.cohort.label_names import schema_of_labels
from oncoprompt.cohort.nnunet import channel_names
from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema
from oncoprompt.study.channels import split_extension


def read_decathlon(folder: Path, schema: LabelSchema | None = None) -> Cohort:
    """The labelled cases of `training` and the unlabelled ones of `test`; a case is its own patient.

    Volume n of a file is the channel that `modality` numbers n. Without `schema` it follows from `labels`. Raises
    InputError for a dataset.json that cannot be understood and where no listed file exists.
    """
    description = read_table(folder / "dataset.json")
    channels = channel_names(description, "modality")
    schema = schema or schema_of_labels(_labels(description), f"dataset.json of {folder.resolve().name}")
    cases: list[Case] = []
    problems: list[Problem] = []
    for image, label in _pairs(description):
        path = folder / image
        parts = split_extension(path.name)
        name = parts[0] if parts else path.name
        label_map = folder / label if label else None
        missing = [file for file in (path, label_map) if file is not None and not file.is_file()]
        problems += [Problem(name, "missing file", f"{file} is listed, but is not there.") for file in missing]
        if path in missing:
            continue
        sources = {channel: Source(path, volume) for volume, channel in enumerate(channels)}
        cases.append(Case(name, name, sources, None if label_map in missing else label_map, schema))
    if not cases:
        reason = f" First, {problems[0]}" if problems else ' "training" lists none.'
        raise InputError(f"No case of '{folder}' has its files.{reason}")
    return Cohort("decathlon", tuple(cases), tuple(problems))


def _pairs(description: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Paths of images and label maps as listed; the test images stand alone."""
    try:
        labelled = [(str(entry["image"]), str(entry["label"])) for entry in description.get("training", [])]
        tests = [entry["image"] if isinstance(entry, dict) else entry for entry in description.get("test", [])]
    except (TypeError, KeyError) as error:
        raise InputError('"training" of dataset.json must list {"image": ..., "label": ...} for each case.') from error
    return [*labelled, *((str(image), None) for image in tests)]


def _labels(description: dict[str, Any]) -> dict[str, int | list[int]]:
    try:
        return {str(name): int(number) for number, name in description["labels"].items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise InputError('dataset.json needs "labels", such as {"0": "background", "1": "edema"}.') from error
