"""Which files are DICOM, and where a folder holds them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from oncoprompt.errors import InputError
from oncoprompt.study.channels import channel_of_stem, is_mask, split_extension
from oncoprompt.study.dicom.headers import is_image_file

INDEX = "DICOMDIR"
"""Name of the file that lists the others on a medium; it holds no image."""

_ENDINGS = (".dcm", ".dicom", ".ima")
_MAGIC_AT, _MAGIC = 128, b"DICM"
# Files without a preamble begin with group 0008 (length, character set, image type, class) or with the meta group.
_BARE = tuple(b"\x08\x00" + element + b"\x00" for element in (b"\x00", b"\x01", b"\x05", b"\x08", b"\x16"))
_BARE_META = b"\x02\x00\x00\x00UL"
_NUMBERED = re.compile(r"_\d{4}$")
_MOST_FILES = 100_000


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content or ending, or a folder holds such files, also in folders within it.

    Results beside DICOM files, such as label maps, leave the folder a DICOM folder. A folder of scans in another
    format is none.
    """
    if not path.is_dir():
        return is_dicom_file(path)
    files = visible(path)
    found = [file for file in files if is_dicom_file(file)]
    scans = scans_among(files)
    if found:
        # A DICOM segmentation beside NIfTI scans is a result as well.
        return not scans or any(is_image_file(file) for file in found)
    return not scans and any(is_dicom_file(file) for file in below(path))


def is_dicom_file(path: Path) -> bool:
    """Whether a file is DICOM by its content or ending."""
    if path.is_dir() or not (path.exists() or path.is_symlink()):
        return False
    return path.name.lower().endswith(_ENDINGS) or has_signature(head_of(path))


def has_signature(head: bytes) -> bool:
    """Whether the first bytes of a file are those of DICOM, with a preamble or without."""
    return head[_MAGIC_AT:][: len(_MAGIC)] == _MAGIC or head.startswith((*_BARE, _BARE_META))


def head_of(path: Path) -> bytes:
    """The first bytes of a file; none where it cannot be opened."""
    try:
        with path.open("rb") as stream:
            return stream.read(_MAGIC_AT + len(_MAGIC))
    except OSError:
        return b""


def visible(folder: Path) -> list[Path]:
    """Files of a folder that are not hidden, and links to files that are not there, by name."""
    return sorted(file for file in folder.iterdir() if not file.name.startswith(".") and not file.is_dir())


def below(folder: Path) -> Iterator[Path]:
    """Files of the folders within a folder, at any depth, that are not hidden; raises InputError for too many."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if Path(place) == folder:
            continue
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                raise InputError(
                    f"The folders in '{folder.name}' hold more than {_MOST_FILES} files; give one of them."
                )
            if not name.startswith("."):
                yield Path(place, name)


def scans_among(files: list[Path]) -> list[Path]:
    """Files in the formats of volumes that are named as channels, or numbered by a dataset.json, and are no masks."""
    named = [(file, split_extension(file.name)) for file in files]
    return [file for file, parts in named if parts and not is_mask(parts[0]) and _is_channel(file, parts[0])]


def _is_channel(file: Path, stem: str) -> bool:
    if channel_of_stem(stem) is not None:
        return True
    lists = [folder / "dataset.json" for folder in (file.parent, file.resolve().parent.parent)]
    return _NUMBERED.search(stem) is not None and any(path.is_file() for path in lists)
