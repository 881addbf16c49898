"""Which file holds which channel: folders, single files, dataset.json."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oncoprompt.errors import InputError
from oncoprompt.study.channels import (
    EXTENSIONS,
    accepted_names,
    channel_of_stem,
    is_mask,
    is_own_result,
    named,
    split_extension,
    why_no_channel,
)
from oncoprompt.study.nifti import partner

_LABELS, _OWN = "a label map by its name", "a result of OncoPrompt"
_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif")
_MOST_TOLD = 6
_LOG = logging.getLogger(__name__)
_NNUNET = re.compile(r"^(?P<case>.+)_(?P<number>\d{4})$")


@dataclass(frozen=True)
class UnusedFile:
    """A file that looks like a scan and is not used, by its name within the folder, and the reason."""

    file: str
    reason: str


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

    Raises InputError where no file names a channel, and where two name the same.
    """
    files: dict[str, Path] = {}
    unused: list[UnusedFile] = []
    seen: list[str] = []
    numbered = _channel_names(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_file():
            unused += _below(path)
            continue
        seen.append(path.name)
        parts = split_extension(path.name)
        if parts is None:
            unused += [UnusedFile(path.name, reason)] if (reason := _other_format(path.name)) else []
            continue
        if path.suffix.lower() == ".img" and partner(path, ".hdr") is not None:
            # read with its header
            continue
        found = None if _is_result(parts[0]) else _channel_in(parts[0], numbered)
        if found is not None:
            _add(files, found[0], path)
        else:
            unused.append(UnusedFile(path.name, _why_not(parts[0])))
    if not files:
        listed = ", ".join(seen[:12]) + (f", ... ({len(seen)} files)" if len(seen) > 12 else "")
        raise InputError(
            f"Folder '{folder.name}' holds no channel. Found: {listed or 'nothing'}. "
            f"Accepted names at the end of a file name: {accepted_names()}."
        )
    _warn(folder, unused)
    return Found(folder.resolve().name, files, tuple(unused))


def _is_result(stem: str) -> bool:
    return is_mask(stem) or is_own_result(stem)


def _why_not(stem: str) -> str:
    if is_own_result(stem):
        return _OWN
    if is_mask(stem):
        return _LABELS
    if _NNUNET.match(stem):
        return "a number of nnU-Net that no dataset.json here explains"
    return why_no_channel(stem)


def _other_format(name: str) -> str | None:
    """Why a file is not used whose format is no format of scans; None for what nobody takes for a scan."""
    lower = name.lower()
    if lower.endswith(_DICOM_ENDINGS):
        return "DICOM beside scans of another format"
    if lower.endswith(_PICTURES):
        return "a picture"
    return "a case of the MedSAM challenges" if lower.endswith(".npz") else None


def _below(folder: Path) -> list[UnusedFile]:
    """Scans in a folder within a folder, as one entry."""
    if not folder.is_dir():
        return []
    inside = [file for file in sorted(folder.rglob("*")) if split_extension(file.name) or _other_format(file.name)]
    shown = [file for file in inside if file.is_file() and not file.name.startswith(".")]
    if not shown:
        return []
    count = f"{len(shown)} files, such as {shown[0].name}" if len(shown) > 1 else shown[0].name
    return [UnusedFile(f"{folder.name}/", f"a folder within the study ({count})")]


def _warn(folder: Path, unused: Sequence[UnusedFile]) -> None:
    """One line about what a person may have meant to be read; label maps, pictures and results of ours are usual."""
    told = [file for file in unused if file.reason not in (_LABELS, _OWN) and file.reason != _other_format(".png")]
    if told:
        named_files = "; ".join(f"{file.file} ({file.reason})" for file in told[:_MOST_TOLD])
        more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        _LOG.warning("Not used in folder '%s': %s%s.", folder.resolve().name, named_files, more)


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
