"""Heads made once, kept on disk and seen anew; items of them for the network that takes every prompt."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from oncoprompt.synthesis.fields import BOX_MM
from oncoprompt.synthesis.generate import case_of
from oncoprompt.synthesis.subject import Subject
from oncoprompt.training.case_heads import MixedHeads, head_of_case
from oncoprompt.training.head_items import HeadItemConfig, HeadItems
from oncoprompt.training.head_scenes import in_slices, random_scene
from oncoprompt.training.stored_heads import HeadConfig, HeadStore, StoredHead, draw_head
from oncoprompt.training.tags_scenes import Crop

CONFIG = HeadConfig(spacing_mm=2.5, two_kinds_share=0.0, families=(("high-grade glioma", 1.0),))


@pytest.fixture(scope="module")
def head():
    return draw_head(CONFIG, seed=3, number=0)


def store(folder, **changes):
    return HeadStore(folder, partial(draw_head, CONFIG, 3), **changes)


def test_a_head_is_read_as_it_was_written(tmp_path, head):
    (tmp_path / "head.safetensors").write_bytes(head.to_bytes())
    read = StoredHead.read(tmp_path / "head.safetensors")
    assert torch.equal(read.images, head.images)
    assert torch.equal(read.labels, head.labels)
    assert (read.kinds, read.corner_mm, read.stripped) == (head.kinds, head.corner_mm, head.stripped)


def test_a_damaged_head_is_made_again(tmp_path):
    first = store(tmp_path).head(0)
    path = next(tmp_path.glob("head-*.safetensors"))
    path.write_bytes(path.read_bytes()[:1000])
    again = store(tmp_path).head(0)
    assert torch.equal(again.images, first.images)


def test_every_head_is_seen_when_it_is_new_and_leaves_with_the_window(tmp_path):
    heads = HeadStore(tmp_path, lambda _: None, window=4, reuse=3)
    numbers = [heads.number(index) for index in range(300)]
    assert [numbers[index] for index in range(0, 300, 3)] == list(range(100))
    assert all(index // 3 - 4 < number <= index // 3 for index, number in enumerate(numbers))


def test_an_item_depends_on_seed_and_index_alone(tmp_path):
    config = HeadItemConfig(heads=CONFIG)
    alone = HeadItems(config, store(tmp_path / "a"), seed=5).item(9)
    items = HeadItems(config, store(tmp_path / "b"), seed=5)
    for index in (2, 7):
        items.item(index)
    beside = items.item(9)
    assert torch.equal(alone.images, beside.images)
    assert torch.equal(alone.regions, beside.regions)
    assert (alone.roles, alone.concept) == (beside.roles, beside.concept)


def test_labels_move_with_the_images(head):
    """Enhancing tumour is brighter in t1c than the rest of the brain, whatever the pose."""
    for number in range(4):
        scene = random_scene(head, np.random.default_rng(number), 0.0, 0.0, 1.0)
        scene = replace(scene, change=replace(scene.change, noise=(), bias=()))
        view = scene.view(Crop(np.array([-80.0, -96.0, -80.0]), 2.5, (64, 76, 64)))
        labels, brain = view.labels["glioma"], view.anatomy["glioma"]
        t1c = view.images[1]
        assert t1c[labels == 3].median() > t1c[brain & (labels == 0)].median()


def test_the_search_region_holds_the_brain_and_its_statistics_standardise_it(head):
    scene = random_scene(head, np.random.default_rng(0), 0.0, 0.0, 1.0)
    overview = scene.overview()
    size = np.ceil((overview.bounds_mm[:, 1] - overview.bounds_mm[:, 0]) / 2.5).astype(int)
    view = scene.view(Crop(overview.bounds_mm[:, 0], 2.5, (int(size[2]), int(size[1]), int(size[0]))))
    brain = view.anatomy["glioma"]
    mean, std = scene.statistics()
    values = (view.images[:, brain] - mean[:, None]) / std[:, None]
    assert values.mean(1).abs().max() < 0.7
    assert ((values.std(1) > 0.5) & (values.std(1) < 2.0)).all()


def test_slices_average_along_one_axis_alone():
    image = torch.zeros(24, 8, 8)
    image[12:] = 1.0
    assert torch.allclose(in_slices(image, 1, 4.0), image, atol=1e-5)
    thick = in_slices(image, 0, 4.0)
    assert thick.mean() == pytest.approx(0.5, abs=0.02)
    assert (thick[1:] - thick[:-1]).abs().max() < 0.3


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_boxes_around_the_core_leave_the_whole_tumour_to_be_found(tmp_path, share):
    config = HeadItemConfig(heads=CONFIG)
    draw = replace(config.draw, box_share=1.0, core_box_share=share, loose_share=0.0, most_jitter=0.0, absent_share=0.0)
    items = HeadItems(replace(config, draw=draw), store(tmp_path), seed=1)
    outside = []
    for index in range(6):
        item = items.item(index)
        if item.box.any():
            outside.append(float((item.regions[0] * (item.box[0] < 0.5)).sum() / item.regions[0].sum().clamp_min(1)))
    assert (np.mean(outside) > 0.08) == (share == 1.0)


def test_a_labelled_case_is_a_head_with_its_images_and_labels_in_place():
    case = case_of(Subject.random(5, "low-grade glioma"), "case")
    head = head_of_case(case, "glioma")
    shown = head.brain.bool()
    assert int(shown.sum()) == int(case.brain.sum())
    assert int((head.labels == 2).sum()) == int((case.labels == 2).sum())
    low = [round(head.corner_mm[axis] + BOX_MM[axis] / 2) for axis in (2, 1, 0)]
    k, j, i = (slice(a, a + n) for a, n in zip(low, shown.shape, strict=True))
    assert torch.equal(case.brain[k, j, i], shown)
    values = head.images[:, shown].float()
    assert torch.allclose(values.mean(1), head.mean[0], atol=2e-3)


def test_heads_of_two_sources_come_with_their_shares():
    first, second = HeadStore(Path("a"), lambda _: None), HeadStore(Path("b"), lambda _: None)
    drawn = []
    mixed = MixedHeads(replaced(first, drawn, "first"), replaced(second, drawn, "second"), 0.25, seed=2)
    for index in range(400):
        mixed.head(index)
    assert 70 <= drawn.count("second") <= 130


def replaced(source, drawn, name):
    """A source that notes when it is asked."""

    class Noting:
        def head(self, index):
            drawn.append(name)
            return source.number(index)

    return Noting()
