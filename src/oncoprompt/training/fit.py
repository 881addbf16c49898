"""The fit loop: any model, any item source, one loss function; resumable to the bit."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from oncoprompt.errors import InputError
from oncoprompt.study.output import check_outputs, may_overwrite, overwriting
from oncoprompt.training.averaging import WeightAverage
from oncoprompt.training.checkpoint import Progress, check_run_fits, load_state, remove_unfinished, save_state
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.feed import Fed, ItemSource, feed
from oncoprompt.training.interruption import StopRequest
from oncoprompt.training.journal import LOG_FILES, Journal
from oncoprompt.training.loss import LossFunction
from oncoprompt.training.processes import greatest, start_processes
from oncoprompt.training.schedule import completed_fraction
from oncoprompt.training.step import Stepper
from oncoprompt.training.validation import Validate

logger = logging.getLogger("oncoprompt.training")
STATE_FILE = "state.pt"
BEST_FOLDER = "best"
_OF_THE_RUN = (
    ("model", "name"),
    ("model", "options"),
    ("run", "seed"),
    ("adaptation", "kind"),
    ("mixing", "kind"),
    ("mixing", "stage"),
)


def fit(
    config: TrainingConfig,
    model: nn.Module,
    items: ItemSource,
    loss_fn: LossFunction,
    out: Path,
    resume: Path | None = None,
    validate: Validate | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Train `model` on `items`; `out` gets state.pt, log.csv, the averaged weights and their manifest.

    `loss_fn(model, item)` runs the model on one item, already on the model's device; a `TrainedLoss` is trained too.
    `validate(model)` scores the averaged weights when `[validation]` says so, into validation.csv; the best ones, by
    their mean score, are kept in best/. A run stopped by SIGINT or SIGTERM saves its state first; `resume` goes on from
    such a state with the same losses as a run that was never stopped (with `max_minutes` the learning rate follows the
    time trained, so runs agree as far as their times do). N processes with one item each take the steps of one process
    with N.

    Raises `InputError` for a state that does not belong to this model or would be overwritten, for hardware that is not
    there and for a disk without room, `TrainingError` after 20 steps in a row that had to be skipped because their loss
    is not finite or their item cannot be made, and where the state cannot be written.
    """
    if resume is None:
        _check_folder(out, config)
    check_run_fits(out, model)
    fabric = start_processes(config.run)
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    run = _Run(config, fabric, model, loss_fn, out, validate, clock)
    if resume is not None:
        run.load(resume)
    # Workers start before the progress bar's thread does.
    source = feed(items, run.progress.index + fabric.global_rank, fabric.world_size, config.data)
    if fabric.is_global_zero:
        out.mkdir(parents=True, exist_ok=True)
        remove_unfinished(out / STATE_FILE)
    journal = Journal(out, run.progress.step, config.run) if fabric.is_global_zero else nullcontext()
    with StopRequest() as stop, journal as told:
        run.loop(source, told, stop)
    fabric.barrier()
    return run.progress


def _check_folder(out: Path, config: TrainingConfig) -> None:
    """Raise `InputError` where a new run would replace an earlier one, its own start, or files that are not ours."""
    if (out / STATE_FILE).exists() and not may_overwrite():
        raise InputError(
            f"'{out}' holds the state of an earlier run. Resume from its {STATE_FILE} or give another folder."
        )
    weights = out / f"{config.model.name}.safetensors"
    start = [Path(config.model.weights)] if config.model.weights is not None else []
    check_outputs([weights, weights.with_suffix(".json"), *(out / name for name in LOG_FILES)], start)


