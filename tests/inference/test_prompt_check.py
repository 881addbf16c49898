"""Prompts that contradict the scan, or each other, are refused or told, whichever model answers them."""

import logging

import numpy as np
import pytest

from inference.otsu_model import OtsuModel
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.inference import Session, SliceSession
from oncoprompt.inference.prompt_check import PromptCheck
from oncoprompt.methods.interface import Encoding, RegionProbabilities
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study import Study

SHAPE = (40, 40, 40)
GRID = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
LESION = [[16, 22], [16, 22], [16, 22]]


class Bright:
    """A method without a network: what is brighter than 150 is tumour; it reads every prompt."""

    name = "bright"
    weights_sha256 = "0" * 64

    def encode(self, study, region):
        return Encoding(study.grid, next(iter(study.channels.values())))

    def decode(self, encoding, prompts, study, previous=None):
        values = np.repeat((encoding.features > 150)[None].astype(np.float32), 3, axis=0)
        return RegionProbabilities(values, (0, 0, 0))


def head(channel: str = "t1c", stripped: bool = False) -> Study:
    """A head of 100 with a lesion of 200 and a dark hollow, in noisy air or in padding."""
    rng = np.random.default_rng(0)
    image = np.zeros(SHAPE, np.float32) if stripped else rng.uniform(0, 5, SHAPE).astype(np.float32)
    image[8:32, 8:32, 8:32] = rng.normal(100, 4, (24, 24, 24))
    image[16:22, 16:22, 16:22] += 100
    image[24:30, 24:30, 24:30] = 0.0 if stripped else 2.0
    return Study({channel: image if channel != "ct" else image * 10 - 1000}, GRID)


def click(*voxel: int, positive: bool = True) -> Click:
    return Click.at_voxel(voxel, GRID, positive)


def box(*ranges: list[int]) -> Box:
    return Box.from_voxels(list(ranges), GRID)


def said(study: Study, *prompts) -> str:
    return " ".join(PromptCheck(study).of(prompts)[1])


@pytest.mark.parametrize("study", [head(), head(stripped=True), head("ct")], ids=["air", "padding", "ct"])
def test_a_click_in_air_is_refused_and_one_to_leave_air_out_is_told(study: Study) -> None:
    with pytest.raises(InputError, match=r"voxel \[0, 0, 0\] lies in air"):
        PromptCheck(study).of([click(0, 0, 0)])
    assert "lies in air" in said(study, click(18, 18, 18), click(0, 0, 0, positive=False))
    assert said(study, click(18, 18, 18), click(10, 10, 10, positive=False)) == ""


@pytest.mark.parametrize("study", [head(), head(stripped=True), head("ct")], ids=["air", "padding", "ct"])
def test_a_dark_place_inside_the_body_is_not_air(study: Study) -> None:
    assert said(study, click(27, 27, 27), box([25, 29], [25, 29], [25, 29])) == ""


def test_a_click_just_beside_the_skin_is_not_refused() -> None:
    assert said(head(), click(7, 20, 20)) == ""


def test_a_picture_has_no_air() -> None:
    grid = Grid((30, 20, 1), np.eye(4))
    image = np.zeros((30, 20, 1), np.float32)
    image[10:20, 5:15] = 200
    study = Study({"grey": image}, grid)
    assert PromptCheck(study).of([Click.at_voxel((1, 1, 0), grid)])[1] == []


def test_in_a_scan_of_an_unknown_kind_air_is_a_guess_and_told() -> None:
    study = head("scan")
    assert "voxel [0, 0, 0] lies in air" in said(study, click(0, 0, 0))
    assert "lies wholly in air" in said(study, box([0, 4], [0, 4], [0, 4]))


def test_a_scan_in_hounsfield_units_is_a_ct_whatever_its_name() -> None:
    """Fat, darker than a fifth of the brightest, is body there."""
    image = np.full(SHAPE, -1000, np.float32)
    image[4:36, 4:36, 4:36] = -80 + np.arange(32)
    image[18:22, 18:22, 18:22] = 300
    assert said(Study({"scan": image}, GRID), click(6, 6, 6)) == ""


def test_a_box_wholly_in_air_is_refused() -> None:
    for study in (head(), head(stripped=True), head("ct")):
        with pytest.raises(InputError, match="lies wholly in air"):
            PromptCheck(study).of([box([0, 4], [0, 4], [0, 4])])


def test_a_voxel_clicked_as_inside_and_as_outside_is_refused() -> None:
    with pytest.raises(InputError, match=r"Voxel \[18, 18, 18\] is clicked both as inside and as outside"):
        PromptCheck(head()).of([click(18, 18, 18), click(18, 18, 18, positive=False)])


@pytest.mark.parametrize("ranges", [[[0, 40]] * 3, [[0, 40], [0, 40], [0, 39]]])
def test_a_box_that_covers_the_scan_is_told_with_what_it_is_taken_for(ranges) -> None:
    assert "It is taken for a box around one tumour" in said(head(), box(*ranges))


