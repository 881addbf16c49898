"""Anchors: what a fit sees of a case."""

from dataclasses import replace

import pytest
import torch

from mixing.heads import CPU, LESION_MM, ball, ball_case
from oncoprompt.errors import InputError
from oncoprompt.mixing.anchor import SPACING_MM, Anchor, agreement
from oncoprompt.synthesis.fields import box_points, box_shape


@pytest.fixture(scope="module")
def case():
    return ball_case(radius_mm=18.0)


def test_an_anchor_is_z_scored_over_healthy_brain_and_sets_the_lesion_and_its_margin_aside(case):
    anchor = Anchor.of_case(replace(case, images=torch.where(case.labels > 0, 9999.0, case.images)))
    assert anchor.images.shape == (1, *box_shape(SPACING_MM))
    brain = anchor.tissues[0] > 0.99
    values = anchor.images[0][brain & (anchor.healthy > 0)]
    assert float(values.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(values.std()) == pytest.approx(1.0, abs=0.1)
    points = box_points(SPACING_MM, CPU)
    assert not bool(anchor.healthy[ball(points, LESION_MM, 18.0 + 5.0)].any())
    assert bool(anchor.healthy[~ball(points, LESION_MM, 18.0 + 11.0)].all())


def test_a_case_without_lesion_is_healthy_everywhere_and_one_that_is_all_lesion_is_refused(case):
    assert bool(Anchor.of_case(replace(case, labels=torch.zeros_like(case.labels))).healthy.all())
    with pytest.raises(InputError, match="no healthy brain"):
        Anchor.of_case(replace(case, labels=torch.ones_like(case.labels)))


def test_a_head_agrees_with_itself_and_less_with_itself_moved(case):
    anchor = Anchor.of_case(case)
    same = agreement(anchor, anchor)
    assert same.correlation == pytest.approx(1.0, abs=1e-4)
    assert same.tissue_dice == pytest.approx((1.0,), abs=2e-3)
    shift = torch.zeros(3, *box_shape(8.0))
    shift[1] = 12.0
    apart = agreement(anchor, anchor, shift)
    assert apart.correlation < 0.98
    assert apart.tissue_dice[0] < 0.95
