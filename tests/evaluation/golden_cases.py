"""The eleven pairs of volumes that the organisers' code was run on."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Pair = tuple[Labels, Labels, tuple[float, float, float]]

_AXES = np.ogrid[:64, :64, :64]
_MM = (1.0, 1.0, 1.0)


def ball(centre: tuple[int, int, int], radius: int) -> NDArray[np.bool_]:
    """Voxels up to a radius from a voxel, in voxels."""
    return np.asarray(sum((axis - c) ** 2 for axis, c in zip(_AXES, centre, strict=True)) <= radius**2)


def bar(*bounds: tuple[int, int]) -> NDArray[np.bool_]:
    """Voxels between half-open bounds."""
    inside = [(axis >= low) & (axis < high) for axis, (low, high) in zip(_AXES, bounds, strict=True)]
    return np.asarray(inside[0] & inside[1] & inside[2])


def enhancing(*masks: NDArray[np.bool_]) -> Labels:
    """Label 3 wherever a mask is."""
    labels = np.zeros((64, 64, 64), np.uint8)
    for mask in masks:
        labels[mask] = 3
    return labels


def nested(i: int) -> Labels:
    """Oedema of radius 12, enhancing tumour of radius 8 in it, a core of radius 4 in that."""
    labels = np.zeros((64, 64, 64), np.uint8)
    for radius, value in ((12, 2), (8, 3), (4, 1)):
        labels[ball((i, 30, 30), radius)] = value
    return labels


def _shifted() -> Pair:
    return enhancing(ball((30, 30, 30), 8)), enhancing(ball((32, 30, 30), 8)), _MM


def _hit_miss_spurious() -> Pair:
    hit = ball((16, 16, 16), 6)
    return enhancing(hit, ball((48, 48, 48), 6)), enhancing(hit, ball((16, 48, 16), 5)), _MM


def _one_of_two_near() -> Pair:
    hit = bar((20, 26), (20, 26), (20, 26))
    return enhancing(hit, bar((30, 36), (20, 26), (20, 26))), enhancing(hit), _MM


def _both_empty() -> Pair:
    return enhancing(), enhancing(), _MM


def _truth_empty() -> Pair:
    return enhancing(), enhancing(ball((30, 30, 30), 6)), _MM


def _prediction_empty() -> Pair:
    return enhancing(ball((30, 30, 30), 6)), enhancing(), _MM


def _tiny_missed() -> Pair:
    hit = ball((20, 20, 20), 8)
    return enhancing(hit, bar((50, 53), (50, 53), (50, 53))), enhancing(hit), _MM


def _bridged() -> Pair:
    two = enhancing(ball((20, 32, 32), 6), ball((44, 32, 32), 6))
    return two, np.maximum(two, enhancing(bar((20, 45), (31, 34), (31, 34)))), _MM


def _thick_slices() -> Pair:
    return enhancing(ball((30, 30, 30), 8)), enhancing(ball((30, 30, 32), 8)), (1.0, 1.0, 3.0)


def _nested_shifted() -> Pair:
    return nested(30), nested(31), _MM


def _split() -> Pair:
    whole = enhancing(ball((30, 30, 30), 8))
    halves = whole.copy()
    halves[30] = 0
    return whole, halves, _MM


CASES: dict[str, Callable[[], Pair]] = {
    "A": _shifted,
    "B": _hit_miss_spurious,
    "C": _one_of_two_near,
    "D": _both_empty,
    "E": _truth_empty,
    "F": _prediction_empty,
    "G": _tiny_missed,
    "H": _bridged,
    "I": _thick_slices,
    "J": _nested_shifted,
    "K": _split,
}
"""Truth, prediction and spacing by the letter of the case."""
