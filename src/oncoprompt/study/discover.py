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
from oncoprompt.study.channels import EXTENSIONS, accepted_names, channel_of_stem, is_result, named, split_extension
from oncoprompt.study.nifti import scan_files
from oncoprompt.study.unused import (
    UnusedFile,
    told,
    unread_stem,
    unused_below,
    warn_of,
    why_unused,
)

_NNUNET = re.compile(r"^(?P<case>.+)_(?P<number>\d{4})$")


@dataclass(frozen=True)
class Found:
    """Files of a study by channel, a name for it, and the scans that are not used."""

    name: str
    files: dict[str, Path]
    unused: tuple[UnusedFile, ...] = ()


def in_mapping(mapping: Mapping[str, str | os.PathLike[str]]) -> Found:
    """Channels as the caller names them; raises InputError where two names mean one channel."""
    files: dict[str, Path] = {}
    for key, path in mapping.items():
        _add(files, named(key), Path(path))
    if not files:
        raise InputError("A study needs at least one channel; the mapping is empty.")
    return Found("study", files)


def in_folder(folder: Path) -> Found:
    """Channels by the names of the files in a folder; every other scan is told with the reason it is not used.

    Raises InputError where no file names a channel, where two name the same, and where the only file of a channel is a
    link to nothing or in a format that is not read.
    """
    files: dict[str, Path] = {}
    others: list[Path] = []
    unused: list[UnusedFile] = []
    numbered = _channel_names(folder)
    visible = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    for path in visible:
        unused += unused_below(path) if path.is_dir() else []
    for path in scan_files(visible):
        parts = split_extension(path.name)
        found = None if parts is None or is_result(parts[0]) else _channel_in(parts[0], numbered)
        if found is not None:
            _add(files, found[0], path)
        else:
            others.append(path)
    for path in others:
        _check_unread(path, files, numbered)
        if reason := why_unused(path):
            unused.append(UnusedFile(path.name, reason))
    if not files:
        names = [path.name for path in visible if not path.is_dir()]
        listed = ", ".join(names[:12]) + (f", ... ({len(names)} files)" if len(names) > 12 else "")
        raise InputError(
            f"Folder '{folder.name}' holds no channel. Found: {listed or 'nothing'}. "
            f"Accepted names at the end of a file name: {accepted_names()}."
            + (f" Not used: {told(unused, also_usual=True)}." if unused else "")
        )
    for path in files.values():
        _check_link(path)
    warn_of(folder, unused)
    return Found(folder.resolve().name, files, tuple(unused))


def _check_unread(path: Path, files: Mapping[str, Path], numbered: list[str]) -> None:
    """Raises InputError where a file in a format that is not read is the only one of its channel."""
    stem = unread_stem(path.name)
    found = None if stem is None or is_result(stem) else _channel_in(stem, numbered)
    if found is not None and found[0] not in files:
        raise InputError(
            f"'{path.name}' is channel '{found[0]}' by its name, in a format that is not read. Convert it to .nii.gz, "
            "or move it out of the folder."
        )


def _check_link(path: Path) -> None:
    if not path.exists():
        raise InputError(f"'{path.name}' is a link to a file that is not there. Get the file, or remove the link.")


def in_file(path: Path) -> Found | None:
    """The channel a single three-dimensional file names, or None where its name does not tell."""
    parts = split_extension(path.name)
    if parts is None:
        raise InputError(
            f"'{path.name}' is not a scan this package reads; give a file in {', '.join(EXTENSIONS)}, or a folder."
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
        what = f"'{path.name}' holds {volumes} volumes and nothing says which is which. Say the order with"
        rest = "put its dataset.json beside it, or give one file for each channel"
        raise InputError(
            f"{what} Study.read(path, channel_order=['t2f', 't1n', 't1c', 't2w']), {rest}, "
            "Study.read({'t1c': path, ...}).",
            in_shell=f"{what} --channel-order t2f,t1n,t1c,t2w, {rest} with --channel NAME=FILE.",
        )
    source = "dataset.json" if given is None else "channel_order"
    if len(order) != volumes or len(set(order)) != volumes:
        told = f"names {len(set(order))} different channels: {', '.join(order)}. Name each volume once."
        raise InputError(
            f"'{path.name}' holds {volumes} volumes, but {source} {told}",
            in_shell=f"'{path.name}' holds {volumes} volumes, but "
            f"{'dataset.json' if given is None else '--channel-order'} {told}",
        )
    return order


def _add(files: dict[str, Path], channel: str, path: Path) -> None:
    if channel in files:
        two = f"Two files for channel '{channel}': {files[channel].name} and {path.name}. Keep one, or name files with"
        raise InputError(
            f"{two} Study.read({{'{channel}': path, ...}}).",
            in_shell=f"{two} --channel {channel}={path.name}, one for each channel.",
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
