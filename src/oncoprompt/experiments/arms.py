"""Arms of an experiment: networks that differ in one thing, trained from scratch on the same items for one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from oncoprompt.experiments.timed import clock
from oncoprompt.experiments.unfinished import UnfinishedError
from oncoprompt.inference.device import device_named
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import load_model
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import STATE_FILE, fit
from oncoprompt.training.item_pool import write_pool
from oncoprompt.training.recipe import build
from oncoprompt.training.schedule import completed_fraction


@dataclass(frozen=True)
class ArmTraining:
    """How arms are trained: which network, for how many minutes, on how many items of which seed, kept in ``folder``.

    Minutes are those of the processor where there is no accelerator, so that a busy machine does not matter.
    """

    folder: Path
    minutes: float
    network: str = "msm-seg-compact"
    items: int = 200
    seed: int = 0
    item_options: Mapping[str, Any] | None = None

    @property
    def sentence(self) -> str:
        """How, for people."""
        return (
            f"Each is trained from scratch for {self.minutes:g} minutes of "
            f"{'time' if torch.cuda.is_available() else 'processor time'} on the same {self.items} synthetic items "
            f"(seed {self.seed})."
        )

    def train(self, name: str, options: Mapping[str, Any], seed: int) -> Method:
        """The arm's averaged weights after its time; an arm that was trained before is not trained again.

        Raises UnfinishedError where training was stopped, InputError for options the network does not have.
        """
        folder = self._root / f"{name.replace(' ', '-')}-seed-{seed}"
        config = self._config(options, seed)
        recipe = build(config)
        state = folder / STATE_FILE
        progress = fit(
            config, recipe.model, recipe.items, recipe.loss, folder, state if state.is_file() else None, clock=clock
        )
        if completed_fraction(config.optimisation, progress.step, progress.elapsed_s) < 1.0:
            raise UnfinishedError(f"Stopped after {progress.step} steps of '{name}'; the same command goes on.")
        return load_model(str(folder / f"{self.network}.safetensors"), device_named("auto"))

    @property
    def _root(self) -> Path:
        """Arms are comparable within this folder: they were trained on the same items."""
        return self.folder / f"trained-on-{self.items}-items-of-seed-{self.seed}"

    def _config(self, options: Mapping[str, Any], seed: int) -> TrainingConfig:
        content: dict[str, Any] = {
            "model": {"name": self.network, "options": options},
            "data": {"workers": 0, "options": self.item_options or {}},
            "optimisation": {
                "steps": 1_000_000,
                "max_minutes": self.minutes,
                "warmup_steps": 20,
                "ema_decay": 0.99,
                "recall": 0.6,
            },
            "run": {"seed": seed, "checkpoint_minutes": 2.0, "export_minutes": 1e6},
        }
        pool = self._root / "items"
        drawn = TrainingConfig.from_mapping(content | {"run": {"seed": self.seed}})
        write_pool(build(drawn).items, pool, self.items)
        content["data"] |= {"pool": str(pool)}
        return TrainingConfig.from_mapping(content)
