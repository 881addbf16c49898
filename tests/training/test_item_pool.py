"""Items written once and read by many runs."""

import pickle
from dataclasses import dataclass, field

import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.item_pool import PooledItems, write_pool
from oncoprompt.training.items import TrainingItem
from oncoprompt.training.recipe import build
from training.adaptation_items import BlobItems

NETWORKS = {
    "msm-seg-compact": {"backbone": {"widths": [8, 8, 16, 16]}},
    "dynunet": {"core": {"filters": [8, 8, 8], "supervised": 1}, "clicks": False},
    "segresnet": {"core": {"filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}, "box": False},
}


@dataclass
class Counting:
    """Items that note which of them are drawn."""

    source: BlobItems
    drawn: list[int] = field(default_factory=list)

    def item(self, index: int) -> TrainingItem:
        self.drawn.append(index)
        return self.source.item(index)


def test_items_come_back_in_order_and_again_from_the_start(tmp_path):
    source = BlobItems(1.0)
    write_pool(source, tmp_path / "pool", 3)
    pool = PooledItems(tmp_path / "pool")
    for index in (0, 1, 2, 3, 7):
        item, original = pool.item(index), source.item(index % 3)
        assert item.roles == original.roles
        assert torch.equal(item.regions, original.regions)
        assert item.regions.dtype == original.regions.dtype
        for name in ("images", "box", "clicks"):
            torch.testing.assert_close(getattr(item, name), getattr(original, name), atol=1e-3, rtol=2**-10)
            assert getattr(item, name).dtype == torch.float32


def test_an_interrupted_pool_is_completed_without_drawing_its_items_again(tmp_path):
    items = Counting(BlobItems(1.0))
    write_pool(items, tmp_path, 2)
    write_pool(items, tmp_path, 4)
    assert items.drawn == [0, 1, 2, 3]
    assert len(PooledItems(tmp_path).paths) == 4
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("item-")]


def test_a_pool_goes_to_worker_processes(tmp_path):
    write_pool(BlobItems(1.0), tmp_path, 1)
    again = pickle.loads(pickle.dumps(PooledItems(tmp_path)))
    assert torch.equal(again.item(5).images, PooledItems(tmp_path).item(0).images)


def test_a_folder_without_items_and_a_damaged_item_are_told(tmp_path):
    with pytest.raises(InputError, match="no pool"):
        PooledItems(tmp_path)
    write_pool(BlobItems(1.0), tmp_path, 1)
    path = tmp_path / "item-000000.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"item-000000\.safetensors.*damaged"):
        PooledItems(tmp_path).item(0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_on_the_pool_and_starts_again_from_what_it_exports(tmp_path, name):
    write_pool(BlobItems(1.0), tmp_path / "pool", 2)
    content = {
        "model": {"name": name, "options": NETWORKS[name]},
        "data": {"workers": 0, "pool": str(tmp_path / "pool")},
        "optimisation": {"steps": 2},
        "run": {"accelerator": "cpu", "threads": 1},
    }
    config = TrainingConfig.from_mapping(content)
    recipe = build(config)
    before = {key: value.clone() for key, value in recipe.model.state_dict().items()}
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path / "run")
    changed = {key for key, value in recipe.model.state_dict().items() if not torch.equal(before[key], value)}
    assert {key.split(".")[0] for key in changed} == {key.split(".")[0] for key in before}
    weights = str(tmp_path / "run" / f"{name}.safetensors")
    started = build(TrainingConfig.from_mapping({**content, "model": {**content["model"], "weights": weights}}))
    assert set(started.model.state_dict()) == set(before)


@pytest.mark.parametrize(
    "section", [{"adaptation": {"kind": "coral", "real": "scans"}}, {"mixing": {"kind": "mixing"}}]
)
def test_adaptation_and_mixing_are_refused_for_another_network_than_msm_seg(section):
    with pytest.raises(InputError, match="features of MSM-Seg"):
        build(TrainingConfig.from_mapping({"model": {"name": "dynunet"}, **section}))
