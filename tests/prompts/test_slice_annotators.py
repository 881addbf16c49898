"""What simulated annotators draw of a target, and where they correct an answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.prompts.slice_annotators import (
    correcting_click,
    drawn_axes,
    drawn_box,
    drawn_volume_box,
    key_slice,
    marked_slices,
    worst_slices,
)

RNG = np.random.default_rng(0)


def ellipse(shape=(60, 70), centre=(30.0, 34.0), radii=(20.0, 8.0), degrees=0.0):
    """A filled ellipse [H, W]; radii along its own long and short axis, the long one turned from x towards y."""
    y, x = np.indices(shape).astype(float)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u = (x - centre[1]) * c + (y - centre[0]) * s
    v = -(x - centre[1]) * s + (y - centre[0]) * c
    return (u / radii[0]) ** 2 + (v / radii[1]) ** 2 <= 1


def stack():
    """A target on slices 2 to 12 of 16, largest on slice 7."""
    return np.stack([ellipse(radii=(r := max(18.0 - 3 * abs(z - 7), 0.5), r / 2)) & (2 <= z <= 12) for z in range(16)])


def length(segment) -> float:
    return float(np.linalg.norm(np.subtract(*segment)))


def test_a_box_without_jitter_is_tight_and_half_open() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:9, 11:17] = True
    assert drawn_box(mask, 0.0, RNG) == (11, 4, 17, 9)


@given(st.floats(0, 0.5), st.integers(0, 2**16))
def test_every_side_of_a_box_moves_by_at_most_the_share_of_its_length(jitter, seed) -> None:
    mask = np.zeros((50, 60), bool)
    mask[15:31, 12:44] = True
    moved = drawn_box(mask, jitter, np.random.default_rng(seed))
    for edge, tight, side in zip(moved, (12, 15, 44, 31), (32, 16, 32, 16), strict=True):
        assert abs(edge - tight) <= jitter * side + 0.5


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120])
def test_axes_of_an_ellipse_are_its_diameters_at_a_right_angle(degrees) -> None:
    long, short = drawn_axes(ellipse(degrees=degrees), 0.0, RNG)
    assert length(long) == pytest.approx(40, abs=2)
    assert length(short) == pytest.approx(16, abs=2)
    direction = np.subtract(*long) / length(long)
    assert abs(direction @ np.subtract(*short) / length(short)) < 0.1
    assert abs(abs(direction[0]) - abs(np.cos(np.radians(degrees)))) < 0.1


def test_axes_of_a_single_pixel_are_that_pixel() -> None:
    mask = np.zeros((9, 9), bool)
    mask[3, 5] = True
    assert drawn_axes(mask, 0.2, RNG) == (((5, 3), (5, 3)), ((5, 3), (5, 3)))


def test_ends_of_axes_move_with_jitter_but_not_far() -> None:
    mask = ellipse()
    still, moved = drawn_axes(mask, 0.0, RNG), drawn_axes(mask, 0.1, RNG)
    shift = np.abs(np.subtract(moved, still))
    assert shift.max() > 0.1
    assert shift[0].max() <= 0.1 * length(still[0])
    assert shift[1].max() <= 0.1 * length(still[1])


def test_a_box_in_three_dimensions_holds_slices_rows_and_columns() -> None:
    target = stack()
    ranges = drawn_volume_box(target, 0.0, RNG)
    assert ranges[0].tolist() == [2, 13]
    assert target[tuple(slice(*r) for r in ranges)].sum() == target.sum()


@pytest.mark.parametrize(("step", "slices"), [(1, range(2, 13)), (3, [2, 5, 8, 11, 12]), (99, [2, 12])])
def test_every_nth_slice_of_the_target_and_its_last_are_marked(step, slices) -> None:
    assert marked_slices(stack(), step) == list(slices)


def test_slices_without_the_target_are_never_marked() -> None:
    target = stack()
    target[5] = False
    assert all(target[z].any() for z in marked_slices(target, 3))


def test_the_key_slice_shows_the_most_of_the_target() -> None:
    assert key_slice(stack()) == 7


def test_slices_with_most_errors_come_first_and_right_ones_not_at_all() -> None:
    target = stack()
    answer = target.copy()
    answer[4, :3, :3] = True
    answer[7] = False
    answer[0, 1, 1] = True
    assert worst_slices(answer, target) == [7, 4, 0]
    assert worst_slices(target, target) == []


def test_a_click_lies_in_the_middle_of_the_largest_error_and_knows_its_side() -> None:
    target = np.zeros((40, 40), bool)
    target[10:21, 10:21] = True
    answer = np.zeros((40, 40), bool)
    answer[30:33, 30:33] = True
    assert correcting_click(answer, target) == ((15, 15), True)
    answer[10:21, 10:21] = True
    assert correcting_click(answer, target) == ((31, 31), False)
    assert correcting_click(target, target) is None


@pytest.mark.parametrize("draw", [drawn_box, drawn_axes])
def test_nothing_can_be_drawn_around_nothing(draw) -> None:
    with pytest.raises(InputError, match="empty"):
        draw(np.zeros((5, 5), bool), 0.1, RNG)
    with pytest.raises(InputError, match="empty"):
        drawn_volume_box(np.zeros((5, 5, 5), bool), 0.1, RNG)
