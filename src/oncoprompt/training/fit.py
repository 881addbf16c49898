"""The fit loop: any model, any item source, one loss function; resumable to the bit."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from oncoprompt.errors import InputError, OncoPromptError
from oncoprompt.training.averaging import WeightAverage
from oncoprompt.training.checkpoint import Progress, load_state, restore_random, save_state
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.feed import Fed, ItemSource, feed, to_device
from oncoprompt.training.interruption import StopRequest
from oncoprompt.training.journal import Journal
from oncoprompt.training.schedule import completed_fraction, learning_rate

logger = logging.getLogger("oncoprompt.training")
MAX_SKIPPED_IN_A_ROW = 20
STATE_FILE = "state.pt"


class Loss(Protocol):
    """A scalar to minimise and the named parts it is made of."""

    @property
    def total(self) -> Tensor: ...

    @property
    def parts(self) -> Mapping[str, float | Tensor]: ...


LossFunction = Callable[[nn.Module, Any], Loss]


class TrainedLoss(nn.Module):
    """A loss with parameters or a memory of its own: trained with the model, kept in the state, never exported.

    Its buffers are restored, like the model's, when a step is skipped.
    """

    def forward(self, model: nn.Module, item: Any) -> Loss:
        """The loss of one item, as any loss function's."""
        raise NotImplementedError

    def before_step(self, fraction: float) -> None:
        """Told the completed fraction of the run before every step."""

    def after_step(self, model: nn.Module) -> None:
        """Told the model after every step that changed it."""


class TrainingError(OncoPromptError):
    """A run cannot go on, for example because its loss is not finite any more."""


