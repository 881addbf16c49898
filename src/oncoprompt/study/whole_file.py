"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from oncoprompt.errors import InputError, reason_of


def write_whole(target: Path, content: bytes) -> None:
    """Write bytes under a temporary name in the same folder, then move them over `target`."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"Cannot write '{target}': {reason_of(error)}.") from error
    finally:
        temporary.unlink(missing_ok=True)
