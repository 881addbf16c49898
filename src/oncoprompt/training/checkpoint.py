"""The state of a run on disk: all that is needed to go on as if it had never stopped."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from oncoprompt.errors import InputError

FORMAT = 1


@dataclass
class Progress:
    """Where a run stands: optimiser steps done, next item, seconds trained, steps skipped for non-finite losses."""

    step: int = 0
    index: int = 0
    elapsed_s: float = 0.0
    skipped: int = 0
    skipped_in_a_row: int = 0


def save_state(path: Path, parts: Mapping[str, Any], progress: Progress, config: Mapping[str, Any]) -> None:
    """Write a state file under a temporary name, then rename it, so that a crash leaves the previous one."""
    state = {
        "format": FORMAT,
        "progress": asdict(progress),
        "config": dict(config),
        "random": {"cpu": torch.get_rng_state(), "cuda": _cuda_random_states()},
        **parts,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path) -> dict[str, Any]:
    """Read a state file without running any code from it; raises `InputError` if it is missing or damaged."""
    if not path.is_file():
        raise InputError(f"Training state '{path}' does not exist. Give the state.pt of an earlier run.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, OSError) as error:
        raise InputError(f"Training state '{path}' cannot be read: it is damaged or no state file.") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"Training state '{path}' has another format. This version reads format {FORMAT}.")
    return state


def restore_random(random: Mapping[str, Any]) -> None:
    """Set torch's generators to the stored states; items need none, they are functions of their index."""
    torch.set_rng_state(random["cpu"])
    if torch.cuda.is_available() and random["cuda"]:
        torch.cuda.set_rng_state_all(random["cuda"])


def _cuda_random_states() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
