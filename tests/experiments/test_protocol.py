"""Asking: what is drawn depends on the case alone, stays as near as it says, and corrects what is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.studies import SHAPE, TIGHT, Thresholds, labelled
from oncoprompt.experiments.protocol import (
    PromptProtocol,
    box_dice,
    boxless_dice,
    clicked,
    corrected_box,
    moved_box,
    unprompted,
)
from oncoprompt.prompts import Box, Click
from oncoprompt.study import LabelMap

CASE = labelled()
TUMOUR = CASE.regions["WT"]


def asked(protocol: PromptProtocol, model: Thresholds | None = None, name: str = "P1") -> list[tuple[object, ...]]:
    """The prompts of every draw."""
    study = labelled(name).study
    return [answer.provenance.prompts for answer in protocol.answers(model or Thresholds(), study, TUMOUR)]


def voxels(prompts: tuple[object, ...]) -> np.ndarray:
    (box,) = prompts
    assert isinstance(box, Box)
    return box.to_voxels(CASE.study.grid)


def test_the_tight_box_is_asked_once_and_is_tight() -> None:
    (prompts,) = asked(moved_box(0.0))
    assert np.array_equal(voxels(prompts), TIGHT)


@settings(max_examples=10)
@given(st.text(min_size=1, max_size=8), st.sampled_from([0.1, 0.2]))
def test_no_side_of_a_moved_box_moves_farther_than_its_share_and_half_a_voxel(name: str, jitter: float) -> None:
    lengths = TIGHT[:, 1:] - TIGHT[:, :1]
    for prompts in asked(moved_box(jitter, 2), name=name):
        assert bool((np.abs(voxels(prompts) - TIGHT) <= jitter * lengths + 0.5).all())


@pytest.mark.parametrize("protocol", [moved_box(0.2, 3), clicked(3, 2), corrected_box(0.1, 2)], ids=lambda p: p.name)
def test_draws_differ_and_depend_on_the_name_of_the_study_alone(protocol: PromptProtocol) -> None:
    again, other = asked(protocol, Thresholds(150.0)), asked(protocol, Thresholds(150.0), name="P2")
    first = asked(protocol, Thresholds(150.0))
    assert first == again
    assert first != other
    assert len(first) == protocol.draws
    assert len(set(first)) > 1


@pytest.mark.parametrize("count", [1, 3])
def test_clicks_are_positive_and_in_the_tumour(count: int) -> None:
    for prompts in asked(clicked(count, 2)):
        assert len(prompts) == count
        for click in prompts:
            assert isinstance(click, Click)
            assert click.positive
            assert TUMOUR[tuple(click.to_voxel(CASE.study.grid))]


@pytest.mark.parametrize(("level", "positive"), [(250.0, True), (50.0, False)], ids=["too little", "too much"])
def test_the_correcting_click_is_in_the_error_and_says_which_it_is(level: float, positive: bool) -> None:
    model = Thresholds(level)
    for prompts in asked(corrected_box(0.1, 2), model):
        box, click = prompts
        assert isinstance(box, Box)
        assert isinstance(click, Click)
        assert click.positive is positive
        assert bool(TUMOUR[tuple(click.to_voxel(CASE.study.grid))]) is positive


def test_the_correcting_click_lies_in_the_middle_of_the_largest_error() -> None:
    truth = np.zeros(SHAPE, bool)
    truth[5:14, 5:14, 5:14] = True
    (prompts,) = [a.provenance.prompts for a in corrected_box(0.0, 1).answers(Thresholds(1e6), CASE.study, truth)]
    assert np.array_equal(prompts[1].to_voxel(CASE.study.grid), [9, 9, 9])


def test_a_right_answer_is_not_corrected() -> None:
    assert all(len(prompts) == 1 for prompts in asked(corrected_box(0.1, 2)))


def test_nothing_is_asked_once_without_prompts() -> None:
    assert asked(unprompted()) == [()]


def test_a_right_model_has_dice_1_in_every_region_with_a_box_and_without() -> None:
    assert box_dice(Thresholds(), CASE.study, CASE.truth) == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    assert boxless_dice(Thresholds(), CASE.study, CASE.truth) == {"WT": 1.0, "TC": 1.0, "ET": 1.0}


def test_a_case_without_a_tumour_cannot_be_boxed() -> None:
    empty = LabelMap(np.zeros(SHAPE, np.uint8), CASE.study.grid, CASE.truth.schema)
    assert box_dice(Thresholds(), CASE.study, empty) is None
    assert boxless_dice(Thresholds(), CASE.study, empty) == {}
