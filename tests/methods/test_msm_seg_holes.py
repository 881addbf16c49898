"""Holes: what tumour surrounds in a plane is tumour, and nothing else changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oncoprompt.methods.msm_seg.holes import fill_holes


def ring(region: int, gap: bool = False) -> np.ndarray:
    logits = np.full((3, 2, 12, 12), -3.0, dtype=np.float32)
    for outer in range(region + 1):
        logits[outer, 1, 2:10, 2:10] = 2.0
        logits[outer, 1, 4:8, 4:8] = -2.0
        if gap:
            logits[outer, 1, 5, 2:5] = -2.0
    return logits


def test_a_hole_in_the_core_becomes_core_and_whole_tumour() -> None:
    filled = fill_holes(ring(1))
    assert (filled[:2, 1, 4:8, 4:8] > 0).all()
    assert (filled[2] == ring(1)[2]).all()


def test_a_hole_in_the_whole_tumour_does_not_become_core() -> None:
    filled = fill_holes(ring(0))
    assert (filled[0, 1, 4:8, 4:8] > 0).all()
    assert (filled[1] < 0).all()


def test_necrosis_stays_outside_enhancing_tumour() -> None:
    assert (fill_holes(ring(2))[2] == ring(2)[2]).all()


def test_a_bay_is_not_a_hole() -> None:
    assert np.array_equal(fill_holes(ring(0, gap=True)), ring(0, gap=True))


@given(arrays(np.float32, (3, 2, 6, 6), elements=st.floats(-4, 4, width=32)))
def test_regions_stay_nested_and_nothing_shrinks(raw: np.ndarray) -> None:
    nested = np.minimum.accumulate(raw, axis=0)
    filled = fill_holes(nested)
    assert (filled >= nested).all()
    assert (filled[0] >= filled[1]).all()
    assert (filled[1] >= filled[2]).all()
