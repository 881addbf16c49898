"""Batches for MedSAM compact: prompts tell the truth about the target, and a small network learns from them."""

import numpy as np
import torch

from oncoprompt.methods.medsam.compact import CompactConfig, CompactNetwork
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.picture_items import (
    PictureItemConfig,
    SyntheticPictures,
    drawn_box,
    error_clicks,
    faulty,
    picture_loss,
)

MADE_UP = PictureItemConfig(pictures=4, views=2, frame=32, study_share=0.0)


def test_a_batch_is_a_function_of_seed_and_index():
    first, again = (SyntheticPictures(MADE_UP, 3).item(5) for _ in range(2))
    other = SyntheticPictures(MADE_UP, 4).item(5)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.prompts, again.prompts)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (8, 3, 32, 32)
    assert first.targets.shape == (8, 1, 32, 32)


def test_positive_clicks_are_on_the_target_and_negative_ones_are_not():
    clicks = PictureItemConfig(pictures=30, views=1, frame=64, study_share=0.0, correction_share=0.0, click_share=1.0)
    batch = SyntheticPictures(clicks, 0).item(0)
    for maps, target in zip(batch.prompts, batch.targets[:, 0], strict=True):
        for spots, inside in ((maps[1], True), (maps[2], False)):
            if float(spots.max()) > 0.9:
                assert bool(target.flatten()[spots.argmax()] > 0.5) is inside


def test_without_corrections_the_box_is_the_only_prompt():
    plain = PictureItemConfig(4, 1, 32, 0.0, correction_share=0.0, click_share=0.0, scribble_share=0.0)
    prompts = SyntheticPictures(plain, 0).item(0).prompts
    assert bool((prompts[:, 1:] == 0).all())
    assert bool((prompts[:, 0].amax((1, 2)) > 0.9).all())


def test_boxes_move_by_no_more_than_asked_and_stay_on_the_picture():
    rng = np.random.default_rng(0)
    mask = np.zeros((50, 80), dtype=bool)
    mask[10:30, 60:80] = True
    assert drawn_box(rng, mask, 0.0) == (60, 10, 80, 30)
    for _ in range(200):
        x0, y0, x1, y1 = drawn_box(rng, mask, 0.2)
        assert abs(x0 - 60) <= 4
        assert abs(y1 - 30) <= 4
        assert x1 <= 80
        assert y0 >= 6


def test_clicks_of_a_correction_lie_on_errors_the_largest_first():
    truth = np.zeros((40, 40), dtype=bool)
    truth[5:35, 5:20] = True
    answer = np.zeros_like(truth)
    answer[5:15, 5:20] = True
    answer[2:6, 30:36] = True
    points = error_clicks(answer, truth, 2)
    assert len(points) == 2
    (x, y), (x2, y2) = points
    assert truth[y, x]
    assert not answer[y, x]
    assert answer[y2, x2]
    assert not truth[y2, x2]


def test_faulty_answers_are_wrong_but_not_unlike_the_target():
    truth = np.zeros((64, 64), dtype=bool)
    truth[16:48, 16:48] = True
    rng = np.random.default_rng(1)
    overlaps = [2 * (faulty(rng, truth) & truth).sum() / (truth.sum() + faulty(rng, truth).sum()) for _ in range(40)]
    assert 0.5 < float(np.mean(overlaps)) < 0.97


def test_a_small_network_learns_from_a_few_batches(tmp_path):
    torch.manual_seed(0)
    config = TrainingConfig.from_mapping(
        {
            "model": {"name": "medsam-compact", "options": {"widths": [8, 16, 16], "frame": 32}},
            "data": {"workers": 0},
            "optimisation": {"steps": 25, "warmup_steps": 2, "learning_rate": 5e-3, "ema_decay": 0.0},
            "run": {"accelerator": "cpu", "threads": 1},
        }
    )
    network = CompactNetwork(CompactConfig((8, 16, 16), 32))
    fixed = SyntheticPictures(MADE_UP, 9).item(1000)
    before = float(picture_loss(network, fixed).total.detach())
    fit(config, network, SyntheticPictures(MADE_UP, 0), picture_loss, tmp_path)
    assert float(picture_loss(network, fixed).total.detach()) < 0.7 * before
    assert (tmp_path / "medsam-compact.safetensors").is_file()
