"""What a run writes while it goes: CSV rows, and TensorBoard's event files where they are asked for."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from oncoprompt.errors import InputError
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.row_file import RowFile
from training.toy import ToyItems, losses, toy_config, toy_loss, toy_model


def with_board(steps: int = 12) -> TrainingConfig:
    """The toy run with TensorBoard and a validation every four steps."""
    config = toy_config(steps=steps)
    validation = replace(config.validation, every_steps=4)
    return replace(config, run=replace(config.run, tensorboard=True), validation=validation)


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Steps and values of a tag in the event files of a run."""
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_tensorboard_gets_every_figure_of_the_steps_and_validations(tmp_path):
    fit(with_board(), toy_model(), ToyItems(), toy_loss, tmp_path, validate=lambda model: {"WT": 0.25})
    found = points(tmp_path, "training/loss")
    assert [step for step, _ in found] == list(range(1, 13))
    assert [value for _, value in found] == pytest.approx([float(row[1]) for row in losses(tmp_path)])
    assert points(tmp_path, "validation/mean") == [(4, 0.25), (8, 0.25), (12, 0.25)]


def test_a_resumed_run_goes_on_in_the_same_events(tmp_path):
    fit(with_board(steps=6), toy_model(), ToyItems(), toy_loss, tmp_path)
    fit(with_board(), toy_model(), ToyItems(), toy_loss, tmp_path, resume=tmp_path / "state.pt")
    assert [step for step, _ in points(tmp_path, "training/loss")] == list(range(1, 13))


def test_without_the_package_the_run_is_refused_with_what_to_install(tmp_path, monkeypatch):
    for name in ("torch.utils.tensorboard", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pip install 'oncoprompt\[tensorboard\]'"):
        fit(with_board(), toy_model(), ToyItems(), toy_loss, tmp_path)


def test_without_being_asked_for_there_are_no_event_files(tmp_path):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, tmp_path)
    assert not (tmp_path / "tensorboard").exists()


def test_rows_keep_the_columns_of_the_first_one(tmp_path):
    rows = RowFile(tmp_path / "rows.csv", 0)
    rows.write({"step": 1, "WT": 0.5, "ET": 0.25})
    rows.write({"step": 2, "ET": 0.75})
    assert (tmp_path / "rows.csv").read_text().splitlines() == ["step,WT,ET", "1,0.5,0.25", "2,,0.75"]
