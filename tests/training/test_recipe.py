"""A real network on real synthetic items goes through the fit loop."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from methods.sam2_layouts import meta_layout, video_model
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.geometry import Grid
from oncoprompt.inference import Session
from oncoprompt.prompts import Box
from oncoprompt.study import Study
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.recipe import build

TINY = {
    "model": {"options": {"backbone": {"widths": [8, 8, 16, 16]}}},
    "data": {"workers": 0, "options": {"least_voxels": 32, "least_voxels_unboxed": 32, "most_voxels": 32}},
    "optimisation": {"steps": 1},
    "run": {"accelerator": "cpu", "threads": 1},
}


def test_one_step_on_a_synthetic_item_changes_every_part_of_the_network(tmp_path):
    config = TrainingConfig.from_mapping(TINY)
    recipe = build(config)
    before = {name: value.clone() for name, value in recipe.model.state_dict().items()}
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path)
    after = recipe.model.state_dict()
    parts = {name.split(".")[0] for name in before}
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == parts
    weights = load_file(tmp_path / "msm-seg-compact.safetensors")
    assert set(weights) == set(after)


def test_exported_weights_start_another_run(tmp_path):
    config = TrainingConfig.from_mapping(TINY)
    recipe = build(config)
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path)
    path = str(tmp_path / "msm-seg-compact.safetensors")
    again = build(TrainingConfig.from_mapping({**TINY, "model": {**TINY["model"], "weights": path}}))
    name, value = next(iter(load_file(path).items()))
    assert torch.equal(again.model.state_dict()[name], value.float())


def test_the_seed_decides_the_first_weights():
    first, second = (build(TrainingConfig.from_mapping({**TINY, "run": {"seed": 4}})) for _ in range(2))
    other = build(TrainingConfig.from_mapping({**TINY, "run": {"seed": 5}}))
    values = [torch.cat([p.flatten() for p in recipe.model.parameters()]) for recipe in (first, second, other)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_weights_that_cannot_be_read_are_named(tmp_path, content):
    path = tmp_path / "start.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"start\.safetensors"):
        build(TrainingConfig.from_mapping({"model": {"weights": str(path)}}))


def test_items_that_cannot_be_drawn_are_refused_before_the_run():
    options = {"least_voxels": 96, "most_voxels": 64}
    with pytest.raises(InputError, match="most_voxels"):
        build(TrainingConfig.from_mapping({"data": {"options": options}}))


def test_hiera_without_sam2_weights_says_which_file_it_wants(tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"sam2\.1_hiera_tiny\.pt"):
        build(TrainingConfig.from_mapping({"model": {"name": "msm-seg-hiera-tiny"}}))


def test_hiera_starts_from_sam2_trains_a_step_and_segments_from_what_the_run_exports(tmp_path, monkeypatch):
    file = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": meta_layout(video_model().state_dict())}, file)
    config = TrainingConfig.from_mapping(
        {
            "model": {
                "name": "msm-seg-hiera-tiny",
                "weights": str(file),
                "options": {"backbone": {"image_size": 64}, "memory": {"layers": 4}},
            },
            "data": {"workers": 0, "options": {"plane": 64, "slices": 2, "channel_dropout": 0.9}},
            "optimisation": {"steps": 1},
            "run": {"accelerator": "cpu", "threads": 1},
        }
    )
    recipe = build(config)
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path / "run")
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path / "run"))
    image = np.random.default_rng(0).normal(100, 10, (24, 24, 10)).astype(np.float32)
    study = Study({"t1c": image}, Grid(image.shape, np.diag([2.0, 2.0, 2.0, 1.0])))
    result = Session(study, model="msm-seg-hiera-tiny").segment(Box.from_voxels([[8, 16], [8, 16], [4, 6]], study.grid))
    assert result.probability("WT").shape == study.grid.shape
    assert result.provenance.weights_sha256 != "0" * 64
