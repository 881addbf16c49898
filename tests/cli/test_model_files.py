"""`models verify` and `convert`: a file is told by its content, and survives the way to another layout and back."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from cli.test_verbs import call
from training.tiny_sam import write_tiny_sam


@pytest.fixture
def original(tmp_path):
    return write_tiny_sam(tmp_path / "some.pth")


def test_a_file_is_told_by_its_content(original, capsys):
    assert call("models", "verify", str(original), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "SAM in segment_anything's layout"
    assert "no published file known here" in told["told"]
    assert len(told["sha256"]) == 64


def test_weights_survive_the_way_to_transformers_and_back(original, tmp_path, capsys):
    hub, again = tmp_path / "hub.safetensors", tmp_path / "again.pth"
    assert call("models", "convert", str(original), "-o", str(hub)) == 0
    assert call("models", "verify", str(hub)) == 0
    assert "transformers' layout" in capsys.readouterr().out
    assert call("models", "convert", str(hub), "-o", str(again), "--layout", "original") == 0
    first, back = (torch.load(path, weights_only=True) for path in (original, again))
    assert set(first) == set(back)
    assert all(torch.equal(first[name], back[name]) for name in first)


def test_transformers_itself_reads_what_was_converted(original, tmp_path):
    from transformers import SamModel

    from oncoprompt.methods.medsam.sam_network import config_of

    hub = tmp_path / "model.safetensors"
    assert call("models", "convert", str(original), "-o", str(hub), "-q") == 0
    state = load_file(hub)
    network = SamModel(config_of(state))
    assert not network.load_state_dict(state, strict=True).missing_keys


def test_wrong_files_and_names_are_refused(original, tmp_path, capsys):
    assert call("models", "convert", str(original), "-o", str(tmp_path / "x.onnx")) == 2
    assert "written as .safetensors or .pth" in capsys.readouterr().err
    assert call("models", "convert", str(original), "-o", str(original)) == 2
    assert "give another file" in capsys.readouterr().err
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    assert call("models", "verify", str(other)) == 3
    assert call("models", "convert", str(other), "-o", str(tmp_path / "y.pth")) == 3
    assert "is no SAM" in capsys.readouterr().err
