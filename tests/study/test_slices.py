"""Slices are the scan's own voxels in radiological order, and everything finds its way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry.grids import AXIS_ORDERS, grid_of, grids
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study.slices import PLANES, SliceStack, thin_axis, usual_plane


def numbered(grid: Grid) -> np.ndarray:
    return np.arange(np.prod(grid.shape)).reshape(grid.shape)


@given(grids(), st.sampled_from(PLANES))
def test_volumes_come_back_from_slices_bit_for_bit_for_every_axis_order(grid, plane):
    stack, volume = SliceStack.across(grid, plane), numbered(grid)
    slices = stack.slices(volume)
    assert slices.shape == stack.shape
    np.testing.assert_array_equal(stack.volume(slices), volume)


@given(grids(min_size=2), st.sampled_from(PLANES), st.data())
def test_boxes_and_clicks_mark_the_same_voxels_in_slices_and_volume(grid, plane, data):
    stack = SliceStack.across(grid, plane)
    lows = [data.draw(st.integers(0, size - 1)) for size in grid.shape]
    highs = [data.draw(st.integers(low + 1, size)) for low, size in zip(lows, grid.shape, strict=True)]
    voxels = np.stack([lows, highs], axis=1)
    volume = np.zeros(grid.shape, bool)
    volume[tuple(slice(*pair) for pair in voxels)] = True
    ranges = stack.ranges(voxels)
    marked = np.zeros(stack.shape, bool)
    marked[tuple(slice(*pair) for pair in ranges)] = True
    np.testing.assert_array_equal(stack.slices(volume), marked)
    np.testing.assert_array_equal(stack.voxels(ranges), voxels)
    first = np.asarray(lows)
    index, row, column = stack.pixel(first)
    assert stack.slices(numbered(grid))[index, row, column] == numbered(grid)[tuple(lows)]
    np.testing.assert_array_equal(stack.voxel(index, row, column), first)


@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS)
@pytest.mark.parametrize(
    ("plane", "down", "right"), [("axial", [0, -1, 0], [-1, 0, 0]), ("coronal", [0, 0, -1], [-1, 0, 0])]
)
def test_rows_run_to_posterior_or_inferior_and_columns_to_the_patients_left(order, signs, plane, down, right):
    grid = grid_of(order, signs)
    stack = SliceStack.across(grid, plane)
    here, below, beside = (grid.to_world(stack.voxel(2, *at)) for at in ((3, 4), (4, 4), (3, 5)))
    np.testing.assert_array_equal(np.sign(np.round(below - here, 6)), down)
    np.testing.assert_array_equal(np.sign(np.round(beside - here, 6)), right)


@given(grids(min_size=2, oblique=False))
def test_the_usual_plane_is_across_the_largest_spacing(grid):
    spacing = SliceStack.across(grid).spacing_mm
    assert spacing[0] * 1.01 >= max(spacing)


def test_the_usual_plane_is_axial_where_spacings_are_equal_and_never_cuts_a_slice_into_lines():
    assert usual_plane(grid_of((2, 0, 1), (1.0, -1.0, 1.0), spacing=(1.0, 1.0, 1.0))) == "axial"
    assert usual_plane(grid_of((0, 1, 2), (1.0, 1.0, 1.0), spacing=(5.0, 1.0, 1.0))) == "sagittal"
    assert usual_plane(grid_of((0, 1, 2), (1.0, 1.0, 1.0), shape=(9, 1, 9), spacing=(5.0, 1.0, 1.0))) == "coronal"


def test_a_scan_is_thin_along_its_last_axis_of_one_voxel():
    assert thin_axis(grid_of((0, 1, 2), (1.0, 1.0, 1.0))) is None
    assert thin_axis(grid_of((0, 1, 2), (1.0, 1.0, 1.0), shape=(7, 1, 9))) == 1
    assert thin_axis(grid_of((0, 1, 2), (1.0, 1.0, 1.0), shape=(1, 9, 1))) == 2


def test_unknown_planes_and_other_shapes_are_refused():
    grid = grid_of((0, 1, 2), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="axial, coronal, sagittal"):
        SliceStack.across(grid, "oblique")
    with pytest.raises(InputError, match="shape"):
        SliceStack.across(grid).slices(np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="shape"):
        SliceStack.across(grid).volume(np.zeros((2, 2, 2)))
