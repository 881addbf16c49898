"""Surface elements have the area of the surface between inside and outside."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oncoprompt.evaluation.surface import nearest_mm
from oncoprompt.evaluation.surface_elements import SurfaceElements, element_areas_mm2


def test_a_box_of_voxels_has_its_faces_its_bevelled_edges_and_its_cut_corners() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[2:7, 2:6, 2:5] = True
    i, j, k = 1.0, 2.0, 3.0
    faces = 2 * (4 * 3 * i * j + 4 * 2 * i * k + 3 * 2 * j * k)
    edges = 4 * (4 * i * np.hypot(j, k) + 3 * j * np.hypot(i, k) + 2 * k * np.hypot(i, j)) / 2
    corners = 8 * np.linalg.norm([j * k, i * k, i * j]) / 8
    found = SurfaceElements.of(mask, (i, j, k))
    assert found.areas_mm2.sum() == pytest.approx(faces + edges + corners)


def test_areas_turn_with_the_axes_and_are_those_of_the_outside() -> None:
    corners = np.indices((2, 2, 2)).reshape(3, 8)
    codes = np.arange(256)
    inside = codes[:, None] & (128 >> np.arange(8)) > 0
    for order in permutations(range(3)):
        moved = np.ravel_multi_index(tuple(corners[list(order)]), (2, 2, 2))
        turned = (inside[:, moved] * (128 >> np.arange(8))).sum(axis=1)
        areas = element_areas_mm2(*(float(np.array([1.0, 2.0, 5.0])[a]) for a in np.argsort(order)))
        assert areas[turned] == pytest.approx(element_areas_mm2(1.0, 2.0, 5.0)[codes])
    assert element_areas_mm2(1.0, 2.0, 5.0) == pytest.approx(element_areas_mm2(1.0, 2.0, 5.0)[::-1])
    assert np.count_nonzero(element_areas_mm2(1.0, 2.0, 5.0)) == 254


def test_far_specks_of_little_surface_do_not_move_the_distance() -> None:
    truth = np.zeros((60, 20, 20), bool)
    truth[5:17, 4:16, 4:16] = True
    prediction = truth.copy()
    prediction[55, 10, 10] = True
    scores = [SurfaceElements.of(m, (1.0, 1.0, 1.0)) for m in (prediction, truth)]
    assert scores[0].hausdorff95_mm(scores[1]) == 0.0
    prediction[50:56, 8:14, 8:14] = True
    assert SurfaceElements.of(prediction, (1.0, 1.0, 1.0)).hausdorff95_mm(scores[1]) > 30.0


@settings(max_examples=30)
@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=30),
    st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=30),
    st.sampled_from([1, 40]),
)
def test_the_nearest_is_the_nearest_near_and_far(
    points: list[tuple[int, int, int]], others: list[tuple[int, int, int]], apart: int
) -> None:
    spacing = np.array([0.7, 1.0, 3.0])
    p: NDArray[np.int64] = apart * np.array(points, dtype=np.int64).reshape(-1, 3)
    q: NDArray[np.int64] = apart * np.array(others, dtype=np.int64).reshape(-1, 3)
    apart_mm = np.linalg.norm((p[:, None] - q[None]) * spacing, axis=-1).min(axis=1, initial=np.inf)
    assert nearest_mm(p, q, spacing) == pytest.approx(apart_mm)
