"""Validation: the averaged weights are scored when the configuration says so, and the best of them are kept."""

import itertools
import json
import signal

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from oncoprompt.errors import InputError
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.validation import ValidationSection
from training.test_fit import StopsAt
from training.toy import ToyItems, losses, toy_config, toy_loss, toy_model

NAME = "msm-seg-compact.safetensors"


class Scores:
    """Scores a network by a given series of numbers, and keeps the weights that it saw."""

    def __init__(self, *series: float) -> None:
        self.series = iter(series)
        self.seen: list[dict[str, torch.Tensor]] = []
        self.training: list[bool] = []

    def __call__(self, model: nn.Module) -> dict[str, float]:
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        self.training.append(model.training)
        score = next(self.series)
        return {"WT": score, "ET": score - 0.2}


def config(**validation: object) -> TrainingConfig:
    """The toy run of twelve steps, with a validation section."""
    return TrainingConfig.from_mapping({**toy_config().to_mapping(), "validation": validation})


def validations(folder) -> list[list[float]]:
    """Rows of validation.csv as numbers."""
    head, *lines = (folder / "validation.csv").read_text().splitlines()
    assert head == "step,minutes,WT,ET,mean"
    return [[float(value) for value in line.split(",")] for line in lines]


def test_it_happens_every_so_many_steps_and_at_the_end(tmp_path):
    fit(config(every_steps=5), toy_model(), ToyItems(), toy_loss, tmp_path, validate=Scores(0.5, 0.6, 0.7))
    rows = validations(tmp_path)
    assert [row[0] for row in rows] == [5, 10, 12]
    assert rows[1][2:] == pytest.approx([0.6, 0.4, 0.5])


def test_it_happens_every_so_many_minutes_of_training_and_its_own_time_does_not_count(tmp_path):
    ticks = itertools.count(0.0, 6.0)
    scores, settings = Scores(*[0.5] * 20), config(every_minutes=0.35)
    done = fit(settings, toy_model(), ToyItems(), toy_loss, tmp_path, validate=scores, clock=lambda: next(ticks))
    assert [row[:2] for row in validations(tmp_path)] == [[4, 0.4], [8, 0.8], [12, 1.2]]
    assert done.elapsed_s == pytest.approx(72.0)


def test_what_is_scored_and_kept_are_the_averaged_weights_in_evaluation_mode(tmp_path):
    scores = Scores(0.9, 0.5)
    fit(config(every_steps=6), toy_model(), ToyItems(), toy_loss, tmp_path, validate=scores)
    best, last = load_file(tmp_path / "best" / NAME), load_file(tmp_path / NAME)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert scores.training == [False, False]
    assert all(torch.equal(value, scores.seen[1][name]) for name, value in state["average"].items())
    assert torch.equal(best["0.weight"], scores.seen[0]["0.weight"].half())
    assert torch.equal(last["0.weight"], scores.seen[1]["0.weight"].half())
    assert not torch.equal(best["0.weight"], last["0.weight"])


def test_the_manifest_of_the_best_weights_has_their_step_and_scores(tmp_path):
    done = fit(config(every_steps=4), toy_model(), ToyItems(), toy_loss, tmp_path, validate=Scores(0.5, 0.8, 0.6))
    manifest = json.loads((tmp_path / "best" / "msm-seg-compact.json").read_text())
    assert manifest["steps"] == done.best_step == 8
    assert manifest["validation"] == pytest.approx({"WT": 0.8, "ET": 0.6, "mean": 0.7})
    assert done.best_score == pytest.approx(0.7)


def test_validating_changes_no_loss(tmp_path):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path / "without")

    def draws(model: nn.Module) -> dict[str, float]:
        return {"WT": float(torch.rand(()))}

    fit(config(every_steps=2), toy_model(), ToyItems(), toy_loss, tmp_path / "with", validate=draws)
    assert losses(tmp_path / "with") == losses(tmp_path / "without")


def test_a_resumed_run_keeps_the_best_so_far_and_validates_when_the_unbroken_one_does(tmp_path):
    settings, state = config(every_steps=3), tmp_path / "parts" / "state.pt"
    fit(settings, toy_model(), ToyItems(), toy_loss, tmp_path / "whole", validate=Scores(0.9, 0.5, 0.6, 0.7))
    stopping = StopsAt(9, signal.SIGTERM)
    stopped = fit(settings, toy_model(), stopping, toy_loss, tmp_path / "parts", validate=Scores(0.9))
    assert (stopped.step, stopped.best_step) == (5, 3)
    rest = Scores(0.5, 0.6, 0.7)
    done = fit(settings, toy_model(), ToyItems(), toy_loss, tmp_path / "parts", resume=state, validate=rest)
    assert done.best_step == 3
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    without_minutes = [[row[0], *row[2:]] for row in validations(tmp_path / "parts")]
    assert without_minutes == [[row[0], *row[2:]] for row in validations(tmp_path / "whole")]
    whole, parts = (load_file(tmp_path / name / "best" / NAME) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_one_that_fails_is_told_and_the_run_goes_on(tmp_path, caplog):
    def fails(model: nn.Module) -> dict[str, float]:
        raise InputError("None of the 3 cases could be scored.")

    done = fit(config(every_steps=6), toy_model(), ToyItems(), toy_loss, tmp_path, validate=fails)
    assert (done.step, done.best_score) == (12, None)
    assert "Validation after step 6 failed: None of the 3 cases could be scored." in caplog.text


def test_without_steps_or_minutes_there_is_none(tmp_path):
    fit(config(), toy_model(), ToyItems(), toy_loss, tmp_path, validate=Scores())
    assert not (tmp_path / "validation.csv").exists()


@pytest.mark.parametrize(
    ("section", "step", "seconds", "complete", "due"),
    [
        (ValidationSection(every_steps=5), 4, 0.0, False, False),
        (ValidationSection(every_steps=5), 5, 0.0, False, True),
        (ValidationSection(every_steps=5), 1, 0.0, True, True),
        (ValidationSection(every_minutes=1.0), 1, 59.0, False, False),
        (ValidationSection(every_minutes=1.0), 1, 60.0, False, True),
        (ValidationSection(every_minutes=1.0), 0, 60.0, False, False),
        (ValidationSection(), 1, 1e9, True, False),
    ],
)
def test_it_is_due(section, step, seconds, complete, due):
    assert section.due(Progress(step=step, elapsed_s=seconds), complete) is due
