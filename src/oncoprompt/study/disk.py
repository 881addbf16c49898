"""Room on the disk, looked at before slow work begins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from oncoprompt.errors import InputError

_MB = 1_000_000


def check_room(place: str | os.PathLike[str], needed: int) -> None:
    """Raise InputError where the disk that holds a file or folder, there or still to be made, has no `needed` bytes."""
    where = Path(place).absolute()
    there = next((folder for folder in (where, *where.parents) if folder.is_dir()), None)
    if there is None:
        return
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"No space left on the disk for '{place}': about {_size(needed)} are needed, {_size(free)} are free. Make "
            "room, or give another folder."
        )


def _size(count: int) -> str:
    return f"{count / _MB:.0f} MB" if count >= 10 * _MB else f"{count / _MB:.2f} MB"
