"""What a few labelled cases of one's own are worth: a model before and after being tuned on one, two, four of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from oncoprompt.errors import InputError
from oncoprompt.experiments.cases import LABELLED, Case
from oncoprompt.experiments.engine import Setting, run
from oncoprompt.experiments.figure import dot_figure
from oncoprompt.experiments.protocol import moved_box
from oncoprompt.experiments.result import Result
from oncoprompt.experiments.unfinished import UnfinishedError
from oncoprompt.inference.device import device_named
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import load_model
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.training.finetune import FinetuneConfig, finetune
from oncoprompt.training.fit import STATE_FILE


def few_shot(
    counts: Sequence[int], config: FinetuneConfig, out: Path, cases: Sequence[Case], begin: Callable[[], None]
) -> Result:
    """Tune a model on the first 1, 2, 4 ... cases of a seeded order, and score it on those that no run has seen.

    Runs are kept in ``out`` and not repeated. Raises InputError where no case would be left to score, UnfinishedError
    where tuning was stopped.
    """
    training, held_out, problems = divided(cases, max(counts), config.seed)
    device = device_named("auto")
    models = {"before": load_model(config.model, device)}
    for count in counts:
        models[_name(count)] = _tuned(training[:count], config, out / f"{count}-cases", device)
    protocol = moved_box(0.1)
    settings = [Setting(name, model, protocol) for name, model in models.items()]
    outcome = run(held_out, lambda _: settings, begin)
    outcome = replace(outcome, problems=(*problems, *outcome.problems))
    return Result(
        title="What a few labelled cases are worth",
        model=models["before"].name,
        weights_sha256=models["before"].weights_sha256,
        head="tuned on",
        settings=tuple(models),
        outcome=outcome,
        remarks=(
            f"Tuned as `oncoprompt finetune` does for {_long(config)} each. No scored patient is in any of the runs, "
            "and the cases of a smaller run are in every larger one.",
            f"Prompt: {protocol.sentence}.",
        ),
        figure=dot_figure(outcome, tuple(models), "What a few labelled cases are worth"),
        figures={"weights": {name: model.weights_sha256 for name, model in models.items()}},
    )


def numbers(text: str) -> list[int]:
    """Positive whole numbers with commas between, each once and in order; raises InputError for anything else."""
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--counts takes positive whole numbers with commas between, such as 1,2,4. Found: '{text}'.")
    return sorted({int(part) for part in parts})


def divided(cases: Sequence[Case], count: int, seed: int) -> tuple[list[LabelledCase], list[Case], list[str]]:
    """Cases to train on, cases of other patients to score, and a sentence for each that could not be read.

    Labelled cases are trained on where there are any, else synthetic ones. Raises InputError for too few.
    """
    usable = [case for case in cases if case.source == LABELLED] or list(cases)
    training: list[LabelledCase] = []
    patients: set[str] = set()
    problems: list[str] = []
    for index in np.random.default_rng(seed).permutation(len(usable)):
        case = usable[index]
        if len(training) < count:
            try:
                training.append(case.read().in_head_box())
            except (InputError, OSError) as error:
                problems.append(f"Case '{case.name}' is left out: {error}")
            patients.add(case.patient)
    held_out = [case for case in cases if case.patient not in patients]
    if len(training) < count or not any(case in usable for case in held_out):
        raise InputError(
            f"To tune on {count} cases and score on other patients takes more cases; found {len(usable)}, of which "
            f"{len(problems)} cannot be read. Give more, or smaller --counts. {' '.join(problems[:1])}".strip()
        )
    return training, held_out, problems


def _tuned(cases: Sequence[LabelledCase], config: FinetuneConfig, folder: Path, device: torch.device) -> Method:
    begun = (folder / "run" / STATE_FILE).is_file()
    result = finetune(cases, folder, config, resume=begun)
    if not result.complete:
        raise UnfinishedError(f"Stopped after {result.progress.step} steps; the same command goes on.")
    return load_model(str(result.weights), device)


def _name(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def _long(config: FinetuneConfig) -> str:
    return f"{config.minutes:g} minutes" if config.steps is None else f"{config.steps} steps"
