"""A packed state: small, and good enough to go on from."""

import json

import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.training.checkpoint import load_state
from oncoprompt.training.fit import fit
from oncoprompt.training.packed_state import pack_state, unpack_state
from training.toy import ToyItems, losses, toy_config, toy_loss, toy_model


def trained(folder):
    fit(toy_config(), toy_model(), ToyItems(), toy_loss, folder)
    return folder / "state.pt"


def test_a_packed_state_holds_the_average_the_second_moments_and_the_progress(tmp_path):
    before = load_state(trained(tmp_path / "run"))
    pack_state(tmp_path / "run" / "state.pt", tmp_path / "packed.safetensors")
    unpack_state(tmp_path / "packed.safetensors", tmp_path / "again.pt")
    after = load_state(tmp_path / "again.pt")
    assert after["progress"] == before["progress"]
    assert after["config"]["optimisation"]["steps"] == 12
    assert json.dumps(after["config"]) == json.dumps(before["config"])
    for name, value in before["average"].items():
        assert torch.allclose(after["average"][name], value, rtol=1e-3, atol=1e-4)
        assert torch.equal(after["model"][name], after["average"][name])
    for number, moments in before["optimiser"]["state"].items():
        told = after["optimiser"]["state"][number]
        assert told["step"] == moments["step"]
        large = moments["exp_avg_sq"] > 1e-20
        assert torch.allclose(told["exp_avg_sq"][large], moments["exp_avg_sq"][large], rtol=0.2)
        assert not told["exp_avg"].any()


def test_a_run_goes_on_from_an_unpacked_state(tmp_path):
    pack_state(trained(tmp_path / "run"), tmp_path / "packed.safetensors")
    (tmp_path / "more").mkdir()
    unpack_state(tmp_path / "packed.safetensors", tmp_path / "more" / "state.pt")
    config = toy_config(steps=20)
    fit(config, toy_model(), ToyItems(), toy_loss, tmp_path / "more", resume=tmp_path / "more" / "state.pt")
    assert [row[0] for row in losses(tmp_path / "more")] == [str(step) for step in range(13, 21)]


def test_a_damaged_packed_state_is_refused_by_name(tmp_path):
    (tmp_path / "packed.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"packed\.safetensors"):
        unpack_state(tmp_path / "packed.safetensors", tmp_path / "state.pt")
