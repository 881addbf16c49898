"""Whether a place can be written to, looked at before slow work begins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from oncoprompt.errors import InputError

_MB = 1_000_000
_BEFORE_RENAMING = 24
"""Characters that the name of a file has more until it is whole."""


def check_room(place: str | os.PathLike[str], needed: int) -> None:
    """Raise InputError where a file or folder, there or to be made, cannot be written or has no `needed` bytes."""
    where = Path(place).absolute()
    there = next((folder for folder in (where, *where.parents) if os.path.isdir(folder)), None)
    if there is None:
        return
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"'{place}' cannot be written: folder '{there}' is read-only for this user.")
    if there != where and len(os.fsencode(where.name)) + _BEFORE_RENAMING > _longest_name(there):
        raise InputError(f"'{place}' cannot be written: its name is too long. Give a shorter one.")
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"No space left on the disk for '{place}': about {_size(needed)} are needed, {_size(free)} are free. Make "
            "room, or give another folder."
        )


def _longest_name(folder: Path) -> int:
    return os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255


def _size(count: int) -> str:
    return f"{count / _MB:.0f} MB" if count >= 10 * _MB else f"{count / _MB:.2f} MB"
