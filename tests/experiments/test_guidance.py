"""What models are told: the same for all, wrong in the way that is said, and nothing that is not said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.studies import FOUR, SHAPE, Thresholds, case_of, labelled
from oncoprompt.errors import InputError
from oncoprompt.experiments.cases import LABELLED, SYNTHETIC
from oncoprompt.experiments.guidance import ANATOMY, BOX, CLICKS, GUIDANCE, SHIFT_MM, WORD, Guidance
from oncoprompt.experiments.guided_cases import DILATION_MM, SYNTHETIC_CT, GuidedStudy, guided_cases_of
from oncoprompt.inference import Session
from oncoprompt.methods.tags.vocabulary import CONCEPTS
from oncoprompt.prompts import Anatomy, Box, Click, Text
from training.cases import write_ball

SPACING_MM = 2.0


def guided(name: str = "P1", word: str = "glioma", other: str | None = None) -> GuidedStudy:
    """The small study with an organ around its tumour."""
    made = labelled(name)
    organ = np.zeros(SHAPE, bool)
    organ[6:24, 7:24, 2:20] = True
    return GuidedStudy(made.study, made.truth, organ, word, other)


CASE = guided()
TUMOUR = CASE.regions["WT"]
by_name = {guidance.name: guidance for guidance in GUIDANCE}


def told(
    guidance: Guidance, study: GuidedStudy = CASE, seed: int = 0
) -> tuple[np.ndarray, list[str], list[np.ndarray]]:
    """Voxels of clicks, words and masks."""
    prompts = guidance.prompts(study, np.random.default_rng(seed))
    clicks = [p.to_voxel(study.study.grid) for p in prompts if isinstance(p, Click) and p.positive]
    words = [p.words for p in prompts if isinstance(p, Text)]
    masks = [p.mask for p in prompts if isinstance(p, Anatomy)]
    assert len(clicks) + len(words) + len(masks) == len(prompts)
    return np.array(clicks).reshape(-1, 3), words, masks


@given(st.sampled_from([1, 3, 10]), st.integers(0, 99))
@settings(max_examples=20)
def test_clicks_lie_in_the_tumour_and_at_its_border_where_that_is_said(count: int, seed: int) -> None:
    inside, _, _ = told(Guidance("inside", clicks=count), seed=seed)
    assert len(inside) == count
    assert TUMOUR[tuple(inside.T)].all()
    border, _, _ = told(Guidance("border", clicks=count, border=True), seed=seed)
    assert TUMOUR[tuple(border.T)].all()
    for axis_steps in border[:, None] + np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)]):
        assert not TUMOUR[tuple(axis_steps.T)].all()


@given(st.sampled_from([5.0, 10.0]), st.integers(0, 99))
@settings(max_examples=20)
def test_clicks_that_are_off_are_off_by_so_many_mm_from_the_same_places(off_mm: float, seed: int) -> None:
    inside, _, _ = told(Guidance("inside"), seed=seed)
    moved, _, _ = told(Guidance("off", off_mm=off_mm), seed=seed)
    distances = np.linalg.norm((moved - inside) * SPACING_MM, axis=1)
    # rounding to voxels moves each axis by half a voxel at most
    assert np.all(np.abs(distances - off_mm) <= 3**0.5 * SPACING_MM / 2 + 1e-9)


def test_clicks_are_the_same_whatever_else_is_told() -> None:
    three = [g for g in GUIDANCE if g.clicks == 3 and not (g.off_mm or g.border or g.box)]
    assert len(three) >= 6
    first, _, _ = told(three[0])
    assert all(np.array_equal(told(guidance)[0], first) for guidance in three)


def test_the_wrong_word_is_another_kind_of_the_same_part_of_the_body_or_the_one_that_is_named() -> None:
    for study, others in (
        (guided(), {"meningioma", "brain metastasis"}),
        (guided(word="kidney tumour"), {"liver tumour", "pancreatic tumour"}),
        (guided(other="healthy"), {"healthy"}),
    ):
        assert told(by_name["wrong word"], study)[1][0] in others
        assert told(GUIDANCE[0], study)[1] == [study.word]
    assert told(by_name["no word"])[1] == []
    assert len({guided(f"P{n}").wrong_word for n in range(8)}) == 2


def test_masks_are_wrong_as_said_and_missing_where_said() -> None:
    assert told(by_name["no mask"])[2] == []
    assert np.array_equal(told(GUIDANCE[0])[2][0], CASE.organ)
    (dilated,) = told(by_name[f"mask dilated by {DILATION_MM:g} mm"])[2]
    assert dilated[CASE.organ].all()
    # the organ begins at voxels (6, 7); 10 mm are five voxels
    assert dilated[1, 10].any()
    assert not dilated[0].any()
    assert not dilated[2, 3].any()
    (inner,) = told(by_name["inner half of the mask"])[2]
    assert CASE.organ[inner].all()
    assert 0.4 <= inner.sum() / CASE.organ.sum() <= 0.75
    assert not inner[6].any()


@given(st.integers(0, 200))
@settings(max_examples=20)
def test_a_mask_that_is_off_is_moved_as_a_whole_and_never_empty(seed: int) -> None:
    (moved,) = told(by_name[f"mask off by {SHIFT_MM:g} mm"], seed=seed)[2]
    assert moved.any()
    assert moved.sum() < CASE.organ.sum()
    corner, other = (np.argwhere(mask).mean(axis=0) for mask in (moved, CASE.organ))
    assert np.linalg.norm((corner - other) * SPACING_MM) > SPACING_MM


def test_only_what_a_model_reads_is_told() -> None:
    everything = GUIDANCE[0]
    assert everything.told == {CLICKS, WORD, ANATOMY}
    assert everything.only(frozenset({CLICKS})).told == {CLICKS}
    assert everything.only(frozenset({WORD, ANATOMY})).told == {WORD, ANATOMY}
    assert by_name["nothing"].told == frozenset()
    assert GUIDANCE[-1].told == {BOX}


def test_the_box_is_alone_and_what_is_not_random_is_asked_once() -> None:
    model = Thresholds()
    box = [a.provenance.prompts for a in GUIDANCE[-1].protocol(CASE, 2).answers(model, CASE.study, TUMOUR)]
    assert [[type(p) for p in prompts] for prompts in box] == [[Box], [Box]]
    assert by_name["nothing"].protocol(CASE, 3).draws == 1
    assert by_name["word alone"].protocol(CASE, 3).draws == 1
    assert GUIDANCE[0].protocol(CASE, 3).draws == 3


def test_every_way_of_telling_is_answered_by_a_session() -> None:
    for guidance in GUIDANCE:
        (answer,) = list(guidance.protocol(CASE, 1).answers(Thresholds(), CASE.study, TUMOUR))
        assert answer.mask("WT").shape == SHAPE
    assert isinstance(Session(CASE.study, Thresholds()), Session)


def test_an_organ_that_is_empty_or_on_another_grid_is_refused() -> None:
    made = labelled()
    for organ in (np.zeros(SHAPE, bool), np.ones((2, 2, 2), bool)):
        with pytest.raises(InputError, match="mask of the organ"):
            GuidedStudy(made.study, made.truth, organ, "glioma")


def test_labelled_brains_come_with_the_brain_and_their_word(tmp_path) -> None:
    write_ball(tmp_path, "P1")
    (case,) = guided_cases_of(tmp_path, None, "GBM", 0, 0, 0)
    study = case.read()
    assert isinstance(study, GuidedStudy)
    assert (case.source, study.word) == (LABELLED, "glioma")
    assert study.organ[study.regions["WT"]].all()


@pytest.mark.slow
def test_synthetic_cases_are_of_every_kind_and_ct_has_the_tumour_alone() -> None:
    cases = guided_cases_of(None, None, "glioma", 2, 1, 970_000)
    assert [case.source for case in cases] == [SYNTHETIC, SYNTHETIC, SYNTHETIC_CT]
    brain, abdomen = cases[1].read(), cases[2].read()
    assert isinstance(brain, GuidedStudy)
    assert isinstance(abdomen, GuidedStudy)
    assert tuple(brain.study.channels) == FOUR
    assert (brain.word, abdomen.word) == ("meningioma", "liver tumour")
    assert {brain.word, abdomen.word} <= set(CONCEPTS)
    assert set(abdomen.regions) == {"WT"}
    assert abdomen.organ[abdomen.regions["WT"]].all()
    assert not abdomen.organ.all()


@pytest.mark.parametrize("word", ["liver tumour", "healthy", "tumour"])
def test_words_that_are_no_kind_of_brain_tumour_are_refused(word: str) -> None:
    with pytest.raises(InputError, match="Known: glioma, meningioma, brain metastasis"):
        guided_cases_of(None, None, word, 1, 0, 0)


def test_no_cases_are_refused() -> None:
    with pytest.raises(InputError, match="--synthetic-ct N"):
        guided_cases_of(None, None, "glioma", 0, 0, 0)


def test_ct_without_an_organ_is_told_as_the_problem_of_its_case() -> None:
    from oncoprompt.experiments.guided_cases import _labelled

    ct = labelled(channels=("ct",))
    with pytest.raises(InputError, match="CT without a mask"):
        _labelled(case_of(ct), "glioma")
