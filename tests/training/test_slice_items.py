"""Items of slice models: which target is drawn, what its box may be, and what is cleaned away."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.training.slice_items import SliceItemConfig, SliceItems, moved_box
from oncoprompt.training.slice_stack import LabelledSlices, SliceCase, cleaned
from training.slice_data import SIDE, cases_in_memory, disc


def one_case(labels: np.ndarray, **names: str) -> list[SliceCase]:
    """A single case whose slices [D, H, W] show their labels."""
    images = labels.astype(np.uint8)
    slices = LabelledSlices("only", images, labels, {int(number): name for number, name in names.items()})
    return [SliceCase("only", lambda: slices)]


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**31),
    low=st.tuples(st.integers(0, 90), st.integers(0, 60)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    outwards=st.integers(0, 60),
    inwards=st.integers(0, 200),
    jitter=st.floats(0, 0.5),
)
def test_a_box_stays_on_the_slice_and_is_never_empty(seed, low, size, outwards, inwards, jitter):
    mask = np.zeros((70, 100), dtype=bool)
    mask[low[1] : low[1] + size[1], low[0] : low[0] + size[0]] = True
    config = SliceItemConfig(outwards_px=outwards, inwards_px=inwards, jitter=jitter)
    x0, y0, x1, y1 = moved_box(np.random.default_rng(seed), mask, config)
    assert 0 <= x0 < x1 <= 100
    assert 0 <= y0 < y1 <= 70


def test_medsam_moves_each_side_outwards_by_0_to_20_pixels_of_1024():
    mask = np.zeros((512, 256), dtype=bool)
    mask[200:300, 100:150] = True
    rng = np.random.default_rng(0)
    boxes = np.array([moved_box(rng, mask, SliceItemConfig()) for _ in range(3000)])
    shifts = (np.array([100, 200, 150, 300]) - boxes) * np.array([1, 1, -1, -1]) * 1024 / np.array([256, 512, 256, 512])
    assert np.array_equal(np.unique(shifts.round(6)), np.arange(21))
    assert np.allclose(shifts.mean(axis=0), 10, atol=0.5)
    assert np.abs(np.corrcoef(shifts.T) - np.eye(4)).max() < 0.1


def test_a_box_may_be_asked_to_cut_the_target():
    mask = disc((24, 24), 12)
    rng = np.random.default_rng(0)
    boxes = np.array([moved_box(rng, mask, SliceItemConfig(outwards_px=0, inwards_px=100)) for _ in range(200)])
    assert (boxes[:, 0] > 12).mean() > 0.8
    assert boxes[:, 0].max() <= 12 + 25 / 4


def test_an_item_is_a_function_of_seed_and_index():
    cases = cases_in_memory(5)
    first, again = (SliceItems(cases, SliceItemConfig(), 3).item(7) for _ in range(2))
    assert torch.equal(first.box, again.box)
    assert first.name == again.name
    others = [SliceItems(cases, SliceItemConfig(), seed).item(7) for seed in range(4, 8)]
    assert any(not torch.equal(first.box, other.box) for other in others)


def test_every_case_is_seen_once_before_any_is_seen_again_and_in_another_order():
    items = SliceItems(cases_in_memory(6), SliceItemConfig(), 0)
    names = [items.item(index).name for index in range(18)]
    rounds = [names[start : start + 6] for start in (0, 6, 12)]
    assert all(len(set(seen)) == 6 for seen in rounds)
    assert len({tuple(seen) for seen in rounds}) > 1


def test_slices_in_a_row_come_from_one_case():
    items = SliceItems(cases_in_memory(4), SliceItemConfig(slices_in_a_row=3), 0)
    names = [items.item(index).name for index in range(12)]
    assert Counter(names) == Counter({f"case{number}": 3 for number in range(4)})
    assert all(len(set(names[start : start + 3])) == 1 for start in range(0, 12, 3))


def test_only_the_last_cases_are_kept_in_memory():
    reads: list[str] = []
    cases = [
        SliceCase(case.name, lambda case=case: reads.append(case.name) or case.read()) for case in cases_in_memory(3)
    ]
    items = SliceItems(cases, SliceItemConfig(), 0, kept=1)
    again = SliceItems(cases, SliceItemConfig(), 0, kept=3)
    for index in range(9):
        items.item(index)
    assert len(reads) > 3
    reads.clear()
    for index in range(9):
        again.item(index)
    assert len(reads) == 3


def test_the_labels_of_a_slice_are_drawn_evenly_whatever_their_size():
    labels = np.zeros((1, SIDE, SIDE), dtype=np.uint16)
    labels[0, :30, :30], labels[0, 32:44, 32:44], labels[0, 32:44, 0:12] = 1, 5, 300
    items = SliceItems(one_case(labels), SliceItemConfig(), 0)
    areas = Counter(float(items.item(index).mask.sum()) for index in range(300))
    assert set(areas) == {900.0, 144.0}
    assert areas[900.0] == pytest.approx(100, abs=30)


def test_box_point_and_mask_show_the_same_target_also_when_it_is_flipped():
    labels = np.zeros((1, SIDE, SIDE), dtype=np.uint8)
    labels[0, 5:20, 30:42] = 1
    config = SliceItemConfig(outwards_px=0, flips=True)
    items = SliceItems(one_case(labels), config, 0)
    seen = set()
    for index in range(24):
        item = items.item(index)
        x0, y0, x1, y1 = item.box.int().tolist()
        expected = torch.zeros(SIDE, SIDE)
        expected[y0:y1, x0:x1] = 1
        assert torch.equal(item.mask[0], expected)
        assert torch.equal(item.image[0], item.mask[0])
        x, y = item.point.int().tolist()
        assert item.mask[0, y, x] == 1
        seen.add((x0, y0))
    assert seen == {(30, 5), (6, 5), (30, 28), (6, 28)}


def test_a_point_is_on_the_target_where_the_target_is_hollow():
    ring = disc((24, 24), 20) & ~disc((24, 24), 15)
    items = SliceItems(one_case(ring[None].astype(np.uint8)), SliceItemConfig(), 0)
    for index in range(50):
        x, y = items.item(index).point.int().tolist()
        assert ring[y, x]


def test_specks_are_cleaned_away_in_volumes_and_in_slices():
    labels = np.zeros((12, SIDE, SIDE), dtype=np.uint8)
    labels[0:10, 5:20, 5:20] = 1
    labels[0:3, 30:40, 30:40] = 2  # 300 voxels
    labels[4, 30:39, 30:41] = 1  # 99 pixels of a label that is large elsewhere
    slices = LabelledSlices("v", labels, labels)
    kept = cleaned(slices)
    assert len(kept.labels) == 10
    assert np.unique(kept.labels).tolist() == [0, 1]
    assert (kept.labels == 1).sum() == 10 * 225
    lenient = cleaned(slices, least_pixels=1, least_voxels=1)
    assert (lenient.labels == labels[:10]).all()


def test_a_picture_is_not_held_to_the_rule_of_volumes():
    labels = np.zeros((1, SIDE, SIDE), dtype=np.uint8)
    labels[0, :12, :12] = 3
    assert cleaned(LabelledSlices("p", labels, labels)).labels.sum() == 144 * 3


def test_parts_of_a_label_can_be_targets_of_their_own_beyond_255():
    labels = np.zeros((1, 200, 200), dtype=np.uint8)
    labels[0, ::10, ::10] = 1
    parts = cleaned(LabelledSlices("p", labels, labels, {1: "lesion"}), 1, 1, instances=True)
    assert parts.labels.max() == 400
    assert parts.names == {}


def test_a_case_without_a_target_gives_way_to_the_next_one():
    cases = cases_in_memory(3)
    empty = [SliceCase("empty", lambda: replace(cases[0].read(), name="empty", labels=cases[0].read().labels * 0))]
    items = SliceItems([*empty, *cases], SliceItemConfig(), 0)
    assert "empty" not in {items.item(index).name for index in range(8)}
    with pytest.raises(InputError, match="None of the 1 cases has a target"):
        SliceItems(empty, SliceItemConfig(), 0).item(0)


def test_words_are_a_name_of_the_target_that_is_shown():
    labels = np.zeros((1, SIDE, SIDE), dtype=np.uint8)
    labels[0, :15, :15], labels[0, 30:42, 30:42] = 1, 2
    config = SliceItemConfig(prompt="words", words={"1": ("spleen", "lien")})
    items = SliceItems(one_case(labels, **{"2": "liver"}), config, 0)
    heard: dict[float, set[str]] = {}
    for index in range(60):
        item = items.item(index)
        heard.setdefault(float(item.mask.sum()), set()).add(item.words or "")
    assert heard == {225.0: {"spleen", "lien"}, 144.0: {"liver"}}


def test_a_target_without_a_name_is_told_where_words_are_asked_for():
    items = SliceItems(cases_in_memory(1), SliceItemConfig(prompt="words"), 0)
    with pytest.raises(InputError, match=r"Target 1 of case 'case0' has no name"):
        items.item(0)


def test_flips_are_refused_where_words_tell_left_from_right():
    words = {"1": ("left kidney",), "2": ("spleen",)}
    with pytest.raises(InputError, match="left kidney"):
        SliceItemConfig(prompt="words", words=words, flips=True)
    assert SliceItemConfig(prompt="words", words=words).words == words
    assert SliceItemConfig(prompt="words", words={"2": ("spleen",)}, flips=True).flips


@pytest.mark.parametrize(
    "options", [{"outwards_px": -1}, {"jitter": -0.1}, {"slices_in_a_row": 0}, {"least_pixels": 0}, {"inwards_px": -3}]
)
def test_settings_out_of_range_are_named(options):
    with pytest.raises(InputError, match=f"data.options.{next(iter(options))}"):
        SliceItemConfig(**options)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.full((1, 4, 4), 0.5), "whole numbers"),
        (np.full((1, 4, 4), -1), "negative"),
        (np.zeros((1, 4, 5), dtype=np.uint8), "differ"),
    ],
)
def test_masks_that_are_no_labels_are_told_with_the_name_of_the_case(labels, match):
    def read() -> LabelledSlices:
        return LabelledSlices("bad", np.zeros((1, 4, 4), dtype=np.uint8), labels)

    with pytest.raises(InputError, match=match) as told:
        SliceItems([SliceCase("bad", read)], SliceItemConfig(), 0).item(0)
    assert "bad" in str(told.value)
