"""Several processes take the steps of one; whoever starts them, they must be as many as configured."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from oncoprompt.errors import InputError
from oncoprompt.training.config import RunSection, TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.processes import start_processes
from training import two_processes
from training.toy import losses, plain_model, toy_config, toy_loss


def rows(path: Path) -> list[list[float]]:
    """The numbers of a CSV file."""
    return [[float(value) for value in line.split(",")] for line in path.read_text(encoding="utf-8").splitlines()[1:]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Folder with the runs of one process ("one") and of two that torchrun started ("two")."""
    folder = tmp_path_factory.mktemp("runs")
    two_processes.run(folder / "one", processes=1, accumulate=4)
    script = Path(two_processes.__file__)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*torchrun, str(script), str(folder / "two")], env=environment, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    (folder / "told").write_text(done.stderr)
    return folder


def test_two_processes_take_the_steps_of_one(runs):
    one, two = ([row[:3] for row in rows(runs / name / "whole" / "log.csv")] for name in ("one", "two"))
    assert len(two) == 8
    for first, second in zip(one, two, strict=True):
        assert second == pytest.approx(first, rel=1e-5)
    first, second = (torch.load(runs / name / "whole" / "state.pt", weights_only=True) for name in ("one", "two"))
    assert first["progress"]["index"] == second["progress"]["index"]
    for part in ("model", "average"):
        for name, value in first[part].items():
            torch.testing.assert_close(second[part][name], value, rtol=1e-5, atol=1e-6)


def test_both_skip_the_step_in_which_one_of_them_has_a_bad_item(runs):
    state = torch.load(runs / "two" / "whole" / "state.pt", weights_only=True)
    assert state["progress"]["skipped"] == 2
    told = (runs / "told").read_text()
    assert told.count("the loss of item 5 is nan") == told.count("item 8 cannot be made") == 2


def test_one_that_is_asked_to_stop_stops_both_and_the_resumed_run_is_the_unbroken_one_to_the_bit(runs):
    parts, whole = ((runs / "two" / name) for name in ("parts", "whole"))
    assert losses(parts) == losses(whole)
    first, second = (load_file(folder / "msm-seg-compact.safetensors") for folder in (parts, whole))
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_a_run_goes_on_with_another_number_of_processes_at_the_next_item(runs):
    stopped, config = runs / "two" / "stopped", two_processes.config(processes=1, accumulate=4)
    before = torch.load(stopped / "state.pt", weights_only=True)["progress"]
    items, model = two_processes.Hindered(), plain_model()
    done = fit(config, model, items, toy_loss, stopped, resume=stopped / "state.pt", validate=two_processes.score)
    whole = rows(runs / "one" / "whole" / "log.csv")
    assert 0 < before["step"] < done.step == len(whole)
    for resumed, unbroken in zip(rows(stopped / "log.csv"), whole, strict=True):
        assert resumed[:3] == pytest.approx(unbroken[:3], rel=1e-5)


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_the_first_process_validates_for_both(runs, name):
    one, two = (rows(runs / folder / name / "validation.csv") for folder in ("one", "two"))
    assert [row[0] for row in two] == [3, 6, 8]
    for first, second in zip(one, two, strict=True):
        assert second[2:] == pytest.approx(first[2:], rel=1e-5)


@pytest.mark.parametrize(
    "started",
    [
        {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "GROUP_RANK": "0"},
        {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train"},
    ],
)
def test_another_number_of_processes_than_configured_is_refused(monkeypatch, started):
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"4 processes were started, but .* run.devices = 2 and run.nodes = 1"):
        start_processes(RunSection(accelerator="cpu", devices=2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without an accelerator")
def test_hardware_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"run\.accelerator = 'cuda' with run.devices = 2 is not to be had here"):
        start_processes(RunSection(accelerator="cuda", devices=2))


def test_a_run_of_one_process_starts_none():
    fabric = start_processes(toy_config().run)
    assert (fabric.world_size, torch.distributed.is_initialized()) == (1, False)


def test_a_translator_is_not_trained_by_several_processes():
    with pytest.raises(InputError, match=r"adaptation\.kind is 'cyclegan'"):
        TrainingConfig.from_mapping({"run": {"devices": 2}, "adaptation": {"kind": "cyclegan", "real": "scans"}})
