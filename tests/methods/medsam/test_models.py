"""Slice models by name and by path."""

import hashlib

import numpy as np
import pytest
import torch

from methods.medsam.original_sam import original_sam
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam import checkpoint
from oncoprompt.methods.medsam.models import is_slice_model, slice_models
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.methods.registry import list_models, load_model, load_slice_model, network_config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder for weights, empty, and no other."""
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def write_sam(path, seed=31):
    path.parent.mkdir(exist_ok=True)
    torch.save(original_sam(seed).state_dict(), path)
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("file", ["medsam_vit_b.pth", "medsam-vit-b.pth", "medsam-vit-b.safetensors"])
def test_medsam_is_found_under_its_published_name_and_answers(folder, file):
    assert "medsam-vit-b" not in [card.name for card in list_models() if card.ready]
    write_sam(folder / file)
    card = next(card for card in list_models() if card.name == "medsam-vit-b")
    assert card.weights == folder / file
    model = load_slice_model("medsam-vit-b")
    assert model.name == "medsam-vit-b"
    assert model.weights_sha256 == hashlib.sha256((folder / file).read_bytes()).hexdigest()
    features = model.encode(np.random.default_rng(0).random((20, 30)).astype(np.float32))
    assert model.decode(features, [SlicePrompt(box=(3, 4, 20, 15))]).shape == (1, 20, 30)


def test_a_folder_of_the_hub_is_found(folder):
    (folder / "medsam-vit-base").mkdir()
    write_sam(folder / "medsam-vit-base" / "model.safetensors")
    assert load_slice_model("medsam-vit-b").name == "medsam-vit-b"
    assert load_slice_model(str(folder / "medsam-vit-base")).name == "medsam-vit-base"


def test_any_path_of_weights_is_a_model_s_name(folder):
    write_sam(folder / "mine.pth")
    assert load_slice_model(str(folder / "mine.pth")).name == "mine"


def test_missing_weights_are_told_with_the_way_to_get_them(folder):
    with pytest.raises(WeightsError, match=r"medsam_vit_b\.pth .*zenodo"):
        load_slice_model("medsam-vit-b")
    with pytest.raises(WeightsError, match=r"sam_vit_b_01ec64\.pth"):
        load_slice_model("sam-vit-b")


def test_sam_s_published_file_under_medsam_s_name_is_refused(folder, monkeypatch):
    md5 = write_sam(folder / "medsam_vit_b.pth")
    monkeypatch.setattr(checkpoint, "PUBLISHED", {md5: ("sam-vit-b", "SAM's published ViT-B, not MedSAM")})
    with pytest.raises(WeightsError, match=r"not MedSAM.*ask for 'sam-vit-b'"):
        load_slice_model("medsam-vit-b")
    assert load_slice_model(str(folder / "medsam_vit_b.pth")).name == "sam-vit-b"


def test_models_of_slices_and_of_studies_refer_to_each_other(folder):
    for name in slice_models():
        with pytest.raises(InputError, match=r"model of slices.*whole studies"):
            load_model(name)
    write_sam(folder / "mine.pth")
    with pytest.raises(InputError, match=r"model of slices.*whole studies"):
        load_model(str(folder / "mine.pth"))
    for name in ("msm-seg-compact", "dynunet"):
        with pytest.raises(InputError, match="whole studies"):
            load_slice_model(name)
    with pytest.raises(InputError, match="medsam-vit-b"):
        load_slice_model("medsam-vit-x")
    with pytest.raises(InputError, match="no network"):
        network_config("medsam-vit-b", {}, "test")


def test_weights_of_studies_are_not_taken_for_those_of_slices():
    card = next(card for card in list_models() if card.name == "msm-seg-compact")
    assert not is_slice_model(str(card.weights))
    with pytest.raises(WeightsError, match="is no SAM"):
        load_slice_model(str(card.weights))


def test_a_folder_that_has_a_model_s_name_by_chance_changes_nothing(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "msm-seg-compact").mkdir()
    assert not is_slice_model("msm-seg-compact")
    with pytest.raises(InputError, match="whole studies"):
        load_slice_model("msm-seg-compact")


def test_weights_that_differ_from_their_manifest_are_refused(folder):
    write_sam(folder / "mine.safetensors")
    (folder / "mine.json").write_text('{"sha256": "0000"}')
    with pytest.raises(WeightsError, match="differs from the manifest"):
        load_slice_model(str(folder / "mine.safetensors"))


def test_every_model_is_listed_once():
    names = [card.name for card in list_models()]
    assert len(names) == len(set(names))
    assert set(slice_models()) <= set(names)
