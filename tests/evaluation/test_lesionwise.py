"""Lesion-wise scores keep the rules of their profile, on any grid."""

from itertools import permutations
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.evaluation.lesionwise import LesionWiseScores, missing_case, score_case
from oncoprompt.evaluation.profiles import PROFILES, profile

Labels = NDArray[np.uint8]
SHAPE = (16, 18, 20)
SPACINGS = st.tuples(*[st.sampled_from([0.5, 0.9, 1.0, 2.5])] * 3)
EVERY_PROFILE = st.sampled_from([name for name in PROFILES if "2025" not in name])


@st.composite
def label_maps(draw: st.DrawFn) -> Labels:
    """Up to four boxes of label 1, overlapping or apart."""
    labels = np.zeros(SHAPE, np.uint8)
    for _ in range(draw(st.integers(0, 4))):
        low = [draw(st.integers(0, n - 2)) for n in SHAPE]
        labels[tuple(slice(start, start + draw(st.integers(1, 6))) for start in low)] = 1
    return labels


def cube(start: int, side: int, shape: tuple[int, int, int] = (40, 40, 40), value: int = 1) -> Labels:
    labels = np.zeros(shape, np.uint8)
    labels[(slice(start, start + side),) * 3] = value
    return labels


def averages(scores: LesionWiseScores) -> list[float]:
    return [scores.lesionwise_dice, scores.lesionwise_hausdorff95_mm, *scores.lesionwise_nsd.values()]


def counts(scores: LesionWiseScores) -> tuple[int, int, int]:
    return scores.true_positives, scores.false_positives, scores.false_negatives


@settings(max_examples=15)
@given(label_maps(), label_maps(), SPACINGS, st.sampled_from(list(permutations(range(3)))), EVERY_PROFILE)
def test_scores_do_not_depend_on_the_order_of_the_axes(
    prediction: Labels, truth: Labels, spacing: tuple[float, ...], order: tuple[int, int, int], name: str
) -> None:
    rules = profile(name)
    straight = score_case(prediction, truth, spacing, rules)
    turned = score_case(prediction.transpose(order), truth.transpose(order), [spacing[a] for a in order], rules)
    for region, expected in straight.items():
        assert turned[region].dice == pytest.approx(expected.dice, nan_ok=True)
        assert turned[region].nsd == pytest.approx(expected.nsd, nan_ok=True)
        if not rules.merges_predictions:
            assert turned[region].hausdorff95_mm == pytest.approx(expected.hausdorff95_mm, nan_ok=True)
        if rules.family == 2026:  # Pairings of equal sums of Dice are several; their sum is one.
            total = [s.true_positives and s.true_positives * s.lesionwise_dice for s in (turned[region], expected)]
            assert total[0] == pytest.approx(total[1])
        else:
            assert counts(turned[region]) == counts(expected)
            assert averages(turned[region]) == pytest.approx(averages(expected))


@settings(max_examples=15)
@given(label_maps(), label_maps(), SPACINGS, st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * 3),
       st.sampled_from(["brats2023-gli", "brats2024-gli", "brats2024-ped", "brats2026-gli"]))  # fmt: skip
def test_scores_do_not_depend_on_where_in_the_scan_the_lesions_are(
    prediction: Labels, truth: Labels, spacing: tuple[float, ...], margins: tuple[tuple[int, int], ...], name: str
) -> None:
    plain = score_case(prediction, truth, spacing, profile(name))
    padded = score_case(np.pad(prediction, margins), np.pad(truth, margins), spacing, profile(name))
    for region, expected in plain.items():
        assert counts(padded[region]) == counts(expected)
        assert averages(padded[region]) == pytest.approx(averages(expected), nan_ok=True)
        assert padded[region].hausdorff95_mm == pytest.approx(expected.hausdorff95_mm, nan_ok=True)
        assert padded[region].sensitivity == expected.sensitivity


@settings(max_examples=15)
@given(label_maps(), label_maps(), SPACINGS)
def test_exchanging_prediction_and_truth_exchanges_only_their_roles(
    one: Labels, other: Labels, spacing: tuple[float, ...]
) -> None:
    for name in ("brats2023-gli", "brats2026-gli"):
        there, back = (score_case(*pair, spacing, profile(name))["WT"] for pair in ((one, other), (other, one)))
        assert there.dice == pytest.approx(back.dice, nan_ok=True)
        assert there.nsd == pytest.approx(back.nsd, nan_ok=True)
        assert there.hausdorff95_mm == pytest.approx(back.hausdorff95_mm, nan_ok=True)
        assert (there.volume_ml, there.truth_volume_ml) == (back.truth_volume_ml, back.volume_ml)
        if name == "brats2026-gli" and there.true_positives == back.true_positives:
            assert (there.false_positives, there.false_negatives) == (back.false_negatives, back.false_positives)


