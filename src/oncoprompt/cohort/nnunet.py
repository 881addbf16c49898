"""nnU-Net v2 raw data sets: dataset.json beside imagesTr, labelsTr and imagesTs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oncoprompt.cohort.case import Case, Source
from oncoprompt.cohort.cohort import Cohort, Problem, missing_channels
from oncoprompt.cohort.json_file import read_table
from oncoprompt.cohort.label_names import schema_of_labels
from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema
from oncoprompt.study.channels import EXTENSIONS, named


def read_nnunet(folder: Path, schema: LabelSchema | None = None) -> Cohort:
    """The cases of imagesTr with their labels and, unlabelled, those of imagesTs; a case is its own patient.

    Explicit paths in `dataset` take the place of imagesTr and labelsTr. Without `schema` it follows from `labels`, also
    from regions. Raises InputError for a dataset.json that cannot be understood and where no case is found.
    """
    description = read_table(folder / "dataset.json")
    channels = channel_names(description, "channel_names")
    ending = description.get("file_ending", ".nii.gz")
    if ending not in EXTENSIONS:
        raise InputError(f"dataset.json has file_ending '{ending}'; files read here end in {', '.join(EXTENSIONS)}.")
    schema = schema or schema_of_labels(_labels(description), f"dataset.json of {folder.resolve().name}")
    problems: list[Problem] = []
    if explicit := description.get("dataset"):
        training = list(_explicit(folder, explicit, channels, schema, problems))
    else:
        training = list(_listed(folder / "imagesTr", channels, ending, schema, folder / "labelsTr", problems))
    cases = [*training, *_listed(folder / "imagesTs", channels, ending, schema, None, problems)]
    if not cases:
        raise InputError(
            f"No case of '{folder}' has files; they belong in imagesTr as <case>_0000{ending}, "
            f"<case>_0001{ending}, one number a channel.{f' First, {problems[0]}' if problems else ''}"
        )
    problems += missing_channels(cases, channels)
    return Cohort("nnunet", tuple(cases), tuple(problems))


def channel_names(description: Mapping[str, Any], key: str) -> list[str]:
    """Channels in the order of their numbers; raises InputError unless they are numbered 0, 1, 2, ... once each."""
    try:
        numbered = sorted((int(number), named(str(name))) for number, name in description[key].items())
    except (KeyError, ValueError, AttributeError) as error:
        raise InputError(f'dataset.json needs "{key}", such as {{"0": "FLAIR", "1": "T1w"}}.') from error
    names = [name for _, name in numbered]
    if not names or [number for number, _ in numbered] != list(range(len(names))) or len(set(names)) < len(names):
        raise InputError(f'"{key}" of dataset.json must number different channels 0, 1, 2, ...; found {numbered}.')
    return names


def _labels(description: Mapping[str, Any]) -> dict[str, int | list[int]]:
    labels = description.get("labels")
    try:
        if not isinstance(labels, dict):
            raise TypeError
        return {
            str(name): [int(number) for number in value] if isinstance(value, list) else int(value)
            for name, value in labels.items()
        }
    except (TypeError, ValueError) as error:
        raise InputError(
            'dataset.json needs "labels", such as {"background": 0, "enhancing tumour": 3} or, for regions, '
            f'{{"whole tumour": [1, 2, 3], ...}}; found {labels!r}.'
        ) from error


def _listed(
    images: Path,
    channels: Sequence[str],
    ending: str,
    schema: LabelSchema,
    label_maps: Path | None,
    problems: list[Problem],
) -> Iterator[Case]:
    found: dict[str, dict[str, Source]] = {}
    for path in sorted(images.glob(f"[!.]*{ending}")):
        match = re.fullmatch(rf"(?P<case>.+)_(?P<number>\d{{4}}){re.escape(ending)}", path.name)
        if match is None or int(match["number"]) >= len(channels):
            name = path.name.removesuffix(ending)
            problems.append(
                Problem(name, "file name", f"{path.name} ends in no channel number, 0000 to {len(channels) - 1:04d}.")
            )
            continue
        found.setdefault(match["case"], {})[channels[int(match["number"])]] = Source(path)
    for name, sources in found.items():
        label_map = label_maps / f"{name}{ending}" if label_maps is not None else None
        yield Case(name, name, sources, _existing(name, label_map, problems), schema)
    for path in sorted(label_maps.glob(f"[!.]*{ending}")) if label_maps is not None else ():
        name = path.name.removesuffix(ending)
        if name not in found:
            problems.append(Problem(name, "missing channel", f"{path.name} in {path.parent.name} has no image."))


def _explicit(
    folder: Path, dataset: object, channels: Sequence[str], schema: LabelSchema, problems: list[Problem]
) -> Iterator[Case]:
    if not isinstance(dataset, dict):
        raise InputError('"dataset" of dataset.json must map cases to {"images": [...], "label": ...}.')
    for name, files in sorted(dataset.items()):
        if not isinstance(files, dict) or not isinstance(files.get("images"), list):
            problems.append(Problem(name, "file name", 'dataset.json gives it no "images": [...].'))
            continue
        paths = [folder / str(path) for path in files["images"]]
        if len(paths) > len(channels):
            problems.append(Problem(name, "contradiction", f"{len(paths)} images for {len(channels)} channels."))
            continue
        label_map = folder / str(files["label"]) if files.get("label") else None
        # images that are not there are told when they are read
        sources = {channel: Source(path) for channel, path in zip(channels, paths, strict=False)}
        yield Case(name, name, sources, _existing(name, label_map, problems), schema)


def _existing(name: str, label_map: Path | None, problems: list[Problem]) -> Path | None:
    if label_map is None or label_map.is_file():
        return label_map
    problems.append(Problem(name, "no label map", f"there is no label map {label_map.parent.name}/{label_map.name}."))
    return None
