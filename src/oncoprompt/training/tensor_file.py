"""Tensors and what is told of them in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from oncoprompt.errors import InputError


def tensor_file(tensors: Mapping[str, Tensor], name: str, told: Any) -> bytes:
    """Content of a file of tensors with ``told``, of plain types, under a name in its metadata."""
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    return save(contiguous, metadata={name: json.dumps(told)})


def read_tensor_file(path: Path, name: str) -> tuple[dict[str, Tensor], Any]:
    """The tensors of a file and what is told of them; raises InputError where it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()[name])  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read: {error}.") from error