@settings(max_examples=10)
@given(label_maps(), EVERY_PROFILE)
def test_the_truth_itself_has_no_error(truth: Labels, name: str) -> None:
    truth[0, 0, 0] = 1
    # Where small predictions are told by voxels and true lesions by mm3, the two agree on voxels of 1 mm3 alone.
    by_voxels = profile(name).merges_predictions and not profile(name).prunes_by_volume
    spacing_mm = (1.0, 1.0, 1.0) if by_voxels else (1.0, 1.2, 3.0)
    for scores in score_case(truth, truth, spacing_mm, profile(name)).values():
        assert scores.false_positives == scores.false_negatives == 0
        if scores.true_positives:
            assert averages(scores) == [1.0, 0.0, 1.0, 1.0, 1.0]


@settings(max_examples=10)
@given(label_maps(), label_maps(), SPACINGS)
def test_distances_and_volumes_scale_with_the_spacing(
    prediction: Labels, truth: Labels, spacing: tuple[float, ...]
) -> None:
    prediction[1, 1, 1] = truth[2, 2, 2] = 1
    rules = profile("brats2023-gli")
    once = score_case(prediction, truth, spacing, rules)["WT"]
    twice = score_case(prediction, truth, [2.0 * s for s in spacing], rules)["WT"]
    assert twice.hausdorff95_mm == pytest.approx(2.0 * once.hausdorff95_mm)
    assert twice.truth_volume_ml == pytest.approx(8.0 * once.truth_volume_ml)
    assert twice.nsd[1.0] == pytest.approx(once.nsd[0.5])


def test_every_lesion_that_counts_is_listed_with_its_own_scores() -> None:
    truth = cube(2, 6) + cube(30, 6)
    prediction = cube(3, 6)
    prediction[2:8, 2:8, 30:36] = 1
    scores = score_case(prediction, truth, (1.0, 1.0, 2.0), profile("brats2023-gli"))["WT"]
    assert [lesion.kind for lesion in scores.lesions] == ["matched", "missed", "spurious"]
    assert [lesion.truth_volume_ml for lesion in scores.lesions] == pytest.approx([0.432, 0.432, 0.0])
    assert [lesion.volume_ml for lesion in scores.lesions] == pytest.approx([0.432, 0.0, 0.432])
    assert [lesion.dice for lesion in scores.lesions] == pytest.approx([125 / 216, 0.0, 0.0])
    assert [lesion.hausdorff95_mm for lesion in scores.lesions[1:]] == [374.0, 374.0]
    assert scores.lesionwise_dice == pytest.approx(125 / 216 / 3)


def test_small_predictions_count_as_spurious_until_2023_and_are_dropped_from_2024() -> None:
    truth = cube(2, 6, value=3)
    prediction = truth + cube(30, 2, value=3)
    for name, spurious in (("brats2023-gli", 1), ("brats2024-gli", 0), ("brats2024-men", 1), ("brats2024-ssa", 0)):
        scores = score_case(prediction, truth, (1.0, 1.0, 1.0), profile(name))["ET"]
        assert (scores.true_positives, scores.false_positives) == (1, spurious), name


def test_small_true_lesions_are_told_by_their_volume_not_by_their_voxels() -> None:
    truth = cube(2, 3)
    for spacing_mm, missed in (((1.0, 1.0, 1.0), 0), ((1.0, 1.0, 2.0), 1)):
        scores = score_case(np.zeros_like(truth), truth, spacing_mm, profile("brats2023-gli"))["WT"]
        assert scores.false_negatives == missed
        assert (scores.lesionwise_dice, scores.dice) == (1.0 - missed, 0.0)


def test_a_cavity_is_no_tumour_and_is_scored_for_itself() -> None:
    truth = cube(2, 8, value=4)
    for name in ("brats2024-gli", "brats2024-met", "brats2026-gli", "brats2026-mets"):
        scores = score_case(cube(3, 8, value=4), truth, (1.0, 1.0, 1.0), profile(name))
        assert scores["RC"].true_positives == 1
        assert scores["RC"].lesionwise_dice == pytest.approx(2 * 7**3 / (2 * 8**3))
        assert scores["WT"].volume_ml == scores["WT"].truth_volume_ml == 0.0


