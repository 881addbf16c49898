"""What a look at the whole scan hands on: one box a lesion, near parts joined, specks left out."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, find_objects, label

from oncoprompt.inference.search import places_of_interest

SPACING = (1.0, 1.0, 2.0)


def brain_with(*boxes: tuple[slice, slice, slice], probability: float = 0.9) -> np.ndarray:
    seen = np.zeros((60, 60, 30), dtype=np.float32)
    for box in boxes:
        seen[box] = probability
    return seen


BIG = (slice(5, 15), slice(5, 15), slice(5, 12))
SMALL = (slice(40, 46), slice(40, 46), slice(20, 25))
NEAR_BIG = (slice(20, 24), slice(6, 12), slice(6, 10))
SPECK = (slice(50, 52), slice(5, 7), slice(5, 7))


def test_each_lesion_has_its_own_box_a_tenth_larger_on_every_side_largest_first() -> None:
    places = places_of_interest(brain_with(BIG, SMALL), SPACING)
    assert [p.tolist() for p in places] == [[[4, 16], [4, 16], [4, 13]], [[39, 47], [39, 47], [19, 26]]]


def test_parts_near_each_other_are_one_lesion() -> None:
    places = places_of_interest(brain_with(BIG, NEAR_BIG), SPACING)
    assert [p.tolist() for p in places] == [[[3, 26], [4, 16], [4, 13]]]


def test_specks_and_empty_masks_give_no_place() -> None:
    assert len(places_of_interest(brain_with(BIG, SPECK), SPACING)) == 1
    assert places_of_interest(brain_with(), SPACING) == []


def test_a_lesion_reaches_as_far_as_tumour_is_at_all_likely() -> None:
    seen = np.maximum(brain_with(SMALL), brain_with((slice(38, 48), slice(40, 46), slice(20, 25)), probability=0.1))
    assert [p.tolist() for p in places_of_interest(seen, SPACING)] == [[[37, 49], [39, 47], [19, 26]]]


def test_what_looks_a_little_like_tumour_in_most_places_is_no_lesion() -> None:
    faint = brain_with(BIG, probability=0.3)
    assert places_of_interest(faint, SPACING) == []
    seen = np.maximum(faint, brain_with((slice(5, 10), slice(5, 10), slice(5, 8))))
    assert places_of_interest(seen, SPACING) == []


def test_a_click_chooses_the_lesion_it_hits_and_a_click_on_nothing_a_cube_about_itself() -> None:
    seen = brain_with(BIG, SMALL)
    hit = places_of_interest(seen, SPACING, [np.array([42, 42, 22])])
    assert [p.tolist() for p in hit] == [[[39, 47], [39, 47], [19, 26]]]
    missed = places_of_interest(seen, SPACING, [np.array([0, 59, 29])])
    assert [p.tolist() for p in missed] == [[[0, 26], [34, 60], [16, 30]]]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.0), (0.7, 3.0, 11.0), (2.5, 2.5, 2.5)])
def test_lesions_are_joined_as_by_growing_all_of_the_scan(spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    seen = np.zeros((50, 40, 30), dtype=np.float32)
    for corner in rng.integers(0, (44, 34, 24), (7, 3)):
        seen[tuple(slice(low, low + 5) for low in corner)] = 0.9
    reach = [round(5.0 / mm) for mm in spacing]
    grown = binary_dilation(seen > 0, np.ones([2 * r + 1 for r in reach]))
    parts = label(grown, np.ones((3, 3, 3)))[0] * (seen > 0)
    expected = []
    for part in find_objects(parts):
        size = np.array([side.stop - side.start for side in part])
        low = np.array([side.start for side in part]) - np.ceil(0.1 * size)
        high = np.array([side.stop for side in part]) + np.ceil(0.1 * size)
        expected.append(np.stack([np.maximum(low, 0), np.minimum(high, seen.shape)], axis=1).astype(int).tolist())
    assert sorted(place.tolist() for place in places_of_interest(seen, spacing)) == sorted(expected)
