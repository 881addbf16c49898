"""Reading the JSON files that describe data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oncoprompt.errors import InputError


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises InputError where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"'{path}' cannot be read as JSON ({error}). Repair it.") from error


def read_table(path: Path) -> dict[str, Any]:
    """The names and values of a JSON file; raises InputError where it holds anything else."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"'{path}' must hold names and values, {{...}}; found {type(content).__name__}.")
    return content
