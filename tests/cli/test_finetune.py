"""`oncoprompt finetune` from a shell's point of view."""

from pathlib import Path

import pytest

import oncoprompt.training.finetune as training
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.finetune import FineTuned
from oncoprompt.training.recipe import build
from training.cases import write_ball


@pytest.mark.parametrize(("left_out", "code"), [(None, 0), ("unlabelled", 4), ("unreadable", 4)])
def test_a_case_that_was_not_used_is_named_and_the_exit_code_is_four(tmp_path, monkeypatch, left_out, code):
    """Training itself is left out: what is read before it and told after it is the matter."""
    from acceptance.threshold import shell

    config = TrainingConfig.from_mapping({"model": {"options": {"backbone": {"widths": [8, 8, 16, 16]}}}})
    weights = Path(export_weights(tmp_path, build(config).model.state_dict(), Progress(), config.to_mapping()))
    used: list[str] = []

    def trained(cases, *_):
        used.extend(case.name for case in cases)
        return FineTuned(weights, Progress(), True)

    monkeypatch.setattr(training, "finetune", trained)
    for seed, name in enumerate(("P1", "P2")):
        write_ball(tmp_path / "data", name, seed=seed)
    (tmp_path / "data" / "P2" / "P2-seg.nii.gz").rename(tmp_path / "seg.nii.gz")
    if left_out is None:
        (tmp_path / "seg.nii.gz").rename(tmp_path / "data" / "P2" / "P2-seg.nii.gz")
    elif left_out == "unreadable":
        (tmp_path / "data" / "P2" / "P2-seg.nii.gz").write_bytes(b"no label map")
    done = shell("finetune", "--data", tmp_path / "data", "-o", tmp_path / "out", "--model", weights)
    assert done.exit_code == code, done.stderr
    assert used == (["P1", "P2"] if left_out is None else ["P1"])
    assert ("P2" in done.stderr) == (left_out is not None)
