"""The fit loop: resumable to the bit, robust to bad items and to being stopped."""

import csv
import hashlib
import itertools
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from oncoprompt.errors import InputError
from oncoprompt.training.checkpoint import TrainingError
from oncoprompt.training.fit import fit
from training.toy import ToyItem, ToyItems, losses, toy_config, toy_loss, toy_model


class StopsAt(ToyItems):
    """Items of which one asks this process to stop, as a scheduler or a person would."""

    def __init__(self, index: int, number: signal.Signals) -> None:
        super().__init__()
        self.stop_index = index
        self.number = number

    def item(self, index: int) -> ToyItem:
        if index == self.stop_index:
            os.kill(os.getpid(), self.number)
        return super().item(index)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_and_resumed_run_has_the_same_losses_and_weights_as_an_unbroken_one(tmp_path, number):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path / "whole")
    stopped = fit(toy_config(), toy_model(), StopsAt(9, number), toy_loss, tmp_path / "parts")
    assert stopped.step == 5
    torch.rand(7)
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path / "parts", resume=tmp_path / "parts" / "state.pt")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    whole, parts = (load_file(tmp_path / name / "msm-seg-compact.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_worker_processes_change_nothing_but_the_time(tmp_path):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path / "main")
    fit(toy_config(workers=2), toy_model(), ToyItems(), toy_loss, tmp_path / "workers")
    assert losses(tmp_path / "main") == losses(tmp_path / "workers")


def test_rows_logged_after_the_last_checkpoint_are_dropped_on_resume(tmp_path):
    fit(toy_config(), toy_model(), StopsAt(9, signal.SIGTERM), toy_loss, tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open("a") as file:
        file.write("6" + ",9.9" * 7 + "\n7,1.0")
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path / "run", resume=tmp_path / "run" / "state.pt")
    assert [row[0] for row in losses(tmp_path / "run")] == [str(step) for step in range(1, 13)]


def test_a_linear_target_is_learnt(tmp_path):
    config = toy_config(steps=300, learning_rate=0.05, weight_decay=0.0, ema_decay=0.9)
    fit(config, torch.nn.Linear(6, 1), ToyItems(), toy_loss, tmp_path)
    weight = load_file(tmp_path / "msm-seg-compact.safetensors")["weight"]
    assert torch.allclose(weight.float(), torch.ones(1, 6), atol=0.01)


def test_a_step_with_a_non_finite_loss_is_skipped_and_counted(tmp_path):
    progress = fit(toy_config(), toy_model(), ToyItems(broken=frozenset({4, 11})), toy_loss, tmp_path)
    assert (progress.step, progress.skipped, progress.index) == (12, 2, 28)
    exported = load_file(tmp_path / "msm-seg-compact.safetensors")
    assert all(bool(torch.isfinite(value).all()) for value in exported.values() if value.is_floating_point())


def test_twenty_non_finite_steps_in_a_row_stop_the_run_and_name_the_item(tmp_path):
    with pytest.raises(TrainingError, match="the loss of item 38 is nan"):
        fit(toy_config(), toy_model(), ToyItems(broken=frozenset(range(100))), toy_loss, tmp_path)


class Failing(ToyItems):
    """Items some of which raise."""

    def item(self, index: int) -> ToyItem:
        if index in self.broken:
            raise ValueError("no such tumour")
        return super().item(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_item_that_cannot_be_made_costs_one_step_and_is_told(tmp_path, caplog, workers):
    progress = fit(toy_config(workers), toy_model(), Failing(broken=frozenset({6})), toy_loss, tmp_path)
    assert (progress.step, progress.skipped) == (12, 1)
    assert "item 6 cannot be made (ValueError: no such tumour)" in caplog.text


def test_the_time_limit_ends_the_run_with_the_learning_rate_at_its_floor(tmp_path):
    config = toy_config(steps=10_000, max_minutes=1.0, warmup_steps=0)
    clock = itertools.count(0.0, 6.0)
    progress = fit(config, toy_model(), ToyItems(), toy_loss, tmp_path, clock=lambda: next(clock))
    assert progress.step == 10
    rates = [float(row[2]) for row in losses(tmp_path)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.05 * rates[0]


def test_time_trained_is_kept_over_a_resume(tmp_path):
    config = toy_config(steps=10_000, max_minutes=1.0)
    first, second = itertools.count(0.0, 6.0), itertools.count(1000.0, 6.0)
    stopped = fit(config, toy_model(), StopsAt(7, signal.SIGTERM), toy_loss, tmp_path, clock=lambda: next(first))
    state = tmp_path / "state.pt"
    done = fit(config, toy_model(), ToyItems(), toy_loss, tmp_path, resume=state, clock=lambda: next(second))
    assert stopped.elapsed_s == pytest.approx(24.0)
    assert done.elapsed_s == pytest.approx(60.0)
    assert done.step == 10


def test_the_manifest_describes_the_exported_weights(tmp_path):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path)
    manifest = json.loads((tmp_path / "msm-seg-compact.json").read_text())
    content = (tmp_path / "msm-seg-compact.safetensors").read_bytes()
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert (manifest["licence"], manifest["seed"], manifest["steps"]) == ("Apache-2.0", 5, 12)
    assert manifest["recipe"]["optimisation"]["accumulate"] == 2
    exported = load_file(tmp_path / "msm-seg-compact.safetensors")
    assert exported["0.weight"].dtype == torch.float16
    toy_model().load_state_dict(exported)


def test_the_log_has_one_row_a_step_with_the_parts_of_the_loss_and_the_times(tmp_path):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert set(rows[0]) == {"step", "loss", "error", "learning_rate", "norm", "seconds", "wait_s", "item_s"}
    assert float(rows[3]["loss"]) == pytest.approx(float(rows[3]["error"]))


def test_a_new_run_does_not_overwrite_the_state_of_an_earlier_one(tmp_path):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path)
    with pytest.raises(InputError, match=r"Resume from its state\.pt"):
        fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path)


def test_a_state_of_another_model_is_refused(tmp_path):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path)
    with pytest.raises(InputError, match="does not fit the model"):
        fit(toy_config(), torch.nn.Linear(6, 1), ToyItems(), toy_loss, tmp_path, resume=tmp_path / "state.pt")


@pytest.mark.parametrize("content", [b"", b"no state", None])
def test_a_damaged_or_missing_state_is_refused_with_its_name(tmp_path: Path, content):
    state = tmp_path / "state.pt"
    if content is not None:
        state.write_bytes(content)
    with pytest.raises(InputError, match=r"state\.pt"):
        fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path, resume=state)


def test_a_state_that_would_run_code_is_refused(tmp_path):
    torch.save({"format": 1, "run": os.system}, tmp_path / "state.pt")
    with pytest.raises(InputError, match="cannot be read"):
        fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path, resume=tmp_path / "state.pt")


def test_bf16_computes_in_half_precision_and_keeps_full_weights(tmp_path):
    seen: list[torch.dtype] = []

    def loss(model, item):
        seen.append(model[0](item.inputs).dtype)
        return toy_loss(model, item)

    config = replace(toy_config(), run=replace(toy_config().run, precision="bf16-mixed"))
    model = toy_model()
    before = model[0].weight.detach().clone()
    assert fit(config, model, ToyItems(), loss, tmp_path).step == 12
    assert set(seen) == {torch.bfloat16}
    assert model[0].weight.dtype == torch.float32
    assert not torch.equal(model[0].weight, before)
