"""What a run tells while it goes: one CSV row a step, and a progress bar or plain log lines."""

import csv
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

logger = logging.getLogger("oncoprompt.training")


class Journal:
    """Append rows to a CSV file and show the run's progress.

    The columns are those of the first row written; rows beyond `last_step`, left by a run that was killed after its
    last checkpoint, are dropped on opening.
    """

    def __init__(self, path: Path, last_step: int, log_every: int) -> None:
        self._path = path
        self._log_every = log_every
        self._columns = _keep_rows(path, last_step)
        self._bar = _bar() if sys.stderr.isatty() else None

    def __enter__(self) -> "Journal":
        self._file = self._path.open("a", newline="", encoding="utf-8")
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("training", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._bar is not None:
            self._bar.stop()

    def record(self, row: Mapping[str, float], fraction: float) -> None:
        """Write one row, which has at least `step` and `loss`; `fraction` of the run is done."""
        if not self._columns:
            self._columns = list(row)
            csv.writer(self._file).writerow(self._columns)
        csv.writer(self._file).writerow([row.get(column, "") for column in self._columns])
        self._file.flush()
        if self._bar is not None:
            self._bar.update(
                self._task, completed=fraction, description=f"step {row['step']:.0f} loss {row['loss']:.4f}"
            )
        elif int(row["step"]) % self._log_every == 0:
            logger.info("%5.1f %% %s", 100.0 * fraction, " ".join(f"{name} {value:.4g}" for name, value in row.items()))


def _bar() -> Bar:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Bar(*columns, console=Console(stderr=True))


def _keep_rows(path: Path, last_step: int) -> list[str]:
    """Drop rows after `last_step` from an existing file and return its columns, none if there is no such file."""
    if last_step == 0 or not path.is_file():
        path.unlink(missing_ok=True)
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows:
        return []
    columns = rows[0]
    kept = [row for row in rows[1:] if len(row) == len(columns) and int(row[columns.index("step")]) <= last_step]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *kept])
    return columns
