"""Lesion-wise scores are those that the organisers' own code printed."""

import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.golden_cases import CASES
from oncoprompt.evaluation.lesionwise import LesionWiseScores, score_case
from oncoprompt.evaluation.profiles import profile

OFFICIAL = json.loads((Path(__file__).parent / "official_figures.json").read_text())
ABSOLUTE = {"hausdorff95_mm": 1e-3, "lesionwise_hausdorff95_mm": 1e-3}

# Case: lesion-wise Dice, Hausdorff distance and F1 of the enhancing tumour, as BraTS-evaluation 0.0.10 printed them.
MENPRE = {
    "A": (0.8151, 2.0, 1.0),
    "B": (1.0, 0.0, 0.5),
    "C": (1.0, 0.0, 0.667),
    "D": (np.nan, np.nan, np.nan),
    "E": (0.0, np.inf, 0.0),
    "F": (0.0, np.inf, 0.0),
    "G": (1.0, 0.0, 0.667),
    "H": (0.6401, 22.36, 0.667),
    "J": (0.8672, 1.0, 1.0),
    "K": (0.6238, 7.0, 0.667),
}


def figure(scores: LesionWiseScores, column: str) -> float:
    if column == "truth_volume_mm3":
        return scores.truth_volume_ml * 1000.0
    name, _, tolerance = column.partition(" ")
    found = getattr(scores, name)
    return float(found[float(tolerance)] if tolerance else found)


@pytest.mark.parametrize("challenge", OFFICIAL["figures"])
def test_every_figure_is_the_one_the_official_code_printed(challenge: str) -> None:
    columns = OFFICIAL["columns"][challenge.removeprefix("brats")[:4]]
    for case, regions in OFFICIAL["figures"][challenge].items():
        truth, prediction, spacing_mm = CASES[case]()
        scores = score_case(prediction, truth, spacing_mm, profile(challenge))
        assert set(scores) == set(regions)
        for region, printed in regions.items():
            for column, expected in zip(columns, printed, strict=True):
                found = figure(scores[region], column)
                wanted = pytest.approx(expected, rel=0, abs=ABSOLUTE.get(column, 1e-4))
                assert found == wanted, f"case {case}, {region}, {column}"


@pytest.mark.parametrize("case", MENPRE)
def test_the_2026_rules_give_the_figures_of_the_official_code(case: str) -> None:
    truth, prediction, spacing_mm = CASES[case]()
    found = score_case(prediction, truth, spacing_mm, profile("brats2026-menpre"))["ET"]
    figures = (found.lesionwise_dice, found.lesionwise_hausdorff95_mm, found.f1)
    assert figures == pytest.approx(MENPRE[case], rel=0, abs=6e-3, nan_ok=True)
    assert figures[0] == pytest.approx(MENPRE[case][0], rel=0, abs=1e-4, nan_ok=True)


def test_the_2026_rules_give_the_official_figures_of_the_whole_region() -> None:
    truth, prediction, spacing_mm = CASES["B"]()
    found = score_case(prediction, truth, spacing_mm, profile("brats2026-menpre"))["ET"]
    assert (found.dice, found.hausdorff95_mm) == (pytest.approx(0.5623, abs=5e-5), pytest.approx(44.02, abs=5e-3))
    truth, prediction, spacing_mm = CASES["E"]()
    assert score_case(prediction, truth, spacing_mm, profile("brats2026-menpre"))["ET"].hausdorff95_mm == 373.0


def test_the_2026_rules_take_thick_slices_as_thick_where_the_official_code_does_not() -> None:
    """The official code reverses the spacing and prints 2.0; over border voxels in mm, its own definition, sqrt 17.

    3.162 mm would be the distance weighted by surface area, which that edition does not use (case B: 44.02, not 44.60).
    """
    truth, prediction, spacing_mm = CASES["I"]()
    right = score_case(prediction, truth, spacing_mm, profile("brats2026-menpre"))["ET"]
    assert right.lesionwise_hausdorff95_mm == pytest.approx(np.sqrt(17.0))
    assert right.lesionwise_nsd[1.0] == pytest.approx(0.5809, abs=5e-5)
    reversed_spacing = score_case(prediction, truth, spacing_mm[::-1], profile("brats2026-menpre"))["ET"]
    assert reversed_spacing.lesionwise_hausdorff95_mm == 2.0


@pytest.mark.parametrize("challenge", ["brats2023-gli", "brats2023-men", "brats2023-met"])
def test_a_prediction_in_two_parts_is_scored_as_one_where_the_code_of_2023_stops(challenge: str) -> None:
    truth, prediction, spacing_mm = CASES["K"]()
    found = score_case(prediction, truth, spacing_mm, profile(challenge))["ET"]
    assert (found.true_positives, found.false_positives, found.false_negatives) == (1, 0, 0)
    assert found.lesionwise_dice == pytest.approx(0.951007, abs=1e-6)
    assert found.lesionwise_hausdorff95_mm == pytest.approx(np.sqrt(19.0))
