"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from oncoprompt.errors import InputError, reason_of


def write_whole(target: Path, content: bytes) -> None:
    """Write bytes under a temporary name in the same folder, then move them over `target`."""
    # not of the target's name, which may be as long as a name can be
    temporary = target.with_name(f".oncoprompt-{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"Cannot write '{target}': {reason_of(error)}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