def test_a_box_that_covers_the_head_is_told() -> None:
    assert "nearly all of the head or body" in said(head(), box([7, 33], [7, 33], [7, 33]))
    assert said(head(), box(*LESION)) == ""


def test_a_positive_click_outside_every_box_is_told() -> None:
    assert "outside every box" in said(head(), box(*LESION), click(12, 12, 12))
    assert said(head(), box(*LESION), click(18, 18, 18), click(12, 12, 12, positive=False)) == ""


def test_a_click_in_two_boxes_is_told() -> None:
    assert "lies in 2 boxes" in said(head(), box(*LESION), box([17, 26], [16, 22], [16, 22]), click(18, 18, 18))


def test_the_same_box_and_the_same_click_count_once_and_that_is_told() -> None:
    kept, warnings = PromptCheck(head()).of([box(*LESION), box(*LESION), click(18, 18, 18), click(18, 18, 18)])
    assert len(kept) == 2
    assert [sentence.split(" is given twice")[0] for sentence in warnings] == [
        f"The box {LESION}",
        "The click at voxel [18, 18, 18]",
    ]


def test_only_clicks_outside_a_tumour_are_told_to_be_a_search() -> None:
    away = click(12, 12, 12, positive=False)
    assert "the whole scan is searched" in said(head(), away)
    assert said(head(), away, Text("glioma")) == ""


@pytest.mark.parametrize(
    ("channel", "words", "doubt"),
    [("t1c", "liver tumour", True), ("ct", "brain metastasis", True), ("t1c", "glioma", False), ("ct", "HCC", False)],
)
def test_words_about_another_part_of_the_body_are_told(channel: str, words: str, doubt: bool) -> None:
    assert (f"'{words}' speaks of the" in said(head(channel), click(18, 18, 18), Text(words))) is doubt


def test_a_prompt_outside_the_anatomy_mask_is_told() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[14:24, 14:24, 14:24] = True
    organ = Anatomy(mask, GRID)
    assert said(head(), organ, click(18, 18, 18), box(*LESION)) == ""
    assert "voxel [10, 10, 10] lies outside the anatomy mask" in said(head(), organ, click(10, 10, 10))
    assert "box [[26, 30], [9, 12], [9, 12]] lies outside the anatomy mask" in said(
        head(), organ, box([26, 30], [9, 12], [9, 12])
    )


@pytest.mark.parametrize("voxel", [(18.5, 18, 18), (np.nan, 0, 0), (np.inf, 0, 0), (1e30, 0, 0), (18, 18), "abc"])
def test_a_click_between_voxels_or_nowhere_is_refused(voxel) -> None:
    with pytest.raises(InputError, match="click"):
        Click.at_voxel(voxel, GRID)


@pytest.mark.parametrize(
    ("ranges", "hint"),
    [
        ([[22, 16], [16, 22], [16, 22]], r"such as \[16, 22\]"),
        ([[16, 16], [16, 22], [16, 22]], r"such as \[16, 17\]"),
        ([[16, np.nan], [16, 22], [16, 22]], "six whole numbers"),
        ([[16, 22.5], [16, 22], [16, 22]], "six whole numbers"),
        ([[10**30, 2 * 10**30], [16, 22], [16, 22]], "outside the scan"),
    ],
)
def test_a_box_that_is_none_is_refused_with_what_is_right(ranges, hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        Box.from_voxels(ranges, GRID)


def test_a_box_partly_outside_the_scan_is_clipped_and_told(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        clipped = box([-4, 22], [16, 22], [16, 44])
    assert clipped.to_voxels(GRID).tolist() == [[0, 22], [16, 22], [16, 40]]
    assert "reaches outside the scan and is clipped" in caplog.text


def test_sessions_of_both_kinds_tell_the_same_and_refuse_the_same() -> None:
    """One check serves the session of regions, that of kinds and that of slices."""
    session, slices = Session(head(), model=Bright()), SliceSession(head(), model=OtsuModel())
    prompts = [box(*LESION), box(*LESION)]
    for answer in (session.segment(prompts), session.segment_kinds(["glioma"], prompts), slices.segment(prompts)):
        assert "is given twice and counts once" in " ".join(answer.warnings)
        assert len([item for item in answer.provenance.prompts if isinstance(item, Box)]) == 1
    both_ways = [box(*LESION), click(18, 18, 18), click(18, 18, 18, positive=False)]
    for ask in (session.segment, lambda given: session.segment_kinds(["glioma"], given), slices.segment):
        with pytest.raises(InputError, match="both as inside and as outside"):
            ask(both_ways)
        with pytest.raises(InputError, match="lies in air"):
            ask([click(0, 0, 0)])


def test_a_correction_that_contradicts_is_refused_and_the_session_goes_on() -> None:
    session = Session(head(), model=Bright())
    session.segment(click(18, 18, 18))
    with pytest.raises(InputError, match="both as inside"):
        session.click(click(18, 18, 18, positive=False))
    assert session.click(click(17, 17, 17)).volume_ml("WT") > 0
