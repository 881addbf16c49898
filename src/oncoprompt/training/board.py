"""A run's figures for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

from oncoprompt.errors import InputError


class Board:
    """Event files in a folder; events after `last_step`, left by a run that was killed, are hidden.

    Raises `InputError` where the package tensorboard is not installed.
    """

    def __init__(self, folder: Path, last_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "Training configuration: run.tensorboard is true, but the package tensorboard is not installed. "
                "Install it, pip install 'oncoprompt[tensorboard]', or set run.tensorboard to false."
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=last_step + 1 if last_step else None)

    def add(self, group: str, row: Mapping[str, float]) -> None:
        """One point for every value of a row but its `step`, under `group`."""
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(f"{group}/{name}", value, int(row["step"]))
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
