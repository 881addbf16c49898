"""Items of TAGS compact: what is asked for is what is outlined, and prompts lie where it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.methods.tags.compact import SHARED_WITH_CT, CompactTags, CompactTagsConfig
from oncoprompt.methods.tags.vocabulary import ABDOMEN, ANY_TUMOUR, BRAIN, CONCEPTS, HEALTHY
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.tags_compact import alarmed, build_tags_compact, compact_tags_loss, missed, named
from oncoprompt.training.tags_items import HEALTHY_ORGAN, TagsItem, TagsItemConfig, TagsItems
from oncoprompt.training.tags_scenes import Crop

SMALL = TagsItemConfig(least_voxels=24, least_voxels_unboxed=24, most_voxels=32, slip_share=0.0)
COUNT = 16


@pytest.fixture(scope="module")
def items() -> list[TagsItem]:
    return [TagsItems(SMALL, seed=7).item(index) for index in range(COUNT)]


def test_an_item_depends_on_seed_and_index_alone(items: list[TagsItem]) -> None:
    again = TagsItems(SMALL, seed=7).item(3)
    assert torch.equal(again.images, items[3].images)
    assert torch.equal(again.regions, items[3].regions)
    assert again.concept == items[3].concept


def test_all_maps_share_the_images_grid_and_regions_are_nested(items: list[TagsItem]) -> None:
    for item in items:
        shape = item.images.shape[1:]
        assert item.regions.shape == (3, *shape)
        assert item.box.shape == (1, *shape)
        assert item.clicks.shape == (2, *shape)
        assert item.anatomy.shape == (1, *shape)
        assert (item.regions[2] <= item.regions[1]).all()
        assert (item.regions[1] <= item.regions[0]).all()


def test_what_is_outlined_is_what_the_word_names(items: list[TagsItem]) -> None:
    for item in items:
        word = CONCEPTS[item.concept]
        if item.concept == HEALTHY:
            assert not item.regions.any()
        if item.concept != ANY_TUMOUR and item.regions.any():
            assert word in (ABDOMEN if item.roles == ("ct",) else BRAIN)


def test_of_ct_the_whole_tumour_alone_is_told(items: list[TagsItem]) -> None:
    assert {item.known for item in items if item.roles == ("ct",)} == {1}
    assert {item.known for item in items if item.roles != ("ct",)} == {3}


def test_positive_clicks_lie_in_the_target_and_negative_ones_do_not(items: list[TagsItem]) -> None:
    clicked = 0
    for item in items:
        tumour = item.regions[0].numpy() > 0
        for mask, positive in zip(item.clicks.numpy() > 0.999, (True, False), strict=True):
            clicked += int(mask.any())
            assert (tumour[mask] == positive).all()
    assert clicked >= 4


@settings(max_examples=30)
@given(st.tuples(*[st.floats(-80, 80)] * 3), st.floats(0.5, 4.0), st.tuples(*[st.integers(0, 7)] * 3))
def test_a_voxel_of_a_crop_is_found_at_its_own_point(
    corner: tuple[float, ...], spacing_mm: float, voxel: tuple[int, int, int]
) -> None:
    crop = Crop(np.array(corner), spacing_mm, (8, 8, 8))
    w, h, d = voxel
    point = crop.points()[d, h, w].numpy().astype(np.float64)
    np.testing.assert_allclose(crop.voxels(point), voxel, atol=1e-3)


def test_the_loss_of_every_item_is_finite_and_teaches_words_clicks_and_anatomy(items: list[TagsItem]) -> None:
    torch.manual_seed(0)
    network = CompactTags(CompactTagsConfig((8, 8, 16, 16), words=8))
    for item in items:
        loss = compact_tags_loss(network, item)
        assert torch.isfinite(loss.total)
        loss.total.backward()
    for name in ("words", "prompt_stem", "stem", "adapters.0.blend.weight"):
        gradient = network.get_parameter(name).grad
        assert gradient is not None
        assert gradient.abs().sum() > 0, name


def small_run(steps: int, **options: float) -> TrainingConfig:
    """A short run of a narrow network on small crops."""
    crops = {"least_voxels": 24, "least_voxels_unboxed": 24, "most_voxels": 24}
    return TrainingConfig.from_mapping(
        {
            "model": {"name": "tags-compact", "options": {"widths": [8, 8, 16, 16], "words": 8}},
            "data": {"workers": 0, "options": crops | options},
            "optimisation": {"steps": steps, "warmup_steps": 1},
            "run": {"accelerator": "cpu"},
        }
    )


def test_three_steps_of_training_leave_weights_that_can_be_read(tmp_path: Path) -> None:
    config = small_run(steps=3)
    recipe = build_tags_compact(config)
    before = recipe.model.get_parameter("words").detach().clone()
    assert fit(config, recipe.model, recipe.items, recipe.loss, tmp_path).step == 3
    assert not torch.equal(before, recipe.model.get_parameter("words"))
    assert (tmp_path / "tags-compact.safetensors").is_file()


def test_a_run_on_ct_alone_trains_the_layers_that_ct_has_for_itself(tmp_path: Path) -> None:
    config = small_run(steps=2, ct_share=1.0)
    recipe = build_tags_compact(config)
    before = {name: value.clone() for name, value in recipe.model.state_dict().items()}
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path)
    after = recipe.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith(SHARED_WITH_CT))
    assert not torch.equal(after["stem"], before["stem"])
    assert not torch.equal(after["merge8.lateral.weight"], before["merge8.lateral.weight"])


def test_data_sets_are_refused_with_a_sentence() -> None:
    config = TrainingConfig.from_mapping({"model": {"name": "tags-compact"}, "data": {"cohort": "somewhere"}})
    with pytest.raises(InputError, match="trained on synthetic studies"):
        build_tags_compact(config)


def test_what_is_missed_has_a_gradient_however_sure_the_network_is_that_there_is_nothing() -> None:
    logits, truth = torch.full((1, 1, 4, 4, 4), -12.0, requires_grad=True), torch.zeros(1, 1, 4, 4, 4)
    truth[..., 1:3, 1:3, 1:3] = 1.0
    loss = missed(logits, truth)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(12.0, abs=1e-3)
    assert logits.grad is not None
    assert float(logits.grad.sum()) == pytest.approx(-1.0, abs=1e-3)
    assert float(missed(logits, torch.zeros_like(truth)).detach()) == 0.0


def test_every_kind_that_occurs_weighs_the_same_in_naming_and_no_other_does() -> None:
    kinds = torch.zeros(4, 4, 4, dtype=torch.uint8)
    kinds[0, 0, 0] = 3
    words = (HEALTHY, 2, 3, 4)
    cosines = torch.zeros(1, len(CONCEPTS), 4, 4, 4)
    assert float(named(cosines, kinds, words)) == pytest.approx(np.log(4), abs=1e-5)
    cosines[:, 3, 0, 0, 0] = 50.0
    assert float(named(cosines, kinds, words)) == pytest.approx(np.log(4) / 2, abs=1e-5)
    # a word that no such study may hold has no part in it
    cosines[:, 7] = 50.0
    assert float(named(cosines, kinds, words)) == pytest.approx(np.log(4) / 2, abs=1e-5)
    # healthy tissue of the organ is a part of its own: an organ must not be named after its tumour
    kinds[1] = HEALTHY_ORGAN
    assert float(named(cosines, kinds, words)) == pytest.approx(np.log(4) * 2 / 3, abs=1e-5)
    cosines[:, 3, 1] = 50.0
    assert float(named(cosines, kinds, words)) == pytest.approx((50.0 + np.log(4)) / 3, abs=1e-2)


def test_false_alarms_are_counted_in_healthy_tissue_of_the_organs_alone() -> None:
    kinds = torch.full((4, 4, 4), HEALTHY, dtype=torch.uint8)
    logits = torch.full((2, 4, 4, 4), 9.0, requires_grad=True)
    assert float(alarmed(logits, kinds)) == 0.0
    kinds[0], kinds[0, 0, 0] = HEALTHY_ORGAN, 3
    loss = alarmed(logits, kinds)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(9.0, abs=1e-3)
    assert logits.grad is not None
    assert float(logits.grad.sum()) == pytest.approx(1.0, abs=1e-3)
    assert torch.equal((logits.grad != 0).any(0), kinds == HEALTHY_ORGAN)


def test_healthy_tissue_of_the_organs_is_told_and_nothing_of_it_is_asked_for(items: list[TagsItem]) -> None:
    assert all((item.kinds == HEALTHY_ORGAN).any() for item in items)
    for item in items:
        assert not (item.regions[0] > 0)[item.kinds == HEALTHY_ORGAN].any()


def test_second_questions_come_without_a_box_and_name_what_is_there_or_nothing(items: list[TagsItem]) -> None:
    asked = [item for item in items if item.other_concept >= 0]
    assert asked
    for item in asked:
        assert not item.box.any()
        outlined = item.other_regions[0] > 0
        assert (item.kinds[outlined] == item.other_concept).all()