class _Run:
    """A run in flight: steps, average and progress, and what is written of them."""

    def __init__(
        self,
        config: TrainingConfig,
        fabric: Fabric,
        model: nn.Module,
        loss_fn: LossFunction,
        out: Path,
        validate: Validate | None,
        clock: Callable[[], float],
    ) -> None:
        self.config = config
        self.fabric = fabric
        self.out = out
        self.validate = validate
        self.clock = clock
        self.progress = Progress()
        self.stepper = Stepper(config, fabric, model, loss_fn)
        self.average = WeightAverage(model, config.optimisation.ema_decay)
        # Copied before the first step: what a network keeps of its last item cannot always be copied.
        self.validated = copy.deepcopy(model).eval() if validate is not None and fabric.is_global_zero else None

    def load(self, path: Path) -> None:
        """Go on from a stored state; raises `InputError` if it is of another model."""
        state = load_state(path)
        for section, name in _OF_THE_RUN:
            settings = self.config.to_mapping()[section]
            # a state may be older than a section
            stored, present = state["config"].get(section, settings)[name], settings[name]
            if stored != present:
                raise InputError(
                    f"Training state '{path}' was made with {section}.{name} = {stored!r}, "
                    f"the configuration has {present!r}. Resume with the configuration of that run."
                )
        try:
            self.stepper.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(
                f"Training state '{path}' does not fit the model. Resume with the configuration of that run."
            ) from error
        self.average.load(state["average"])
        self.progress = Progress(**state["progress"])

    def loop(self, source: Iterator[Fed], journal: Journal | None, stop: StopRequest) -> None:
        """Step until the run is complete or a stop is requested; the state is saved either way."""
        self.stepper.start()
        progress, run = self.progress, self.config.run
        saved = exported = progress.elapsed_s
        began = self.clock() - progress.elapsed_s
        stopped = 0.0
        while (fraction := self._fraction()) < 1.0 and not stopped:
            step = progress.step
            row = self.stepper.step(source, progress, fraction)
            if row is not None:
                self.average.update(self.stepper.model, step)
            stopped, progress.elapsed_s = greatest(self.fabric, float(stop.requested), self.clock() - began)
            if row is not None and journal is not None:
                journal.record(row, self._fraction())
            if not stopped and self._validation_is_due():
                self._validate(journal)
                began = self.clock() - progress.elapsed_s
            if progress.elapsed_s - saved >= 60.0 * run.checkpoint_minutes:
                self._save()
                saved = progress.elapsed_s
            if progress.elapsed_s - exported >= 60.0 * run.export_minutes:
                self._export()
                exported = progress.elapsed_s
        self._save()
        self._export()

    def _fraction(self) -> float:
        return completed_fraction(self.config.optimisation, self.progress.step, self.progress.elapsed_s)

    def _validation_is_due(self) -> bool:
        complete = self._fraction() >= 1.0
        return self.validate is not None and self.config.validation.due(self.progress, complete)

    def _validate(self, journal: Journal | None) -> None:
        """Score the averaged weights in the first process; the others wait."""
        progress = self.progress
        progress.validated_step, progress.validated_s = progress.step, progress.elapsed_s
        if self.validate is not None and self.validated is not None and journal is not None:
            self.validated.load_state_dict(self.average.values)
            try:
                scores = dict(self.validate(self.validated))
                self._keep_if_best(scores, math.fsum(scores.values()) / max(len(scores), 1), journal)
            # days of training must not end because cases could not be read for a moment
            except InputError as error:
                logger.warning("Validation after step %d failed: %s", progress.step, error)
        self.fabric.barrier()

    def _keep_if_best(self, scores: Mapping[str, float], mean: float, journal: Journal) -> None:
        """Record the scores, and export the weights where none were better."""
        progress, folder = self.progress, self.out / BEST_FOLDER
        minutes = progress.elapsed_s / 60.0
        journal.record_validation({"step": progress.step, "minutes": minutes, **scores, "mean": mean})
        if progress.best_score is None or mean > progress.best_score:
            progress.best_step, progress.best_score = progress.step, mean
            folder.mkdir(exist_ok=True)
            remarks = {"validation": {**scores, "mean": mean}}
            with overwriting(True):
                export_weights(folder, self.average.values, progress, self.config.to_mapping(), remarks)

    def _save(self) -> None:
        """Write the state file."""
        if self.fabric.is_global_zero:
            parts = {**self.stepper.state_dict(), "average": self.average.values}
            save_state(self.out / STATE_FILE, parts, self.progress, self.config.to_mapping())

    def _export(self) -> None:
        """Write the averaged weights and their manifest."""
        if self.fabric.is_global_zero:
            # what lies there is this run's: that was checked when it began
            with overwriting(True):
                export_weights(self.out, self.average.values, self.progress, self.config.to_mapping())
