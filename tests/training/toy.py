"""A model and items small enough to train in a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from oncoprompt.training.config import TrainingConfig


@dataclass(frozen=True)
class ToyItem:
    """One regression example."""

    inputs: Tensor
    target: Tensor
    name: str


@dataclass(frozen=True)
class ToyLoss:
    """A mean squared error with one named part."""

    total: Tensor
    parts: Mapping[str, float]


class ToyItems:
    """Items as a function of (seed, index); those listed in `broken` hold a NaN."""

    def __init__(self, seed: int = 0, broken: frozenset[int] = frozenset()) -> None:
        self.seed = seed
        self.broken = broken

    def item(self, index: int) -> ToyItem:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + index)
        inputs = torch.randn(4, 6, generator=generator)
        if index in self.broken:
            inputs[0, 0] = torch.nan
        return ToyItem(inputs, inputs.sum(dim=1, keepdim=True), f"item {index}")


def toy_model() -> nn.Module:
    """A network with dropout, so that a resumed run needs the generator's state, and with a buffer."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 1))


def toy_loss(model: nn.Module, item: ToyItem) -> ToyLoss:
    """Squared error of the model on one item."""
    total = (model(item.inputs) - item.target).square().mean()
    return ToyLoss(total, {"error": float(total.detach())})


def toy_config(workers: int = 0, **optimisation: object) -> TrainingConfig:
    """Twelve steps of two items, on the CPU."""
    return TrainingConfig.from_mapping(
        {
            "data": {"workers": workers},
            "optimisation": {"steps": 12, "warmup_steps": 3, "accumulate": 2, **optimisation},
            "run": {"accelerator": "cpu", "seed": 5, "log_every": 4},
        }
    )


def losses(folder: Path) -> list[tuple[str, str, str]]:
    """Step, loss and learning rate of every row of the log, as text, so that equality is to the last digit."""
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    columns = [rows[0].index(name) for name in ("step", "loss", "learning_rate")]
    return [(row[columns[0]], row[columns[1]], row[columns[2]]) for row in rows[1:]]


def plain_model() -> nn.Module:
    """A network with dropout and without running statistics, which each process would keep for itself."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 1))
