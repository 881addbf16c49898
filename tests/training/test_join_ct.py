"""Weights of a run on CT alone are put beside those it started from, and beside no others."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cli.test_verbs import call
from oncoprompt.geometry import Grid
from oncoprompt.methods.tags.compact import SHARED_WITH_CT, CompactTags, CompactTagsConfig
from oncoprompt.methods.tags.compact_weights import load_compact_tags
from oncoprompt.study import Study

WIDTHS = (8, 8, 16, 16)
MANIFEST = {"recipe": {"model": {"name": "tags-compact", "options": {"widths": list(WIDTHS), "words": 8}}}}


@pytest.fixture
def runs(tmp_path):
    """Two files: random weights, and the same with other layers of CT."""
    torch.manual_seed(3)
    mri, ct = (CompactTags(CompactTagsConfig(WIDTHS, 8)).state_dict() for _ in range(2))
    ct |= {name: value for name, value in mri.items() if name.startswith(SHARED_WITH_CT)}
    files = []
    for name, state, steps in (("mri", mri, 7), ("ct", ct, 9)):
        file = tmp_path / name / "tags-compact.safetensors"
        file.parent.mkdir()
        save_file({key: value.half() for key, value in state.items()}, file)
        file.with_suffix(".json").write_text(
            json.dumps(MANIFEST | {"steps": steps, "trained_minutes": steps / 2}), encoding="utf-8"
        )
        files.append(file)
    return files


def answer(file, channel):
    """Probabilities that weights in a file give to a study of one channel."""
    values = torch.randn(24, 24, 24, generator=torch.Generator().manual_seed(1)).numpy() * 60
    asked = Study({channel: values}, Grid((24, 24, 24), np.eye(4)), name="case")
    method = load_compact_tags("tags-compact", file)
    return method.decode(method.encode(asked, None), (), asked).values


def test_one_file_answers_to_ct_and_mri_as_the_two_did(runs, tmp_path, capsys):
    mri, ct = runs
    assert call("models", "join-ct", str(mri), str(ct), "-o", str(tmp_path / "both")) == 0
    both = tmp_path / "both" / "tags-compact.safetensors"
    assert str(both) in capsys.readouterr().out
    for channel, source in (("ct", ct), ("t1c", mri)):
        assert (answer(both, channel) == answer(source, channel)).all()
    assert (answer(both, "ct") != answer(mri, "ct")).any()
    manifest = json.loads(both.with_suffix(".json").read_text(encoding="utf-8"))
    assert (manifest["steps"], manifest["ct"]["steps"]) == (7, 9)
    assert manifest["trained_minutes_of_all_runs"] == 8.0
    assert manifest["values"] == sum(value.numel() for value in load_file(both).values())


def test_ct_of_other_weights_is_refused_and_nothing_is_overwritten(runs, tmp_path, capsys):
    mri, ct = runs
    state = load_file(ct)
    state["block16.0.conv1.weight"][0] += 1
    save_file(state, ct)
    assert call("models", "join-ct", str(mri), str(ct), "-o", str(tmp_path / "both")) == 3
    assert "Train CT with ct_share = 1 from these very weights" in capsys.readouterr().err
    assert not (tmp_path / "both").exists()
    before = mri.read_bytes()
    assert call("models", "join-ct", str(mri), str(mri), "-o", str(mri.parent)) == 2
    assert "give another file" in capsys.readouterr().err
    assert mri.read_bytes() == before
    assert call("models", "join-ct", str(tmp_path / "no.safetensors"), str(ct), "-o", str(tmp_path / "x")) == 2
    assert "no.safetensors" in capsys.readouterr().err
