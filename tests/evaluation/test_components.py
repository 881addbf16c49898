"""Lesions are components as the challenges define them."""

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, generate_binary_structure

from oncoprompt.evaluation.components import Components, dilated, paired, touching

masks = arrays(np.bool_, (9, 8, 11), elements=st.sampled_from([False] * 30 + [True]), fill=st.just(False))


@settings(max_examples=30)
@given(masks, st.integers(0, 4))
def test_dilation_is_that_with_the_eighteen_neighbours(mask: NDArray[np.bool_], times: int) -> None:
    expected = binary_dilation(mask, generate_binary_structure(3, 2), iterations=times) if times else mask
    assert np.array_equal(dilated(mask, times), expected)


@settings(max_examples=30)
@given(masks, st.integers(0, 3))
def test_components_are_those_of_the_dilated_mask_in_the_scan(mask: NDArray[np.bool_], dilation: int) -> None:
    parts = Components.of(mask, dilation)
    expected = cc3d.connected_components(dilated(mask, dilation).astype(np.uint8), connectivity=26) * mask
    assert np.array_equal(parts.labels, expected)
    assert parts.voxels.sum() == mask.sum()
    for number, box in enumerate(parts.boxes, start=1):
        assert np.count_nonzero(parts.labels[box] == number) == parts.voxels[number - 1]


def test_small_components_go_and_the_rest_keep_their_order() -> None:
    mask = np.zeros((3, 3, 20), bool)
    mask[1, 1, [1, 4, 5, 6, 9, 12, 13]] = True
    kept = Components.of(mask).larger_than(1)
    assert kept.voxels.tolist() == [3, 2]
    assert kept.labels[1, 1, [1, 4, 9, 12]].tolist() == [0, 1, 0, 2]


def test_a_prediction_touches_every_lesion_whose_dilation_it_reaches() -> None:
    truth, prediction = np.zeros((5, 5, 20), bool), np.zeros((5, 5, 20), bool)
    truth[2, 2, [3, 9, 15]] = prediction[2, 2, 5:8] = True
    found = [touching(Components.of(truth), Components.of(prediction), dilation) for dilation in (1, 2)]
    assert found == [[[], [], []], [[1], [1], []]]


def test_pairs_have_the_largest_sum_of_dice_and_are_one_to_one() -> None:
    truth, prediction = np.zeros((3, 3, 30), bool), np.zeros((3, 3, 30), bool)
    truth[1, 1, 1:5] = truth[1, 1, 6:16] = prediction[1, 1, 3:12] = prediction[1, 1, 14:20] = True
    parts = Components.of(truth), Components.of(prediction)
    assert paired(*parts, smallest_dice=1e-6) == [[], [1]], "12/19 beats 4/13 + 4/16"
    assert paired(*parts, smallest_dice=0.9) == [[], []]
    assert paired(parts[0], Components.of(np.zeros_like(truth)), smallest_dice=1e-6) == [[], []]


@pytest.mark.parametrize("dilation", [0, 3])
def test_an_empty_mask_has_no_component(dilation: int) -> None:
    assert len(Components.of(np.zeros((1, 1, 1), bool), dilation)) == 0
