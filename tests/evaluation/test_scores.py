"""Scores agree with values worked out by hand and with a second library."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_hausdorff_distance
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.evaluation import dice, evaluate_regions, hausdorff95_mm, normalised_surface_dice

masks = arrays(np.bool_, (4, 5, 6))


def ball(centre: tuple[float, ...], radius: float, size: int = 64) -> NDArray[np.bool_]:
    grid = np.indices((size,) * 3).transpose(1, 2, 3, 0)
    return np.asarray(np.linalg.norm(grid - np.asarray(centre), axis=-1) <= radius)


def test_a_ball_shifted_by_two_voxels_has_the_published_scores() -> None:
    truth, prediction = ball((32, 32, 32), 8), ball((34, 32, 32), 8)
    assert dice(prediction, truth) == pytest.approx(0.8151, abs=5e-5)
    assert hausdorff95_mm(prediction, truth, (1.0, 1.0, 1.0)) == pytest.approx(2.0)
    assert normalised_surface_dice(prediction, truth, (1.0, 1.0, 1.0), 1.0) == pytest.approx(0.5809, abs=5e-5)
    assert normalised_surface_dice(prediction, truth, (1.0, 1.0, 1.0), 0.5) == pytest.approx(0.2706, abs=5e-5)


def test_distances_are_in_millimetres_along_each_axis() -> None:
    one, other = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    one[4, 4, 2] = other[4, 4, 5] = True
    assert hausdorff95_mm(one, other, (1.0, 2.0, 3.0)) == 9.0
    assert hausdorff95_mm(one.T, other.T, (1.0, 2.0, 3.0)) == 3.0


def test_empty_masks_have_the_documented_scores() -> None:
    empty, full = np.zeros((3, 3, 3)), np.ones((3, 3, 3))
    assert dice(empty, empty) == 1.0
    assert dice(full, empty) == dice(empty, full) == 0.0
    assert hausdorff95_mm(empty, empty, (1, 1, 1)) == 0.0
    assert hausdorff95_mm(full, empty, (1, 1, 1)) == hausdorff95_mm(empty, full, (1, 1, 1)) == np.inf
    assert normalised_surface_dice(empty, empty, (1, 1, 1)) == 1.0
    assert normalised_surface_dice(full, empty, (1, 1, 1)) == 0.0


@settings(max_examples=40)
@given(masks, masks)
def test_scores_are_symmetric_and_perfect_only_for_equal_masks(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> None:
    assert dice(a, b) == dice(b, a)
    assert (dice(a, b) == 1.0) == np.array_equal(a, b)
    assert hausdorff95_mm(a, b, (1.0, 2.0, 3.0)) == hausdorff95_mm(b, a, (1.0, 2.0, 3.0))
    assert normalised_surface_dice(a, a, (1.0, 2.0, 3.0), 0.0) == 1.0


@settings(max_examples=25)
@given(masks, masks, st.sampled_from([(1.0, 1.0, 1.0), (0.5, 1.0, 3.0)]))
def test_hausdorff_agrees_with_monai(a: NDArray[np.bool_], b: NDArray[np.bool_], spacing: tuple[float, ...]) -> None:
    a[0, 0, 0] = b[1, 1, 1] = True
    expected = compute_hausdorff_distance(
        torch.from_numpy(a)[None, None].float(), torch.from_numpy(b)[None, None].float(),
        include_background=True, percentile=95, spacing=list(spacing),
    )  # fmt: skip
    assert hausdorff95_mm(a, b, spacing) == pytest.approx(float(expected), abs=1e-4)


def test_every_region_is_scored_and_a_missing_one_refused() -> None:
    truth = {"WT": ball((32, 32, 32), 8), "ET": ball((32, 32, 32), 4)}
    scores = evaluate_regions({"WT": truth["WT"], "ET": np.zeros((64,) * 3)}, truth, (1.0, 1.0, 2.0))
    assert scores["WT"].dice == scores["WT"].surface_dice == 1.0
    assert scores["WT"].volume_ml == scores["WT"].truth_volume_ml == pytest.approx(truth["WT"].sum() * 0.002)
    assert (scores["ET"].dice, scores["ET"].hausdorff95_mm, scores["ET"].volume_ml) == (0.0, np.inf, 0.0)
    with pytest.raises(InputError, match="no region ET"):
        evaluate_regions({"WT": truth["WT"]}, truth, (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="shape"):
        dice(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(InputError, match="do not fit"):
        hausdorff95_mm(np.ones((2, 2, 2)), np.ones((2, 2, 3)), (1, 1, 1))