def fit(
    config: TrainingConfig,
    model: nn.Module,
    items: ItemSource,
    loss_fn: LossFunction,
    out: Path,
    resume: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Train `model` on `items`; `out` gets state.pt, log.csv, the weights and their manifest.

    `loss_fn(model, item)` runs the model on one item, already on the model's device; a `TrainedLoss` is trained too. A
    run stopped by SIGINT or SIGTERM saves its state first; `resume` goes on from such a state with the same losses as a
    run that was never stopped (with `max_minutes` the learning rate follows the time trained, so runs agree as far as
    their times do).

    Raises `InputError` for a state that does not belong to this model or would be overwritten, `TrainingError` after
    20 steps in a row that had to be skipped because their loss is not finite or their item cannot be made.
    """
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    if resume is None and (out / STATE_FILE).exists():
        raise InputError(
            f"'{out}' holds the state of an earlier run. Resume from its {STATE_FILE} or give another folder."
        )
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(config, model, loss_fn, out, clock)
    random = run.load(resume) if resume is not None else None
    # Workers start before the progress bar's thread does, and before the loop touches the generators.
    source = feed(items, run.progress.index, config.data)
    with StopRequest() as stop, Journal(out / "log.csv", run.progress.step, config.run.log_every) as journal:
        if random is not None:
            restore_random(random)
        else:
            torch.manual_seed(config.run.seed)
        run.loop(source, journal, stop)
    return run.progress


class _Run:
    """A run in flight: model, optimiser, average and progress, and what is done with them."""

    def __init__(
        self, config: TrainingConfig, model: nn.Module, loss_fn: LossFunction, out: Path, clock: Callable[[], float]
    ) -> None:
        optimisation = config.optimisation
        self.config = config
        self.loss_fn = loss_fn
        self.out = out
        self.clock = clock
        self.progress = Progress()
        self.fabric = Fabric(accelerator=config.run.accelerator, devices=1, precision=config.run.precision)
        self.model = model.to(self.fabric.device).train()
        self.trained_loss = loss_fn.to(self.fabric.device) if isinstance(loss_fn, TrainedLoss) else None
        self.trained = nn.ModuleList([self.model] if self.trained_loss is None else [self.model, self.trained_loss])
        self.average = WeightAverage(self.model, optimisation.ema_decay)
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.trained, optimisation.weight_decay),
            lr=optimisation.learning_rate,
            betas=optimisation.betas,
        )

    def load(self, path: Path) -> Mapping[str, Any]:
        """Go on from a stored state and return its random states; raises `InputError` if it is of another model."""
        state = load_state(path)
        for section, name in (
            ("model", "name"),
            ("model", "options"),
            ("run", "seed"),
            ("adaptation", "kind"),
            ("mixing", "kind"),
            ("mixing", "stage"),
        ):
            settings = self.config.to_mapping()[section]
            # a state may be older than a section
            stored, present = state["config"].get(section, settings)[name], settings[name]
            if stored != present:
                raise InputError(
                    f"Training state '{path}' was made with {section}.{name} = {stored!r}, "
                    f"the configuration has {present!r}. Resume with the configuration of that run."
                )
        try:
            self.model.load_state_dict(state["model"])
            if self.trained_loss is not None or state.get("loss"):
                (self.trained_loss or nn.Module()).load_state_dict(state.get("loss", {}))
        except RuntimeError as error:
            raise InputError(f"Training state '{path}' does not fit the model: {error}") from error
        self.average.load(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        return cast("Mapping[str, Any]", state["random"])

    def save(self) -> None:
        """Write the state file."""
        parts = {
            "model": self.model.state_dict(),
            "average": self.average.values,
            "optimiser": self.optimiser.state_dict(),
            "loss": {} if self.trained_loss is None else self.trained_loss.state_dict(),
        }
        save_state(self.out / STATE_FILE, parts, self.progress, self.config.to_mapping())

    def export(self) -> None:
        """Write the averaged weights and their manifest."""
        export_weights(self.out, self.average.values, self.progress, self.config.to_mapping())

    def loop(self, source: Iterator[Fed], journal: Journal, stop: StopRequest) -> None:
        """Step until the run is complete or a stop is requested; the state is saved either way."""
        # The optimiser's state is loaded by now; setting up later keeps Fabric's wrapper in step with it.
        module, optimiser = self.fabric.setup(_LossModule(self.model, self.loss_fn), self.optimiser)
        saved = exported = self.progress.elapsed_s
        began = self.clock() - self.progress.elapsed_s
        while (fraction := self._fraction()) < 1.0 and not stop.requested:
            row = self._step(module, optimiser, source, fraction)
            self.progress.elapsed_s = self.clock() - began
            if row is not None:
                journal.record(row, self._fraction())
            if self.progress.elapsed_s - saved >= 60.0 * self.config.run.checkpoint_minutes:
                self.save()
                saved = self.progress.elapsed_s
            if self.progress.elapsed_s - exported >= 60.0 * self.config.run.export_minutes:
                self.export()
                exported = self.progress.elapsed_s
        self.save()
        self.export()

    def _fraction(self) -> float:
        return completed_fraction(self.config.optimisation, self.progress.step, self.progress.elapsed_s)

    def _step(self, module: Any, optimiser: Any, source: Iterator[Fed], fraction: float) -> dict[str, float] | None:
        """One optimiser step over `accumulate` items; None if it had to be skipped."""
        began, progress, accumulate = time.perf_counter(), self.progress, self.config.optimisation.accumulate
        rate = learning_rate(self.config.optimisation, progress.step, fraction)
        for group in optimiser.param_groups:
            group["lr"] = rate
        # A network may keep running statistics, which a skipped step must not have touched.
        buffers = [(buffer, buffer.clone()) for buffer in self.trained.buffers()]
        if self.trained_loss is not None:
            self.trained_loss.before_step(fraction)
        sums: dict[str, float] = {}
        times = {"wait_s": 0.0, "item_s": 0.0}
        problem = None
        for _ in range(accumulate):
            asked = time.perf_counter()
            fed = next(source)
            times["wait_s"] += time.perf_counter() - asked
            times["item_s"] += fed.seconds
            progress.index = fed.index + 1
            problem = problem or fed.problem
            if problem is not None:
                continue
            total, parts = module(_Carrier(to_device(fed.item, self.fabric.device)))
            if not bool(torch.isfinite(total)):
                problem = f"the loss of item {fed.index} is {float(total.detach())}"
                continue
            self.fabric.backward(total / accumulate)
            for name, value in {"loss": total.detach(), **parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value) / accumulate
        norm = self._clip(module, optimiser) if problem is None else math.nan
        if not math.isfinite(norm):
            optimiser.zero_grad(set_to_none=True)
            for buffer, before in buffers:
                buffer.copy_(before)
            self._skip(problem or f"the gradient up to item {progress.index - 1} is not finite")
            return None
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self.average.update(self.model, progress.step)
        if self.trained_loss is not None:
            self.trained_loss.after_step(self.model)
        progress.step += 1
        progress.skipped_in_a_row = 0
        seconds = time.perf_counter() - began
        return {"step": progress.step, **sums, "learning_rate": rate, "norm": norm, "seconds": seconds, **times}

    def _clip(self, module: Any, optimiser: Any) -> float:
        norm = self.fabric.clip_gradients(
            module, optimiser, max_norm=self.config.optimisation.clip_norm, error_if_nonfinite=False
        )
        return float(norm) if norm is not None else math.nan

    def _skip(self, problem: str) -> None:
        progress = self.progress
        progress.skipped += 1
        progress.skipped_in_a_row += 1
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
