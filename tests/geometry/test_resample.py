"""Resampling keeps things where they are in the world."""

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from geometry.grids import AXIS_ORDERS, grid_of, grids
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, resample, roi_grid
from oncoprompt.geometry.resample import PARALLEL_WITHIN


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ball(grid: Grid, centre_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    world = grid.to_world(np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3))
    return (np.linalg.norm(world - centre_mm, axis=1) <= radius_mm).reshape(grid.shape)


def centroid_mm(mask: NDArray[np.generic], grid: Grid) -> NDArray[np.float64]:
    return grid.to_world(np.argwhere(mask).mean(axis=0))


def drift(source: Grid, target: Grid) -> float:
    """Source voxels by which axes that nearly agree come apart over the whole target."""
    matrix = np.abs((np.linalg.inv(source.affine) @ target.affine)[:3, :3])
    matrix[np.arange(3), matrix.argmax(axis=1)] = 0.0
    return float((matrix @ np.asarray(target.shape, dtype=np.float64)).max())


@settings(max_examples=40)
@given(grids(), st.sampled_from([0, 1]))
def test_resampling_onto_the_same_grid_changes_nothing(grid: Grid, order: int) -> None:
    array = noise(grid.shape)
    result = resample(array, grid, grid, order)
    assert np.allclose(result, array, atol=1e-5)
    assert not np.shares_memory(result, array)


@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS)
def test_flips_and_permutations_are_exact_to_and_fro_for_every_axis_order(
    order: tuple[int, ...], signs: tuple[float, ...]
) -> None:
    grid = grid_of(order, signs, rotation=(4.0, -6.0, 2.0))
    array = noise(grid.shape)
    canonical = resample(array, grid, grid.canonical())
    assert canonical.shape == grid.canonical().shape
    corner = grid.canonical().to_voxels(grid.to_world((1, 2, 3))).round().astype(int)
    assert canonical[tuple(corner)] == array[1, 2, 3]
    assert np.array_equal(resample(canonical, grid.canonical(), grid), array)


@settings(max_examples=40)
@given(grids(min_size=3), grids(min_size=3))
def test_linear_resampling_agrees_with_scipy_where_the_target_is_as_fine(source: Grid, other: Grid) -> None:
    step = np.asarray(source.spacing_mm).min()
    affine = other.affine.copy()
    affine[:3, :3] *= step / np.asarray(other.spacing_mm)
    affine[:3, 3] = source.to_world((np.asarray(source.shape) - 1) / 2)
    target = Grid(other.shape, affine)
    array = noise(source.shape)
    assume(not 0 < drift(source, target) <= PARALLEL_WITHIN)
    points = source.to_voxels(target.to_world(np.stack(np.indices(target.shape), -1).reshape(-1, 3)))
    sizes = np.asarray(source.shape)
    # Half a voxel beyond the centres is a matter of rounding, so points on that border are left out.
    clear = np.all((points > -0.49) & (points < sizes - 0.51), axis=1)
    outside = np.any((points < -0.51) | (points > sizes - 0.49), axis=1)
    expected = map_coordinates(array.astype(np.float64), points.T, order=1, mode="nearest")
    found = resample(array, source, target, fill=-7.0).reshape(-1)
    assert np.allclose(found[clear], expected[clear], atol=1e-4)
    assert np.all(found[outside] == -7.0)


@pytest.mark.parametrize("degrees", [1e-6, 1e-4, 1e-3, 2e-3])
def test_grids_turned_by_rounding_alone_are_off_by_no_more_than_that(degrees: float) -> None:
    source = grid_of((0, 1, 2), (1.0, 1.0, 1.0), shape=(12, 10, 8))
    target = grid_of((0, 1, 2), (1.0, 1.0, 1.0), shape=(12, 10, 8), rotation=(0.0, 0.0, degrees))
    assert 0 < drift(source, target) <= PARALLEL_WITHIN
    array = noise(source.shape)
    points = source.to_voxels(target.to_world(np.stack(np.indices(target.shape), -1).reshape(-1, 3)))
    expected = map_coordinates(array.astype(np.float64), points.T, order=1, mode="nearest")
    steepest = max(float(np.abs(np.diff(array, axis=axis)).max()) for axis in range(3))
    error = np.abs(resample(array, source, target).reshape(-1) - expected).max()
    assert error <= 1e-5 + 3 * drift(source, target) * steepest


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int32, np.float64])
@pytest.mark.parametrize("tilt", [0.0, 12.0])
def test_nearest_resampling_keeps_type_and_values(dtype: type, tilt: float) -> None:
    source = grid_of((2, 0, 1), (1.0, -1.0, 1.0), shape=(12, 10, 8))
    target = grid_of((0, 1, 2), (1.0, 1.0, 1.0), shape=(9, 9, 9), spacing=(2.0, 1.0, 0.5), rotation=(tilt, 0.0, 0.0))
    array = np.random.default_rng(1).integers(0, 5, source.shape).astype(dtype)
    result = resample(array, source, target, order=0)
    assert result.dtype == dtype
    assert result.shape == target.shape
    assert set(np.unique(result)) <= {0, *np.unique(array)}


