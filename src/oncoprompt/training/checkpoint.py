"""The state of a run on disk: all that is needed to go on as if it had never stopped."""

import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from oncoprompt.errors import InputError, OncoPromptError, reason_of
from oncoprompt.study.disk import check_room

FORMAT = 1
_BYTES_IN_STATE, _BYTES_IN_WEIGHTS = 16, 2
"""For each number of a network: four of float32 in a state, one of float16 in exported weights."""


class TrainingError(OncoPromptError):
    """A run cannot go on, for example because its loss is not finite any more."""


@dataclass
class Progress:
    """Where a run stands: optimiser steps done, next item, seconds trained, steps skipped, validations and the best."""

    step: int = 0
    index: int = 0
    elapsed_s: float = 0.0
    skipped: int = 0
    skipped_in_a_row: int = 0
    validated_step: int = 0
    validated_s: float = 0.0
    best_step: int = 0
    best_score: float | None = None


def check_run_fits(out: Path, model: nn.Module) -> None:
    """Raise `InputError` where the disk has no room for what a run writes: states and weights.

    A state holds weights, their average and the optimiser's two moments; the last one stays until the next is whole.
    """
    numbers = sum(parameter.numel() for parameter in model.parameters())
    check_room(out, numbers * (2 * _BYTES_IN_STATE + _BYTES_IN_WEIGHTS))


def save_state(path: Path, parts: Mapping[str, Any], progress: Progress, config: Mapping[str, Any]) -> None:
    """Write a state file under a temporary name, then rename it, so that a crash or a full disk leaves the last one.

    Raises `TrainingError` where it cannot be written.
    """
    state = {"format": FORMAT, "progress": asdict(progress), "config": dict(config), **parts}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    file = None
    try:
        with _Recorded(io.FileIO(temporary, "w")) as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    # torch's writer makes a RuntimeError of its own of what the disk says
    except (OSError, RuntimeError) as error:
        raise cannot_write(path, file.error if file is not None and file.error is not None else error) from error
    finally:
        temporary.unlink(missing_ok=True)


class _Recorded(io.BufferedWriter):
    """A file that remembers why it could not be written."""

    error: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self.error = error
            raise


def remove_unfinished(path: Path) -> None:
    """Remove what runs that were killed while they saved a state have left beside it."""
    for temporary in path.parent.glob(f".{path.name}.*"):
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


def cannot_write(path: Path, error: OSError | RuntimeError) -> TrainingError:
    """The error for a file that a run cannot write, with what to do."""
    reason = reason_of(error) if isinstance(error, OSError) else str(error).splitlines()[0]
    return TrainingError(
        f"Cannot write '{path}': {reason}. What was saved before is whole; make room on the disk, then resume the run."
    )
