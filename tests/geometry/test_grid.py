"""A grid says where voxels are, and refuses what has no place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from nibabel.orientations import aff2axcodes

from geometry.grids import AXIS_ORDERS, axis_matrix, grid_of, grids
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, roi_grid

identity = np.eye(4)


@settings(max_examples=40)
@given(grids(), st.lists(st.tuples(*[st.floats(-50, 300)] * 3), min_size=1, max_size=5))
def test_world_and_voxel_coordinates_are_inverse(grid: Grid, voxels: list[tuple[float, float, float]]) -> None:
    assert np.allclose(grid.to_voxels(grid.to_world(voxels)), voxels, atol=1e-7)
    assert np.allclose(grid.to_world(voxels), apply_affine(grid.affine, voxels))


@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS)
def test_canonical_grid_is_ras_and_holds_the_same_voxels_for_every_axis_order(
    order: tuple[int, ...], signs: tuple[float, ...]
) -> None:
    grid = grid_of(order, signs, rotation=(5.0, -8.0, 3.0))
    canonical = grid.canonical()
    assert canonical.axis_codes == ("R", "A", "S")
    assert grid.axis_codes == aff2axcodes(grid.affine)
    assert np.prod(canonical.shape) == np.prod(grid.shape)
    voxels = grid.to_voxels(canonical.to_world([(0, 0, 0), np.subtract(canonical.shape, 1)]))
    assert np.allclose(voxels, np.round(voxels), atol=1e-9)
    assert np.allclose(np.sort(voxels, axis=0), [(0, 0, 0), np.subtract(grid.shape, 1)], atol=1e-9)


def test_spacing_volume_and_codes_of_an_anisotropic_grid() -> None:
    grid = grid_of((1, 2, 0), (-1.0, 1.0, 1.0), spacing=(0.5, 2.0, 3.0))
    assert grid.spacing_mm == pytest.approx((0.5, 2.0, 3.0))
    assert grid.voxel_volume_ml == pytest.approx(0.003)
    assert grid.axis_codes == ("P", "S", "R")


def test_grids_match_within_a_hundredth_of_a_voxel() -> None:
    moved = identity.copy()
    moved[0, 3] = 9e-3
    far = identity.copy()
    far[0, 3] = 1.1e-2
    grid = Grid((2, 3, 4), identity)
    assert grid.matches(Grid((2, 3, 4), moved))
    assert not grid.matches(Grid((2, 3, 4), far))
    assert not grid.matches(Grid((2, 3, 5), identity))


def test_a_grid_cannot_be_changed_through_the_array_it_was_made_from() -> None:
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine)
    affine[0, 0] = 7.0
    assert grid.affine[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 7.0
    assert grid == Grid((2, 2, 2), np.eye(4))
    assert len({grid, Grid((2, 2, 2), np.eye(4)), Grid((2, 2, 3), np.eye(4))}) == 2


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 0), (2, 3, -1), (2.0, 3, 4), (1, 2, 3, 4), None])
def test_a_shape_that_is_not_three_positive_integers_is_refused(shape: object) -> None:
    with pytest.raises(InputError, match="three positive integers"):
        Grid(shape, identity)  # type: ignore[arg-type]


def test_a_sheared_affine_is_refused_with_its_worst_angle() -> None:
    sheared = np.eye(4)
    sheared[0, 1] = np.tan(np.radians(3.0))
    with pytest.raises(InputError, match=r"worst angle is 3\.00 degrees.*Resample"):
        Grid((2, 2, 2), sheared)


def test_rounding_in_a_header_is_not_shear() -> None:
    rounded = grid_of((0, 1, 2), (1.0, 1.0, 1.0), rotation=(11.0, 7.0, -4.0)).affine.round(4)
    assert Grid((2, 2, 2), rounded).shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.full((4, 4), np.nan), "finite"),
        (np.eye(3), "4x4"),
        (np.zeros((4, 4)), "last row"),
        (np.diag([1.0, 0.0, 1.0, 1.0]), "degenerate"),
        (np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "degenerate"),
    ],
)
def test_an_affine_without_a_place_in_the_world_is_refused(affine: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Grid((2, 2, 2), affine)


@settings(max_examples=60)
@given(grids(min_size=2), st.floats(0.5, 4.0), st.sampled_from([1, 8, 16]), st.data())
def test_a_region_grid_is_isotropic_canonical_and_covers_the_box(
    grid: Grid, spacing: float, multiple: int, data: st.DataObject
) -> None:
    low = [data.draw(st.integers(0, size - 1)) for size in grid.shape]
    high = [data.draw(st.integers(start + 1, size)) for start, size in zip(low, grid.shape, strict=True)]
    region = roi_grid(grid, np.stack([low, high], axis=1), spacing, multiple)
    assert region.spacing_mm == pytest.approx((spacing,) * 3)
    assert region.axis_codes == ("R", "A", "S")
    assert all(size % multiple == 0 and size >= multiple for size in region.shape)
    corners = np.array([[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    inside = region.to_voxels(grid.to_world(corners - 0.5))
    slack = 1e-5 * max(region.shape)
    assert np.all(inside >= -0.5 - slack)
    assert np.all(inside <= np.asarray(region.shape) - 0.5 + slack)
    centre = region.to_world((np.asarray(region.shape) - 1) / 2)
    assert np.allclose(centre, grid.to_world((np.add(low, high) - 1) / 2), atol=1e-6)


def test_a_region_grid_is_no_larger_than_the_box_rounded_up() -> None:
    grid = Grid((240, 240, 155), np.diag([1.0, 1.0, 1.0, 1.0]))
    assert roi_grid(grid, [[0, 96], [10, 107], [5, 6]], 1.0).shape == (96, 104, 8)
    assert roi_grid(grid, [[0, 96], [10, 107], [5, 6]], 1.5, multiple=1).shape == (64, 65, 1)


@pytest.mark.parametrize("box", [[[3, 3], [0, 1], [0, 1]], [[0, 1], [0, 1]], [[0, np.nan], [0, 1], [0, 1]]])
def test_a_region_grid_of_a_bad_box_is_refused(box: list[list[float]]) -> None:
    with pytest.raises(InputError, match="box"):
        roi_grid(Grid((4, 4, 4), identity), box, 1.0)


@pytest.mark.parametrize("spacing", [0.0, -1.0, np.inf])
def test_a_region_grid_of_a_bad_spacing_is_refused(spacing: float) -> None:
    with pytest.raises(InputError, match="positive"):
        roi_grid(Grid((4, 4, 4), identity), [[0, 2]] * 3, spacing)


def test_axis_matrices_cover_left_and_right_handed_grids() -> None:
    hands = [np.linalg.det(axis_matrix(*axes)) for axes in AXIS_ORDERS]
    assert len(hands) == 48
    assert sum(hand < 0 for hand in hands) == 24


@settings(max_examples=40)
@given(grids(), st.lists(st.tuples(st.integers(-5, 9), st.integers(1, 9)), min_size=3, max_size=3))
def test_a_part_of_a_grid_has_its_voxels_where_the_grid_has_them(grid: Grid, ranges: list[tuple[int, int]]) -> None:
    low = np.asarray([start for start, _ in ranges])
    part = grid.part([(start, start + size) for start, size in ranges])
    assert part.shape == tuple(size for _, size in ranges)
    last = np.subtract(part.shape, 1)
    assert np.allclose(part.to_world([(0, 0, 0), last]), grid.to_world([low, low + last]), atol=1e-6)


@settings(max_examples=40)
@given(grids(min_size=3), st.integers(0, 3))
def test_a_grid_reaches_its_own_parts_and_no_further_than_asked_and_than_itself(grid: Grid, more: int) -> None:
    shape = np.asarray(grid.shape)
    inner = np.stack([np.ones(3, dtype=int), shape - 1], axis=1)
    bounds = grid.reach([grid.part(inner)], before=more, after=more)
    # a corner that rounds to the next voxel's may add one
    assert (bounds[:, 0] <= np.maximum(inner[:, 0] - more, 0)).all()
    assert (bounds[:, 0] >= np.maximum(inner[:, 0] - more - 1, 0)).all()
    assert (bounds[:, 1] >= np.minimum(inner[:, 1] + more - 1, shape)).all()
    assert (bounds[:, 1] <= np.minimum(inner[:, 1] + more + 1, shape)).all()


def test_a_grid_reaches_one_voxel_at_least_of_what_lies_beside_it() -> None:
    grid = Grid((4, 4, 4), identity)
    away = grid.part([(9, 12), (-7, -5), (1, 2)])
    assert grid.reach([away]).tolist() == [[3, 4], [0, 1], [0, 3]]
