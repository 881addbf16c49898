"""A real network on real synthetic items goes through the fit loop."""

import pytest
import torch
from safetensors.torch import load_file

from oncoprompt.errors import WeightsError
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
