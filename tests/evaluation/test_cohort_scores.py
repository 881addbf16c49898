"""A cohort is scored case by case to the end; what cannot be scored counts as missing and is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.label_maps import BOTH, GRID, LARGE, NONE, ONE, SMALL, labels, write
from oncoprompt.errors import InputError
from oncoprompt.evaluation.cohort_scores import CaseScores, CohortScores, score_cohort
from oncoprompt.evaluation.lesionwise import missing_case, score_case
from oncoprompt.evaluation.pairing import pair_label_maps
from oncoprompt.evaluation.profiles import profile
from oncoprompt.geometry import Grid

MET = profile("brats2023-met")
NAN = float("nan")


def scored(truth: Path, prediction: Path, schema: str | None = None, jobs: int = 1) -> CohortScores:
    return score_cohort(pair_label_maps(truth, prediction), MET, schema, jobs)


def of_dice(*values: float) -> CohortScores:
    """Scores of cases A, B, C ... with one region and one figure."""
    cases = (CaseScores(chr(65 + n), {"ET": {"lesionwise_dice": value}}) for n, value in enumerate(values))
    return CohortScores(replace(MET, regions={"ET": MET.regions["ET"]}), tuple(cases))


def test_figures_are_those_of_the_profile_under_their_names(tmp_path):
    scores = scored(write(tmp_path / "t", P1=BOTH), write(tmp_path / "p", P1=ONE))
    expected = score_case(ONE, BOTH, GRID.spacing_mm, MET)["ET"]
    figures = scores.cases[0].regions["ET"]
    assert figures == {
        "dice": expected.dice,
        "hd95": expected.hausdorff95_mm,
        "nsd_0.5": expected.nsd[0.5],
        "nsd_1.0": expected.nsd[1.0],
        "nsd_2.0": expected.nsd[2.0],
        "lesionwise_dice": 0.5,
        "lesionwise_hd95": 374 / 2,
        "lesionwise_nsd_0.5": 0.5,
        "lesionwise_nsd_1.0": 0.5,
        "lesionwise_nsd_2.0": 0.5,
        "true_positives": 1,
        "false_positives": 0,
        "false_negatives": 1,
        "f1": pytest.approx(2 / 3),
        "volume_ml": pytest.approx(ONE.astype(bool).sum() * 2 / 1000),
        "truth_volume_ml": pytest.approx(BOTH.astype(bool).sum() * 2 / 1000),
    }
    assert scores.metrics == tuple(figures)


def test_bad_cases_are_scored_as_missing_and_said_and_the_others_are_untouched(tmp_path):
    cases = ("absent", "affine", "broken", "four", "good", "shape")
    truth = write(tmp_path / "t", **dict.fromkeys(cases, BOTH))
    prediction = write(tmp_path / "p", good=ONE, four=labels(LARGE, value=4))
    write(prediction, Grid(GRID.shape, GRID.affine @ np.diag([1, 1, 1.5, 1])), affine=BOTH)
    write(prediction, Grid((20, 16, 11), GRID.affine), shape=BOTH[:, :, :11])
    (prediction / "broken-seg.nii.gz").write_bytes(b"no scan")
    scores = scored(truth, prediction)
    assert scores.missing == ("absent", "affine", "broken", "four", "shape")
    missing = missing_case(BOTH, GRID.spacing_mm, MET)["ET"]
    for case in scores.cases:
        figures = case.regions["ET"]
        if case.case == "good":
            assert (case.problem, figures["lesionwise_dice"]) == (None, 0.5)
        else:
            assert figures["lesionwise_hd95"] == figures["hd95"] == missing.hausdorff95_mm == 374
            assert (figures["dice"], figures["false_negatives"], figures["volume_ml"]) == (0, 2, 0)
    told = scores.problems
    assert told["absent"] == "There is no prediction."
    assert "differ by up to 11 mm" in told["affine"]
    assert "shapes (20, 16, 12) and (20, 16, 11)" in told["shape"]
    assert "broken-seg.nii.gz" in told["broken"]
    assert "has no 4" in told["four"]
    assert "name it with --schema" in told["four"]


def test_a_truth_that_cannot_be_read_is_left_out_and_said(tmp_path):
    truth = write(tmp_path / "t", P1=BOTH, P2=labels(LARGE, value=9))
    scores = scored(truth, write(tmp_path / "p", P1=BOTH, P2=BOTH, P3=BOTH))
    assert [case.case for case in scores.cases] == ["P1"]
    assert "has no 9" in scores.unusable["P2"]
    assert scores.problems == dict(scores.unusable)
    assert scores.without_truth == ("P3",)


def test_where_no_prediction_can_be_used_the_first_problem_is_the_error(tmp_path):
    four = labels(LARGE, value=4)
    with pytest.raises(InputError, match=r"None of 2 cases can be scored\. The first, 'P1': .*--schema"):
        scored(write(tmp_path / "t", P1=BOTH, P2=BOTH), write(tmp_path / "p", P1=four, P2=four))


def test_a_numbering_is_taken_from_the_file_then_from_the_schema_asked_for(tmp_path):
    in_2021 = labels(LARGE, SMALL, value=4)
    plain = scored(write(tmp_path / "t", P1=BOTH), write(tmp_path / "p", P1=ONE)).cases
    named = write(tmp_path / "named", schema="brats2021", P1=in_2021)
    unnamed = write(tmp_path / "unnamed", P1=in_2021)
    own = write(tmp_path / "own", schema="brats2023", P1=ONE)
    assert scored(named, tmp_path / "p").cases == plain
    assert scored(unnamed, own, schema="brats2021").cases == plain
    with pytest.raises(InputError, match="no label schema 'brats1999'"):
        scored(named, own, schema="brats1999")


@pytest.mark.slow
def test_several_processes_give_the_same_scores_in_the_same_order(tmp_path):
    truth = write(tmp_path / "t", P1=BOTH, P2=BOTH, P3=ONE)
    prediction = write(tmp_path / "p", P1=NONE, P3=BOTH)
    begun: list[int] = []
    pairing = pair_label_maps(truth, prediction)
    assert score_cohort(pairing, MET, jobs=2, begin=lambda: begun.append(1)) == scored(truth, prediction)
    assert len(begun) == 3


def test_an_undefined_figure_is_left_out_of_the_mean_and_of_the_order():
    scores = of_dice(0.9, NAN, 0.3, 0.6)
    assert scores.mean("ET", "lesionwise_dice") == pytest.approx(0.6)
    low, high = scores.interval("ET", "lesionwise_dice")
    assert 0.3 <= low < 0.6 < high <= 0.9
    assert [case.case for case in scores.worst(2)] == ["C", "D"]
    assert [case.case for case in scores.worst(9)] == ["C", "D", "A"]


def test_predictions_are_compared_case_by_case():
    better, worse = of_dice(0.9, 0.8, 0.7, 0.6, 0.55, 0.5), of_dice(0.8, 0.6, 0.4, 0.2, 0.05, -0.1)
    test = better.compared(worse)["ET"]["lesionwise_dice"]
    assert (test.cases, test.different) == (6, 6)
    assert test.median_difference == pytest.approx(0.35)
    assert test.p == pytest.approx(2 / 64)
    same = better.compared(better)["ET"]["lesionwise_dice"]
    assert (same.different, same.p) == (0, None)
