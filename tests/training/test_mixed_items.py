"""Items of several sources: shares kept, a function of seed and index, mixes and composites from few cases."""

from collections import Counter

import numpy as np
import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.mixing.velocity_field import VELOCITY_SPACING_MM, VelocityField
from oncoprompt.synthesis.fields import box_shape
from oncoprompt.training import injected_items
from oncoprompt.training.augmentation import FIELD_SPACING_MM
from oncoprompt.training.few_case_items import Shares, few_case_items
from oncoprompt.training.injected_items import InjectedItems, injected_case
from oncoprompt.training.ism_items import IsmItems
from oncoprompt.training.items import ItemConfig
from oncoprompt.training.mixed_items import MixedItems
from training.cases import ball_case

SMALL = ItemConfig(box_share=1.0, least_voxels=32, least_voxels_unboxed=32, most_voxels=40)


class Named:
    """Items that say who made them."""

    def __init__(self, name: str) -> None:
        self.name = name

    def item(self, index: int) -> tuple[str, int]:
        return self.name, index


def test_every_source_makes_its_share_of_the_items():
    shares = {"real": 0.4, "ism": 0.2, "injected": 0.2, "synthetic": 0.2}
    items = MixedItems({name: Named(name) for name in shares}, shares, seed=5)
    counts = Counter(items.item(index)[0] for index in range(2000))
    for name, share in shares.items():
        assert counts[name] / 2000 == pytest.approx(share, abs=0.04)


def test_the_source_of_an_item_depends_on_seed_and_index_alone():
    shares = {"a": 1.0, "b": 1.0}
    first, again, other = (MixedItems({n: Named(n) for n in shares}, shares, seed) for seed in (1, 1, 2))
    assert [first.item(i) for i in (9, 3)] == [again.item(i) for i in (9, 3)]
    assert [first.source_of(i) for i in range(64)] != [other.source_of(i) for i in range(64)]


@pytest.mark.parametrize("shares", [{"a": -0.1, "b": 1.0}, {"a": 0.0, "b": 0.0}, {"a": 1.0}])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(InputError, match="hares"):
        MixedItems({"a": Named("a"), "b": Named("b")}, shares)


def test_without_velocity_fields_nothing_is_mixed_and_the_other_shares_keep_their_ratio():
    items = few_case_items([ball_case()], {}, Shares(), SMALL, seed=0)
    assert dict(items.shares) == {"real": 0.4, "injected": 0.2, "synthetic": 0.2}
    assert set(few_case_items([ball_case()], {}, Shares(1, 0, 0, 0), SMALL, seed=0).sources) == {"real"}


def test_a_mixed_head_is_its_anchor_moved_along_the_field():
    assert FIELD_SPACING_MM == VELOCITY_SPACING_MM
    cases = [ball_case("a"), ball_case("b", seed=1)]
    still = torch.zeros((3, *box_shape(VELOCITY_SPACING_MM)), dtype=torch.float16)
    moving = still.clone()
    moving[0] = 9.0
    config = ItemConfig(box_share=0.0, least_voxels=24, least_voxels_unboxed=40, most_voxels=40, channel_dropout=0.0)
    fixed, moved = (
        IsmItems(cases[:1], {"a": [VelocityField("a", "b", velocity)]}, config, seed=1, augment=False).item(0)
        for velocity in (still, moving)
    )
    centres = [torch.nonzero(item.regions[0])[:, 2].float().mean() for item in (fixed, moved)]
    # a point shows what was further right, so the tumour moves left by 0.2 to 1 times 9 mm of about 3.6 mm voxels
    assert 0.3 < float(centres[0] - centres[1]) < 3.0
    again = IsmItems(cases[:1], {"a": [VelocityField("a", "b", moving)]}, config, seed=1, augment=False).item(0)
    assert torch.equal(again.images, moved.images)


def test_composites_serve_a_stretch_of_items_and_an_item_does_not_depend_on_those_before(monkeypatch):
    made = []

    def make(cases, rng):
        made.append(None)
        return ball_case(f"made-{len(made)}", {2: (10, 50, -20, 20, -10, int(rng.integers(12, 40)))})

    monkeypatch.setattr(injected_items, "injected_case", make)
    items = InjectedItems([], SMALL, seed=1, augment=False, variants=2, span=5)
    drawn = [items.item(index) for index in range(5)]
    assert len(made) == 2
    alone = InjectedItems([], SMALL, seed=1, augment=False, variants=2, span=5).item(4)
    assert torch.equal(alone.images, drawn[4].images)


def test_cases_without_a_tumour_cannot_be_injected():
    nowhere = (200, 200, 0, 0, 0, 0)
    with pytest.raises(InputError, match="None of the cases has a tumour"):
        injected_case([ball_case(parts={1: nowhere, 2: nowhere, 3: nowhere})], np.random.default_rng(0))
