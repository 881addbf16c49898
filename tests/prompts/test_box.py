"""A box means the same place on every grid, and a bad one is refused with what would be good."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geometry.grids import AXIS_ORDERS, grid_of, grids
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, resample, roi_grid
from oncoprompt.prompts import Box

plain = Grid((10, 12, 14), np.eye(4))


@st.composite
def grids_with_boxes(draw: st.DrawFn) -> tuple[Grid, NDArray[np.int64]]:
    grid = draw(grids(max_size=30))
    low = [draw(st.integers(0, size - 1)) for size in grid.shape]
    high = [draw(st.integers(start + 1, size)) for start, size in zip(low, grid.shape, strict=True)]
    return grid, np.stack([low, high], axis=1)


@settings(max_examples=40)
@given(grids_with_boxes())
def test_voxels_to_world_and_back_is_exact_on_any_grid(case: tuple[Grid, NDArray[np.int64]]) -> None:
    grid, voxels = case
    box = Box.from_voxels(voxels, grid)
    assert np.array_equal(box.to_voxels(grid), voxels)
    assert box == Box.from_voxels(voxels.tolist(), grid)
    volume = abs(np.linalg.det(np.asarray(box.edges_mm)))
    assert volume == pytest.approx(np.prod(voxels[:, 1] - voxels[:, 0]) * grid.voxel_volume_ml * 1000)
    assert np.allclose(box.centre_mm, box.corners_mm.mean(axis=0))


@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS)
def test_a_box_holds_the_same_voxels_after_any_change_of_axis_order(
    order: tuple[int, ...], signs: tuple[float, ...]
) -> None:
    grid = grid_of(order, signs, rotation=(7.0, -3.0, 11.0))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[2:5, 3:4, 6:11] = True
    box = Box.around(mask, grid)
    assert box.to_voxels(grid).tolist() == [[2, 5], [3, 4], [6, 11]]
    canonical = grid.canonical()
    moved = resample(mask, grid, canonical, order=0)
    assert np.array_equal(box.to_voxels(canonical), Box.around(moved, canonical).to_voxels(canonical))


@settings(max_examples=40)
@given(grids_with_boxes())
def test_the_box_on_another_grid_holds_all_of_it(case: tuple[Grid, NDArray[np.int64]]) -> None:
    grid, voxels = case
    box = Box.from_voxels(voxels, grid)
    other = roi_grid(grid, voxels, 2.0, multiple=4)
    found = box.to_voxels(other)
    corners = other.to_voxels(box.corners_mm) + 0.5
    assert np.all(found[:, 0] <= corners.min(axis=0) + 2e-3)
    assert np.all(found[:, 1] >= corners.max(axis=0) - 2e-3)


def test_the_upper_end_is_not_part_of_the_box() -> None:
    box = Box.from_voxels([[0, 1], [0, 2], [0, 3]], plain)
    assert box.corner_mm == (-0.5, -0.5, -0.5)
    assert np.allclose(box.corners_mm.max(axis=0), (0.5, 1.5, 2.5))
    assert len({box, Box.from_voxels([[0, 1], [0, 2], [0, 3]], plain)}) == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("ends", [[5, 5], [6, 2]])
def test_an_inverted_or_empty_box_is_refused_with_its_axis(axis: int, ends: list[int]) -> None:
    box = [[0, 4], [0, 4], [0, 4]]
    box[axis] = ends
    with pytest.raises(InputError, match=f"along {'ijk'[axis]}.*half-open"):
        Box.from_voxels(box, plain)


@pytest.mark.parametrize("ends", [[10, 12], [-4, 0], [10**30, 10**31]])
def test_a_box_outside_the_scan_is_refused_with_the_valid_range(ends: list[int]) -> None:
    with pytest.raises(InputError, match=r"outside the scan.*\[\[0, 10\], \[0, 12\], \[0, 14\]\]"):
        Box.from_voxels([ends, [0, 4], [0, 4]], plain)


def test_a_box_partly_outside_is_clipped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        box = Box.from_voxels([[-3, 4], [0, 4], [9, 99]], plain)
    assert box.to_voxels(plain).tolist() == [[0, 4], [0, 4], [9, 14]]
    assert "clipped to [[0, 4], [0, 4], [9, 14]]" in caplog.text


def test_a_box_inside_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    Box.from_voxels([[0, 10], [0, 12], [0, 14]], plain).to_voxels(plain)
    assert not caplog.records


def test_a_box_far_from_another_scan_is_refused_there() -> None:
    far = np.eye(4)
    far[0, 3] = 500.0
    with pytest.raises(InputError, match="outside the scan"):
        Box.from_voxels([[0, 4]] * 3, plain).to_voxels(Grid((5, 5, 5), far))


@pytest.mark.parametrize(
    "voxels",
    [[[0, 1], [0, 1]], [0, 1, 0, 1, 0, 1], [[0, 1.5], [0, 1], [0, 1]], [[0, np.nan]] * 3, "box", [[0], [1, 2]]],
)
def test_anything_but_six_whole_numbers_is_refused(voxels: object) -> None:
    with pytest.raises(InputError, match="six whole numbers"):
        Box.from_voxels(voxels, plain)  # type: ignore[arg-type]


def test_around_an_empty_or_foreign_mask_is_refused() -> None:
    with pytest.raises(InputError, match="mask is empty"):
        Box.around(np.zeros(plain.shape), plain)
    with pytest.raises(InputError, match="shape"):
        Box.around(np.ones((2, 2, 2)), plain)
