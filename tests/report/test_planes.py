"""Slices are shown in radiological orientation, whatever the axis order of the scan."""

from itertools import permutations, product

import numpy as np
import pytest

from oncoprompt.geometry import Grid
from oncoprompt.report.planes import Plane, widest_planes

SPACING = (1.0, 2.0, 3.0)
POINTS_MM = {
    "R": (20.0, 0, 0),
    "L": (-20.0, 0, 0),
    "A": (0, 20.0, 0),
    "P": (0, -20.0, 0),
    "S": (0, 0, 20.0),
    "I": (0, 0, -20.0),
}


def _grid(order: tuple[int, ...], signs: tuple[int, ...]) -> Grid:
    """A grid of 48 x 24 x 16 voxels (or a permutation) around the world's origin."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    shape = [0, 0, 0]
    for world, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * SPACING[world]
        shape[axis] = (49, 25, 17)[world]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


ALL_ORDERS = [_grid(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def _marked(grid: Grid, direction: str) -> np.ndarray:
    volume = np.zeros(grid.shape, dtype=bool)
    i, j, k = np.rint(grid.to_voxels([POINTS_MM[direction]])[0]).astype(int)
    volume[i, j, k] = True
    return volume


@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_the_edges_of_the_picture_lie_where_they_are_named_for_every_axis_order(name):
    across = {"axial": 2, "coronal": 1, "sagittal": 0}[name]
    for grid in ALL_ORDERS:
        plane = Plane(name, grid.canonical().shape[across] // 2, grid)
        left, right, top, bottom = (np.argwhere(plane.cut(_marked(grid, edge)))[0] for edge in plane.edges)
        assert left[1] < right[1]
        assert top[0] < bottom[0]
        assert left[0] == right[0]
        assert top[1] == bottom[1]


@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_pixels_are_shown_with_the_aspect_of_their_millimetres(name):
    expected = {"axial": 2.0, "coronal": 3.0, "sagittal": 1.5}[name]
    for grid in ALL_ORDERS:
        assert Plane(name, 0, grid).aspect == pytest.approx(expected)


def test_the_voxel_index_shown_is_the_scans_own():
    for grid in ALL_ORDERS:
        volume = np.zeros(grid.shape, dtype=bool)
        volume[3, 5, 7] = True
        for plane in widest_planes({"WT": volume}, grid):
            assert plane.cut(volume).sum() == 1
            letter, index = plane.voxel.split(" = ")
            assert int(index) == {"i": 3, "j": 5, "k": 7}[letter]


def test_the_slice_shown_is_where_the_tumour_is_widest():
    grid = _grid((0, 1, 2), (1, 1, 1))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[10:20, 5:9, 4:6] = True
    mask[10:25, 5:12, 11] = True
    axial = widest_planes({"truth WT": np.zeros(grid.shape), "WT": mask}, grid)[0]
    assert axial.index == 11


def test_without_any_mask_the_middle_is_shown():
    grid = _grid((0, 1, 2), (1, 1, 1))
    assert [plane.index for plane in widest_planes({}, grid)] == [8, 12, 24]
