"""Fine-tuning on few labelled real cases, pulled back half of the way to the weights it started from."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from oncoprompt.adaptation.weight_averaging import average_weights
from oncoprompt.errors import InputError
from oncoprompt.methods.registry import TrainedNetwork, load_network
from oncoprompt.mixing.store import FieldStore
from oncoprompt.mixing.velocity_field import FitSettings, VelocityField
from oncoprompt.study.output import may_overwrite, overwriting
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.training.checkpoint import Progress, check_run_fits, load_state
from oncoprompt.training.config import DataSection, ModelSection, OptimisationSection, RunSection, TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.few_case_items import Shares, few_case_items
from oncoprompt.training.fit import STATE_FILE, fit
from oncoprompt.training.ism_items import fitted_fields, stored_fields
from oncoprompt.training.items import ItemConfig, in_whole_tumour
from oncoprompt.training.recipe import msm_seg_step
from oncoprompt.training.schedule import completed_fraction

logger = logging.getLogger("oncoprompt.training")
MODEL = "msm-seg-compact"
"""The network that fine-tuning is built for."""

_RUN, _FIELDS = "run", "run/fields"


@dataclass(frozen=True)
class FinetuneConfig:
    """How a model is fine-tuned; a run ends after ``steps``, or after ``minutes`` of training where None.

    ``kept`` is the share of the fine-tuned weights in the result, theta = (1 - kept) theta_before + kept theta_tuned.
    Deformations between heads are fitted for ``field_minutes``, by default a fifth of ``minutes``, but at most four.
    """

    model: str = MODEL
    minutes: float = 20.0
    steps: int | None = None
    seed: int = 0
    shares: Shares = field(default_factory=Shares)
    items: ItemConfig = field(default_factory=ItemConfig)
    learning_rate: float = 2e-4
    warmup_steps: int = 20
    ema_decay: float = 0.99
    kept: float = 0.5
    field_minutes: float | None = None
    field_iterations: int = 150
    workers: int = 1
    accelerator: str = "auto"
    threads: int | None = None

    def training(self, options: dict[str, Any]) -> TrainingConfig:
        """The configuration of the training run, for a network built with these options."""
        return TrainingConfig(
            model=ModelSection(MODEL, options=options),
            data=DataSection(workers=self.workers),
            optimisation=OptimisationSection(
                steps=self.steps if self.steps is not None else 1_000_000,
                max_minutes=None if self.steps is not None else self.minutes,
                learning_rate=self.learning_rate,
                warmup_steps=self.warmup_steps,
                ema_decay=self.ema_decay,
                recall=0.6,
            ),
            run=RunSection(seed=self.seed, accelerator=self.accelerator, threads=self.threads, checkpoint_minutes=2.0),
        )


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning left: the weights, how far it came, and whether that is all that was asked for."""

    weights: Path
    progress: Progress
    complete: bool


def finetune(cases: Sequence[LabelledCase], out: Path, config: FinetuneConfig, resume: bool = False) -> FineTuned:
    """Fine-tune a model on labelled cases; ``out`` gets the averaged weights, their manifest, and the run.

    With two cases or more, heads are mixed. ``resume`` goes on from the run in ``out`` as if it had never stopped.
    Raises InputError as `check` does, and for cases without any tumour.
    """
    before = check(out, config, resume)
    if not any(bool(in_whole_tumour(case.labels).any()) for case in cases):
        raise InputError(f"None of the {len(cases)} cases has a tumour in its label map; there is nothing to learn.")
    out.mkdir(parents=True, exist_ok=True)
    settings = config.training(dict(before.options))
    start = {name: value.clone() for name, value in before.network.state_dict().items()}
    items = few_case_items(
        cases, _velocity_fields(cases, out, config, resume), config.shares, config.items, config.seed
    )
    logger.info(
        "Training on %d real case%s: %s.",
        len(cases),
        "" if len(cases) == 1 else "s",
        ", ".join(f"{share / sum(items.shares.values()):.0%} {name}" for name, share in items.shares.items()),
    )
    state = out / _RUN / STATE_FILE
    loss = partial(msm_seg_step, recall=settings.optimisation.recall)
    progress = fit(settings, before.network, items, loss, out / _RUN, state if resume else None)
    averaged = average_weights(start, load_state(state)["average"], config.kept)
    remarks = {
        "trained_on": f"weights {before.sha256[:12]} fine-tuned on {len(cases)} labelled real cases",
        "fine_tuning": {
            "from_sha256": before.sha256,
            "real_cases": len(cases),
            "cases_sha256": sorted(hashlib.sha256(case.name.encode()).hexdigest()[:16] for case in cases),
            "shares": dict(items.shares),
            "kept": config.kept,
            "items": asdict(config.items),
        },
    }
    with overwriting(True):
        weights = export_weights(out, averaged, progress, settings.to_mapping(), remarks)
    done = completed_fraction(settings.optimisation, progress.step, progress.elapsed_s) >= 1.0
    return FineTuned(weights, progress, done)


def check(out: Path, config: FinetuneConfig, resume: bool = False) -> TrainedNetwork:
    """The network to start from, and a place for the result, before anything slow is done.

    Raises InputError for an ``out`` that is not empty, or without a run to resume, and for another network than MODEL,
    and for a disk without room; WeightsError where weights are missing.
    """
    if resume and not (out / _RUN / STATE_FILE).is_file():
        raise InputError(f"'{out}' holds no run to go on with. Leave --resume out.")
    if not resume and out.exists() and (not out.is_dir() or (_occupied(out) and not may_overwrite())):
        raise InputError(
            f"Output '{out}' is not an empty folder. Give another, go on with its run with --resume, or begin again "
            "with --overwrite."
        )
    before = load_network(config.model)
    if before.name != MODEL:
        raise InputError(f"Fine-tuning is built for {MODEL} alone so far; '{config.model}' is {before.name}.")
    check_run_fits(out, before.network)
    return before


def _occupied(out: Path) -> bool:
    """Whether a folder holds more than the deformations of a run that was stopped before its first step."""
    return (out / _RUN / STATE_FILE).exists() or any(path.name != _RUN for path in out.iterdir())


def _velocity_fields(
    cases: Sequence[LabelledCase], out: Path, config: FinetuneConfig, resume: bool
) -> dict[str, list[VelocityField]]:
    if len(cases) < 2 or config.shares.ism <= 0:
        logger.info("Heads are not mixed: that takes two cases.")
        return {}
    store = FieldStore(out / _FIELDS)
    if resume:
        # those that were fitted before; more would change the items of the steps to come
        return stored_fields(cases, store)
    minutes = min(4.0, config.minutes / 5.0) if config.field_minutes is None else config.field_minutes
    logger.info("Fitting deformations between the heads, for about %.1f minutes.", minutes)
    settings = FitSettings(iterations=config.field_iterations, seed=config.seed)
    return fitted_fields(cases, store, minutes, settings)
