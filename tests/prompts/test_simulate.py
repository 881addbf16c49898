"""Simulated users err as much as they are told to, and reproducibly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.prompts import jitter_box, random_clicks

SHAPE = (40, 50, 60)
sides = st.tuples(*[st.tuples(st.integers(0, size - 1), st.integers(1, size)) for size in SHAPE]).map(
    lambda ends: [[min(a, b - 1), max(a + 1, b)] for a, b in ends]
)


@settings(max_examples=40)
@given(sides, st.floats(0.0, 0.9), st.integers(0, 2**32))
def test_a_jittered_box_is_a_box_on_the_grid_with_sides_moved_by_at_most_the_fraction(
    box: list[list[int]], fraction: float, seed: int
) -> None:
    moved = jitter_box(box, fraction, np.random.default_rng(seed), SHAPE)
    assert moved.dtype == np.int64
    assert np.all(moved[:, 0] >= 0)
    assert np.all(moved[:, 1] <= SHAPE)
    assert np.all(moved[:, 1] - moved[:, 0] >= 1)
    if fraction < 0.5:
        side = np.diff(box, axis=1)
        assert np.all(np.abs(moved - np.asarray(box)) <= fraction * side + 1)
    assert np.array_equal(moved, jitter_box(box, fraction, np.random.default_rng(seed), SHAPE))


@settings(max_examples=40)
@given(sides, st.integers(0, 1000))
def test_no_jitter_moves_nothing(box: list[list[int]], seed: int) -> None:
    assert jitter_box(box, 0.0, np.random.default_rng(seed), SHAPE).tolist() == box


def test_sides_move_inwards_as_often_as_outwards_and_independently() -> None:
    rng = np.random.default_rng(0)
    box = np.array([[10, 30], [15, 35], [20, 40]])
    moves = np.stack([jitter_box(box, 0.2, rng, SHAPE) - box for _ in range(2000)]).reshape(2000, 6)
    assert np.abs(moves.mean(axis=0)).max() < 0.25
    assert moves.min() == -4
    assert moves.max() == 4
    correlation = np.corrcoef(moves.T) - np.eye(6)
    assert np.abs(correlation).max() < 0.1


@pytest.mark.parametrize(
    ("box", "fraction"),
    [([[5, 5], [0, 1], [0, 1]], 0.1), ([[40, 41], [0, 1], [0, 1]], 0.1), ([[0, 1]] * 3, -0.1), ([[0, 1]] * 3, np.nan)],
)
def test_impossible_requests_are_refused(box: list[list[int]], fraction: float) -> None:
    with pytest.raises(InputError):
        jitter_box(box, fraction, np.random.default_rng(0), SHAPE)


def test_clicks_fall_inside_the_mask_and_do_not_repeat_while_they_need_not() -> None:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[3:6, 4:6, 5:7] = 1
    clicks = random_clicks(mask, 12, np.random.default_rng(0))
    assert mask[tuple(clicks.T)].all()
    assert len(np.unique(clicks, axis=0)) == 12
    assert random_clicks(mask, 30, np.random.default_rng(0)).shape == (30, 3)
    assert np.array_equal(clicks, random_clicks(mask, 12, np.random.default_rng(0)))
    with pytest.raises(InputError, match="0 voxels"):
        random_clicks(np.zeros(SHAPE), 1, np.random.default_rng(0))
