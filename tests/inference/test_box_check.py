"""Boxes in air, boxes that miss the tumour and boxes that cut through it are told apart from good ones."""

import numpy as np

from oncoprompt.inference.box_check import box_warnings, certainty
from oncoprompt.methods.interface import RegionProbabilities

SHAPE = (40, 40, 40)
BOX = np.array([[10, 20], [10, 20], [10, 20]])
HEAD = np.zeros(SHAPE, dtype=bool)
HEAD[5:] = True


def answer(where: tuple[slice, ...], probability: float = 0.99) -> RegionProbabilities:
    """A window that begins at voxel 5 with the whole tumour at these voxels of the scan."""
    values = np.zeros((3, *SHAPE), np.float32)
    values[0][where] = probability
    return RegionProbabilities(values[:, 5:35, 5:35, 5:35], (5, 5, 5))


def test_a_box_about_the_tumour_is_not_warned_of() -> None:
    assert box_warnings(BOX, answer(np.s_[11:19, 11:19, 11:19]), HEAD, 0.3) == []


def test_a_box_in_air_is_warned_of() -> None:
    air = np.array([[0, 5], [10, 20], [10, 20]])
    assert "air" in box_warnings(air, answer(np.s_[0:5, 11:19, 11:19]), HEAD)[0]


def test_a_box_without_tumour_is_warned_of() -> None:
    assert "miss" in box_warnings(BOX, answer(np.s_[25:30, 25:30, 25:30]), HEAD)[0]
    assert "miss" in box_warnings(BOX, answer(np.s_[0:0, 0:0, 0:0]), HEAD)[0]


def test_a_box_through_the_tumour_is_warned_of() -> None:
    assert "cuts" in box_warnings(BOX, answer(np.s_[15:30, 11:19, 11:19]), HEAD)[0]


def test_a_doubtful_tumour_is_warned_of_where_certainty_is_known() -> None:
    doubtful = answer(np.s_[11:19, 11:19, 11:19], probability=0.7)
    assert certainty(doubtful) == 0.0
    assert "may miss" in box_warnings(BOX, doubtful, HEAD, 0.3)[0]
    assert box_warnings(BOX, doubtful, HEAD) == []


def test_a_box_at_the_edge_of_what_was_looked_at_is_judged() -> None:
    assert box_warnings(np.array([[0, 12]] * 3), answer(np.s_[6:11, 6:11, 6:11]), HEAD, 0.3) == []