@pytest.mark.parametrize("tilt", [0.0, 10.0])
def test_coarse_targets_average_instead_of_skipping(tilt: float) -> None:
    source = Grid((64, 64, 64), np.eye(4))
    stripes = (np.indices(source.shape)[0] % 2).astype(np.float32)
    target = grid_of((0, 1, 2), (1, 1, 1), (10, 10, 10), (4.0, 4.0, 4.0), (0.0, tilt, 0.0), origin=(12.0, 12.0, 12.0))
    found = resample(stripes, source, target)
    assert found.mean() == pytest.approx(0.5, abs=0.02)
    assert found.std() < 0.1


@pytest.mark.parametrize("tilt", [0.0, 10.0])
@pytest.mark.parametrize("spacing", [0.5, 1.2, 2.9])
def test_a_constant_stays_constant_and_outside_becomes_fill(tilt: float, spacing: float) -> None:
    source = Grid((16, 18, 20), np.eye(4))
    target = grid_of((1, 0, 2), (1, 1, 1), (24, 24, 24), (spacing,) * 3, (tilt, 0.0, 0.0), origin=(-6.0, -4.0, -5.0))
    found = resample(np.full(source.shape, 3.0), source, target, fill=-1.0)
    assert set(np.unique(found.round(4))) == {-1.0, 3.0}


@settings(max_examples=25)
@given(grids(max_size=30, min_size=20), st.floats(0.8, 2.0))
def test_a_mask_stays_where_it_is_through_a_region_grid_and_back(grid: Grid, factor: float) -> None:
    centre = grid.to_world((np.asarray(grid.shape) - 1) / 2 + 0.3)
    radius = 0.3 * min(np.multiply(grid.shape, grid.spacing_mm))
    mask = ball(grid, centre, max(radius, 1.6 * max(grid.spacing_mm)))
    region = roi_grid(grid, [[0, size] for size in grid.shape], factor * min(grid.spacing_mm), multiple=1)
    assume(np.prod(region.shape) < 2e6)
    there = resample(mask.astype(np.float32), grid, region)
    back = resample(there, region, grid) > 0.5
    tolerance = 0.35 * float(np.linalg.norm(grid.spacing_mm))
    assert np.linalg.norm(centroid_mm(there > 0.5, region) - centroid_mm(mask, grid)) < tolerance
    assert np.linalg.norm(centroid_mm(back, grid) - centroid_mm(mask, grid)) < tolerance


def test_slices_of_one_voxel_can_be_resampled() -> None:
    source = Grid((5, 6, 1), np.diag([1.0, 1.0, 5.0, 1.0]))
    target = roi_grid(source, [[0, 5], [0, 6], [0, 1]], 1.0, multiple=1)
    assert target.shape == (5, 6, 5)
    array = noise(source.shape)
    assert np.allclose(resample(array, source, target), np.repeat(array, 5, axis=2), atol=1e-6)


def test_inputs_that_do_not_fit_are_refused() -> None:
    grid = Grid((4, 4, 4), np.eye(4))
    with pytest.raises(InputError, match="shape"):
        resample(np.zeros((4, 4, 5)), grid, grid)
    with pytest.raises(InputError, match="order"):
        resample(np.zeros((4, 4, 4)), grid, grid, order=3)


def test_read_only_and_strided_arrays_are_read_without_change() -> None:
    grid = Grid((6, 5, 4), np.eye(4))
    array = np.asfortranarray(noise((6, 5, 4)))
    array.setflags(write=False)
    assert np.array_equal(resample(array, grid, grid), array)


def test_a_whole_scan_to_a_network_grid_takes_a_fraction_of_a_second() -> None:
    source = Grid((240, 240, 155), np.diag([-1.0, -1.0, 1.0, 1.0]))
    array = np.ones(source.shape, dtype=np.float32)
    target = roi_grid(source, [[0, 240], [0, 240], [0, 155]], 2.5)
    start = time.process_time()
    resample(array, source, target)
    # Measured: 0.06 s of one core; the bound only catches a lost fast path.
    assert time.process_time() - start < 1.5
