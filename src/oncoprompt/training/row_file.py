"""A CSV file that a run appends its rows to."""

import csv
from collections.abc import Mapping
from pathlib import Path

from oncoprompt.training.checkpoint import cannot_write


class RowFile:
    """Append rows of numbers to a CSV file; its columns are those of the first row written.

    Rows whose `step` is beyond `last_step`, left by a run that was killed after its last checkpoint, are dropped on
    opening. Raises `TrainingError` for a row that cannot be written.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self._path = path
        self._columns = _keep_rows(path, last_step)

    def write(self, row: Mapping[str, float]) -> None:
        """Append one row, which has at least `step`."""
        first, self._columns = not self._columns, self._columns or list(row)
        try:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if first:
                    writer.writerow(self._columns)
                writer.writerow([row.get(column, "") for column in self._columns])
        except OSError as error:
            raise cannot_write(self._path, error) from error


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
