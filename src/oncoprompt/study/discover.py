"""Which file holds which channel: folders, single files, dataset.json."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oncoprompt.errors import InputError
from oncoprompt.study.channels import accepted_names, channel_of_stem, is_mask, is_own_result, named, split_extension

_NNUNET = re.compile(r"^(?P<case>.+)_(?P<number>\d{4})$")


@dataclass(frozen=True)
class Found:
    """Files of a study by channel, and a name for it."""

    name: str
    files: dict[str, Path]


def in_mapping(mapping: Mapping[str, str | os.PathLike[str]]) -> Found:
    """Channels as the caller names them; raises InputError where two names mean one channel."""
    files: dict[str, Path] = {}
    for key, path in mapping.items():
        _add(files, named(key), Path(path))
    if not files:
        raise InputError("A study needs at least one channel; the mapping is empty.")
    return Found("study", files)


def in_folder(folder: Path) -> Found:
    """Channels by the ends of the file names in a folder; segmentations are passed over."""
    files: dict[str, Path] = {}
    seen: list[str] = []
    numbered = _channel_names(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        seen.append(path.name)
        parts = split_extension(path.name)
        if parts is None or is_mask(parts[0]) or is_own_result(parts[0]):
            continue
        found = _channel_in(parts[0], numbered)
        if found is not None:
            _add(files, found[0], path)
    if not files:
        listed = ", ".join(seen[:12]) + (f", ... ({len(seen)} files)" if len(seen) > 12 else "")
        raise InputError(
            f"Folder '{folder.name}' holds no channel. Found: {listed or 'nothing'}. "
            f"Accepted names at the end of a file name: {accepted_names()}."
        )
    return Found(folder.resolve().name, files)


def in_file(path: Path) -> Found | None:
    """The channel a single three-dimensional file names, or None where its name does not tell."""
    parts = split_extension(path.name)
    if parts is None:
        raise InputError(
            f"'{path.name}' is not a scan this package reads; give a .nii, .nii.gz, .nrrd or .mha file or a folder."
        )
    numbered = _channel_names(path.parent)
    found = _channel_in(parts[0], numbered)
    if found is None and len(numbered) == 1:
        found = numbered[0], parts[0]
    return None if found is None else Found(found[1] or parts[0], {found[0]: path})


def volume_order(path: Path, volumes: int, given: Sequence[str] | None) -> list[str]:
    """Channel of each volume of a four-dimensional file: as given, else from dataset.json beside or above it."""
    order = [named(name) for name in given] if given is not None else _channel_names(path.parent)
    if not order:
        raise InputError(
            f"'{path.name}' holds {volumes} volumes and nothing says which is which. Say the order with "
            "Study.read(path, channel_order=['t2f', 't1n', 't1c', 't2w']), put its dataset.json beside it, or give one "
            "file a channel with Study.read({'t1c': path, ...})."
        )
    source = "channel_order" if given is not None else "dataset.json"
    if len(order) != volumes or len(set(order)) != volumes:
        raise InputError(
            f"'{path.name}' holds {volumes} volumes, but {source} names {len(set(order))} different channels: "
            f"{', '.join(order)}. Name each volume once."
        )
    return order


def _add(files: dict[str, Path], channel: str, path: Path) -> None:
    if channel in files:
        raise InputError(
            f"Two files for channel '{channel}': {files[channel].name} and {path.name}. "
            "Keep one, or name the files with Study.read({'" + channel + "': path, ...})."
        )
    files[channel] = path


def _channel_in(stem: str, numbered: list[str]) -> tuple[str, str] | None:
    match = _NNUNET.match(stem)
    if match and numbered:
        number = int(match["number"])
        return (numbered[number], match["case"]) if number < len(numbered) else None
    return channel_of_stem(stem)


def _channel_names(folder: Path) -> list[str]:
    """`channel_names` (nnU-Net) or `modality` (MSD) of the dataset.json in a folder or above it; empty without one."""
    for path in (folder / "dataset.json", folder.resolve().parent / "dataset.json"):
        if path.is_file():
            return _parse_dataset(path)
    return []


def _parse_dataset(path: Path) -> list[str]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = content.get("channel_names") or content.get("modality") or {}
        numbered = sorted((int(number), named(str(name))) for number, name in entries.items())
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"'{path.name}' in folder '{path.parent.name}' cannot be understood ({error}). "
            'It needs "channel_names" or "modality", such as {"0": "FLAIR", "1": "T1w"}.'
        ) from error
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise InputError(f"'{path.name}' in folder '{path.parent.name}' must number its channels 0, 1, 2, ...")
    return [name for _, name in numbered]