def test_radiotherapy_targets_are_not_penalised_for_spurious_lesions() -> None:
    truth, extra = cube(2, 8), cube(2, 8) + cube(30, 8)
    scores = score_case(extra, truth, (0.5, 0.5, 1.0), profile("brats2024-men-rt"))["GTV"]
    assert (counts(scores), scores.lesionwise_dice, scores.lesionwise_hausdorff95_mm) == ((1, 1, 0), 1.0, 0.0)
    missed = score_case(truth, extra, (0.5, 0.5, 1.0), profile("brats2024-men-rt"))["GTV"]
    assert missed.lesionwise_dice == 0.5
    assert missed.lesionwise_hausdorff95_mm == pytest.approx(np.linalg.norm((40, 40, 40)) / 2)
    tiny = score_case(cube(30, 5), np.zeros_like(truth), (0.5, 0.5, 1.0), profile("brats2024-men-rt"))["GTV"]
    assert tiny.false_positives == 0, "125 voxels of 0.25 mm3 are 31 mm3, under the 50 that count"


def test_metastases_of_2026_need_a_volume_and_an_overlap() -> None:
    small, large, far = cube(2, 3, value=3), cube(12, 8, value=3), cube(17, 8, value=3)
    rules = profile("brats2026-mets")
    nothing = score_case(np.zeros_like(small), small, (1.0, 1.0, 1.0), rules)["ET"]
    assert (counts(nothing), nothing.dice) == ((0, 0, 0), 0.0), "27 mm3 are left out"
    assert counts(score_case(far, large, (1.0, 1.0, 1.0), rules)["ET"]) == (0, 1, 1), "Dice 27 / 512 is no pair"
    assert counts(score_case(far, large, (1.0, 1.0, 1.0), profile("brats2026-gli"))["ET"]) == (1, 0, 0)


@pytest.mark.parametrize("name", PROFILES)
def test_an_absent_prediction_scores_nothing_and_the_penalty(name: str) -> None:
    truth = cube(2, 8)
    for region, scores in missing_case(truth, (1.0, 1.0, 1.0), PROFILES[name]).items():
        assert [scores.dice, *scores.nsd.values(), scores.lesionwise_dice] == [0.0] * 5
        expected = PROFILES[name].missing_penalty_mm
        assert scores.hausdorff95_mm == scores.lesionwise_hausdorff95_mm == expected
        held = 1 in PROFILES[name].regions[region]
        assert (counts(scores), scores.volume_ml) == ((0, 0, int(held)), 0.0)


def test_maps_that_cannot_be_scored_are_refused() -> None:
    labels, rules = cube(2, 8), profile("brats2023-gli")
    with pytest.raises(InputError, match="does not fit a truth of shape"):
        score_case(labels[:-1], labels, (1.0, 1.0, 1.0), rules)
    for spacing in ((1.0, 1.0), (1.0, 0.0, 1.0), (1.0, np.nan, 1.0)):
        with pytest.raises(InputError, match="give three lengths above 0"):
            score_case(labels, labels, spacing, rules)
    with pytest.raises(InputError, match="has no 4"):
        score_case(labels, cube(2, 8, value=4), (1.0, 1.0, 1.0), rules)


def test_real_pairs_are_scored_by_every_metastasis_profile(real_data: Path) -> None:
    folder = real_data / "lesionwise_pairs"
    if not folder.is_dir():
        pytest.skip(f"real pairs of label maps are missing: {folder.name}")
    truth = nibabel.load(folder / "ref" / "BraTS-MET-00630-001-seg.nii.gz")
    prediction = nibabel.load(folder / "pred" / "BraTS-MET-00630-001.nii.gz")
    spacing = truth.header.get_zooms()
    arrays = [np.asarray(image.dataobj) for image in (prediction, truth)]
    for name in ("brats2023-met", "brats2024-met", "brats2026-mets"):
        for scores in score_case(*arrays, spacing, profile(name)).values():
            true = scores.true_positives + scores.false_negatives
            assert len(scores.lesions) == true + scores.false_positives
            if scores.truth_volume_ml:
                assert true > 0
                assert 0.0 < scores.lesionwise_dice <= 1.0
                assert sum(lesion.truth_volume_ml for lesion in scores.lesions) <= scores.truth_volume_ml + 1e-9
