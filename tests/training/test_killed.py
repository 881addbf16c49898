"""What is on disk survives what happens to the process and to the disk."""

import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from oncoprompt.training.checkpoint import Progress, TrainingError, load_state, save_state
from oncoprompt.training.fit import fit
from oncoprompt.training.row_file import RowFile
from training.toy import ToyItems, losses, toy_config, toy_loss, toy_model

SCRIPT = """
import sys, time
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
from oncoprompt.training.fit import fit
from training.toy import ToyItem, ToyItems, toy_config, toy_loss, toy_model

class Slow(ToyItems):
    def item(self, index: int) -> ToyItem:
        time.sleep(0.02)
        return super().item(index)

config = toy_config(steps=400)
config = replace(config, run=replace(config.run, checkpoint_minutes=0.2 / 60, threads=1))
fit(config, toy_model(), Slow(), toy_loss, Path({out!r}))
"""
"""A run of 400 steps of 0.04 seconds, saved every 0.2 seconds."""


def test_a_killed_run_goes_on_from_its_last_checkpoint_with_the_losses_of_an_unbroken_one(tmp_path):
    out = tmp_path / "killed"
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), out=str(out))
    process = subprocess.Popen([sys.executable, "-c", script])
    until = time.monotonic() + 100
    while not (out / "state.pt").exists() or len(losses(out)) < 30:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = load_state(out / "state.pt")["progress"]
    lost = (out / "log.csv").read_text().splitlines()[killed["step"] + 1 :]
    assert 0 < killed["step"] <= len(losses(out)) < 400
    # the state is saved after the step that completes the interval
    assert sum(float(line.split(",")[5]) for line in lost[:-1]) <= 0.2
    fit(toy_config(steps=400), toy_model(), ToyItems(), toy_loss, out, resume=out / "state.pt")
    fit(toy_config(steps=400), toy_model(), ToyItems(), toy_loss, tmp_path / "whole")
    assert losses(out) == losses(tmp_path / "whole")


@contextmanager
def small_files():
    """The operating system refuses to write files of more than 2,000 bytes, as a full disk would.

    Not a fixture: the letter a test prints into a long log would be refused too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_state_that_does_not_fit_on_the_disk_leaves_the_one_before(tmp_path):
    path = tmp_path / "state.pt"
    save_state(path, {"model": {"weight": torch.ones(10_000)}}, Progress(step=1), {})
    refused = pytest.raises(
        TrainingError, match=r"Cannot write '.*state\.pt': No space left on the disk\. .* then resume"
    )
    with refused, small_files():
        save_state(path, {"model": {"weight": torch.zeros(10_000)}}, Progress(step=2), {})
    state = load_state(path)
    assert state["progress"]["step"] == 1
    assert bool((state["model"]["weight"] == 1).all())
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_a_log_that_does_not_fit_on_the_disk_says_which_file_it_is(tmp_path):
    log = RowFile(tmp_path / "log.csv", 0)
    row = {"step": 1, **{f"part {number}": 0.5 for number in range(1000)}}
    with pytest.raises(TrainingError, match=r"Cannot write '.*log\.csv'"), small_files():
        log.write(row)


def test_what_a_killed_process_left_of_a_state_is_removed(tmp_path):
    (tmp_path / ".state.pt.1234").write_bytes(b"half a state")
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path)
    assert not list(tmp_path.glob(".state.pt.*"))
