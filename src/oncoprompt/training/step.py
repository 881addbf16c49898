"""One optimiser step: a model and its loss over some items, skipped as a whole where an item or a gradient is bad."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from oncoprompt.training.checkpoint import Progress, TrainingError
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import Fed, to_device
from oncoprompt.training.loss import LossFunction, TrainedLoss
from oncoprompt.training.processes import first_problem, mean
from oncoprompt.training.schedule import learning_rate

logger = logging.getLogger("oncoprompt.training")
MAX_SKIPPED_IN_A_ROW = 20


class Stepper:
    """A model, its loss and their optimiser, on this process's device."""

    def __init__(self, config: TrainingConfig, fabric: Fabric, model: nn.Module, loss_fn: LossFunction) -> None:
        optimisation = config.optimisation
        self.config = config
        self.fabric = fabric
        self.loss_fn = loss_fn
        self.model = model.to(fabric.device).train()
        self.trained_loss = loss_fn.to(fabric.device) if isinstance(loss_fn, TrainedLoss) else None
        self.trained = nn.ModuleList([self.model] if self.trained_loss is None else [self.model, self.trained_loss])
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.trained, optimisation.weight_decay),
            lr=optimisation.learning_rate,
            betas=optimisation.betas,
        )

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "loss": {} if self.trained_loss is None else self.trained_loss.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; raises `RuntimeError` if it is of another model or loss."""
        self.model.load_state_dict(state["model"])
        if self.trained_loss is not None or state.get("loss"):
            (self.trained_loss or nn.Module()).load_state_dict(state.get("loss", {}))
        self.optimiser.load_state_dict(state["optimiser"])

    def start(self) -> None:
        """Hand model and optimiser to Fabric, whose wrappers must see the state that was loaded."""
        self._module, self._optimiser = self.fabric.setup(_LossModule(self.model, self.loss_fn), self.optimiser)

    def step(self, source: Iterator[Fed], progress: Progress, fraction: float) -> dict[str, float] | None:
        """One step over `accumulate` items in each process, counted in `progress`; None if it had to be skipped.

        The row has the step, the loss and its parts, the learning rate, the gradient's norm and the times in seconds.
        Raises `TrainingError` after 20 steps in a row that had to be skipped.
        """
        began, accumulate = time.perf_counter(), self.config.optimisation.accumulate
        rate = learning_rate(self.config.optimisation, progress.step, fraction)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        # A network may keep running statistics, which a skipped step must not have touched.
        buffers = [(buffer, buffer.clone()) for buffer in self.trained.buffers()]
        self._seed(progress.index)
        if self.trained_loss is not None:
            self.trained_loss.before_step(fraction)
        sums: dict[str, float] = {}
        times = {"wait_s": 0.0, "item_s": 0.0}
        problem = None
        for number in range(1, accumulate + 1):
            asked = time.perf_counter()
            fed = next(source)
            times["wait_s"] += time.perf_counter() - asked
            times["item_s"] += fed.seconds
            progress.index += self.fabric.world_size
            problem = first_problem(self.fabric, problem or fed.problem)
            if problem is not None:
                continue
            with self.fabric.no_backward_sync(self._module, enabled=number < accumulate):
                problem = self._backward(fed, sums)
        norm = self._clip() if problem is None else math.nan
        if not math.isfinite(norm):
            self._optimiser.zero_grad(set_to_none=True)
            for buffer, before in buffers:
                buffer.copy_(before)
            self._skip(progress, problem or f"the gradient up to item {progress.index - 1} is not finite")
            return None
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        if self.trained_loss is not None:
            self.trained_loss.after_step(self.model)
        progress.step += 1
        progress.skipped_in_a_row = 0
        means = mean(self.fabric, sums)
        seconds = time.perf_counter() - began
        return {"step": progress.step, **means, "learning_rate": rate, "norm": norm, "seconds": seconds, **times}

    def _backward(self, fed: Fed, sums: dict[str, float]) -> str | None:
        """Add an item's share of the gradient, and of the means in `sums`; returns what is wrong with its loss."""
        accumulate = self.config.optimisation.accumulate
        self._seed(fed.index)
        total, parts = self._module(_Carrier(to_device(fed.item, self.fabric.device)))
        finite = bool(torch.isfinite(total))
        problem = first_problem(
            self.fabric, None if finite else f"the loss of item {fed.index} is {float(total.detach())}"
        )
        if problem is None:
            self.fabric.backward(total / accumulate)
            for name, value in {"loss": total.detach(), **parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value) / accumulate
        return problem

    def _seed(self, index: int) -> None:
        """Make what the network draws for an item a function of its index, as the item is, in whichever process."""
        torch.manual_seed(int(np.random.SeedSequence([self.config.run.seed, index]).generate_state(1)[0]))

    def _clip(self) -> float:
        norm = self.fabric.clip_gradients(
            self._module, self._optimiser, max_norm=self.config.optimisation.clip_norm, error_if_nonfinite=False
        )
        return float(norm) if norm is not None else math.nan

    def _skip(self, progress: Progress, problem: str) -> None:
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        if self.fabric.is_global_zero:
            logger.warning("Step %d skipped: %s.", progress.step + 1, problem)
        if progress.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise TrainingError(
                f"{MAX_SKIPPED_IN_A_ROW} steps in a row had to be skipped, the last because {problem}. "
                "Look at that item, or lower optimisation.learning_rate."
            )


class _Carrier:
    """Hides an item from Fabric, which refuses frozen dataclasses and would cast their tensors."""

    def __init__(self, item: Any) -> None:
        self.item = item


class _LossModule(nn.Module):
    """The model and its loss as one module, so that Fabric's precision covers both."""

    def __init__(self, model: nn.Module, loss_fn: LossFunction) -> None:
        super().__init__()
        self.model = model
        self.loss_fn = loss_fn

    def forward(self, carrier: _Carrier) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        loss = self.loss_fn(self.model, carrier.item)
        return loss.total, loss.parts


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases, norms and other vectors."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
