"""Training items: a function of seed and index, nested, shaped for the network, with a box about the truth."""

import pytest
import torch

from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.training.items import ItemConfig, SyntheticItems, regions_of

SMALL = ItemConfig(least_voxels=32, least_voxels_unboxed=32, most_voxels=40)


@pytest.fixture(scope="module")
def drawn():
    items = SyntheticItems(SMALL, seed=3)
    return [items.item(index) for index in range(8)]


def test_an_item_depends_on_seed_and_index_alone(drawn):
    again = SyntheticItems(SMALL, seed=3).item(5)
    assert torch.equal(again.images, drawn[5].images)
    assert torch.equal(again.regions, drawn[5].regions)
    assert again.roles == drawn[5].roles
    other = SyntheticItems(SMALL, seed=4).item(5)
    assert other.images.shape != again.images.shape or not torch.equal(other.images, again.images)


def test_every_axis_is_a_multiple_of_eight_within_the_limits(drawn):
    for item in drawn:
        shape = item.images.shape[1:]
        assert all(n % 8 == 0 and 8 <= n <= 40 for n in shape)
        assert item.regions.shape == (3, *shape)
        assert item.box.shape == (1, *shape)
        assert item.clicks.shape == (2, *shape)


def test_regions_are_nested_and_channels_are_a_subset_without_repetition(drawn):
    for item in drawn:
        whole, core, enhancing = item.regions
        assert bool((whole >= core).all() and (core >= enhancing).all())
        assert set(item.roles) <= set(CHANNELS)
        assert len(set(item.roles)) == len(item.roles) == len(item.images)
        assert bool(torch.isfinite(item.images).all())


def test_a_box_holds_most_of_the_tumour_and_leaves_a_margin(drawn):
    boxed = [item for item in drawn if item.box.any() and item.regions[0].any()]
    assert len(boxed) >= 3
    for item in boxed:
        inside = (item.regions[0] * (item.box[0] > 0.5)).sum() / item.regions[0].sum()
        assert float(inside) > 0.6
        assert float(item.box[0, 0].sum() + item.box[0, -1].sum()) == 0.0


def test_planes_have_the_size_and_number_asked_for():
    item = SyntheticItems(ItemConfig(plane=64, slices=3), seed=0).item(0)
    assert item.images.shape[1:] == (3, 64, 64)


def test_the_resection_cavity_belongs_to_no_region():
    whole, core, enhancing = regions_of(torch.arange(5)).tolist()
    assert whole == [0, 1, 1, 1, 0]
    assert core == [0, 1, 0, 1, 0]
    assert enhancing == [0, 0, 0, 1, 0]
