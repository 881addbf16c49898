"""A run of several processes, for torchrun to start: `python two_processes.py FOLDER`."""

import os
import shutil
import signal
import sys
from pathlib import Path

from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.processes import is_first
from training.toy import ToyItem, ToyItems, plain_model, toy_loss

BROKEN, MISSING, STOPS = 5, 8, 13
"""Items with a NaN, that cannot be made, and with which the second process is asked to stop."""


class Hindered(ToyItems):
    """Items of which one cannot be made, and one stops the process that makes it, if asked to."""

    def __init__(self, stops: bool = False) -> None:
        super().__init__(broken=frozenset({BROKEN}))
        self.stops = stops

    def item(self, index: int) -> ToyItem:
        if index == MISSING:
            raise ValueError("no such tumour")
        if self.stops and index == STOPS:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().item(index)


def config(processes: int, accumulate: int) -> TrainingConfig:
    """Eight steps of four items in all, validated after every third."""
    return TrainingConfig.from_mapping(
        {
            "data": {"workers": 0},
            "optimisation": {"steps": 8, "warmup_steps": 3, "accumulate": accumulate, "learning_rate": 0.01},
            "run": {"accelerator": "cpu", "seed": 5, "devices": processes},
            "validation": {"every_steps": 3},
        }
    )


def score(model: nn.Module) -> dict[str, float]:
    """A score that falls as the first weight grows, told by the first process alone."""
    return {"WT": -float(next(model.parameters()).detach().sum())}


def run(folder: Path, processes: int, accumulate: int) -> None:
    """A whole run, and one that is stopped and resumed."""
    settings = config(processes, accumulate)
    fit(settings, plain_model(), Hindered(), toy_loss, folder / "whole", validate=score)
    fit(settings, plain_model(), Hindered(stops=True), toy_loss, folder / "parts", validate=score)
    state = folder / "parts" / "state.pt"
    if is_first():
        shutil.copytree(folder / "parts", folder / "stopped")
    fit(settings, plain_model(), Hindered(), toy_loss, folder / "parts", resume=state, validate=score)


if __name__ == "__main__":
    run(Path(sys.argv[1]), processes=2, accumulate=2)
