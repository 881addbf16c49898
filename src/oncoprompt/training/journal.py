"""What a run tells while it goes: rows of figures on disk, and a progress bar or plain log lines."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from oncoprompt.training.board import Board
from oncoprompt.training.config import RunSection
from oncoprompt.training.row_file import RowFile

logger = logging.getLogger("oncoprompt.training")
LOG_FILES = ("log.csv", "validation.csv")
"""Figures of the steps, and of the validations."""


class Journal:
    """Write log.csv, validation.csv and, if asked for, tensorboard/ into a folder, and show the run's progress.

    What lies beyond `last_step`, left by a run that was killed after its last checkpoint, is dropped on opening.
    """

    def __init__(self, folder: Path, last_step: int, run: RunSection) -> None:
        self._log_every = run.log_every
        self._steps, self._validations = (RowFile(folder / name, last_step) for name in LOG_FILES)
        self._board = Board(folder / "tensorboard", last_step) if run.tensorboard else None
        self._bar = _bar() if sys.stderr.isatty() else None

    def __enter__(self) -> "Journal":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("training", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()
        if self._bar is not None:
            self._bar.stop()

    def record(self, row: Mapping[str, float], fraction: float) -> None:
        """Write the row of a step, which has at least `step` and `loss`; `fraction` of the run is done."""
        self._steps.write(row)
        if self._board is not None:
            self._board.add("training", row)
        if self._bar is not None:
            self._bar.update(
                self._task, completed=fraction, description=f"step {row['step']:.0f} loss {row['loss']:.4f}"
            )
        elif int(row["step"]) % self._log_every == 0:
            logger.info("%5.1f %% %s", 100.0 * fraction, _listed(row))

    def record_validation(self, row: Mapping[str, float]) -> None:
        """Write the row of a validation, which has at least `step`."""
        self._validations.write(row)
        if self._board is not None:
            self._board.add("validation", row)
        logger.info("Validation: %s", _listed(row))


def _bar() -> Bar:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Bar(*columns, console=Console(stderr=True))


def _listed(row: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in row.items())
