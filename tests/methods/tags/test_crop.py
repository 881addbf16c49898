"""Where TAGS looks, and how what it sees comes back to the study."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geometry.grids import AXIS_ORDERS, grid_of, grids
from oncoprompt.geometry import Grid, resample
from oncoprompt.methods.tags.crop import CropPolicy, blended

POLICY = CropPolicy(side=16)
voxel_shares = st.tuples(*[st.floats(0.0, 1.0)] * 3)


def at(grid: Grid, share: tuple[float, float, float]) -> NDArray[np.float64]:
    """A place of the scan in world mm, its outermost voxel centres at 0 and 1."""
    return grid.to_world(np.asarray(share) * (np.asarray(grid.shape) - 1))


def seen(crop: Grid, grid: Grid, array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(resample(array, grid, crop).transpose(2, 1, 0))


@settings(max_examples=50)
@given(grids(), voxel_shares, voxel_shares)
def test_the_crop_is_a_cube_along_the_axes_of_the_body_centred_at_the_mid_range_of_the_clicks(grid, one, other) -> None:
    points = np.stack([at(grid, one), at(grid, other)])
    crop = POLICY.around(grid, points)
    assert crop.shape == (16, 16, 16)
    assert np.allclose(crop.spacing_mm, 1.0)
    assert crop.canonical().matches(crop)
    along = (crop.to_voxels(points).min(axis=0) + crop.to_voxels(points).max(axis=0)) / 2
    # A scan with voxels of 1 mm is cut at its own voxels.
    assert np.allclose(along, 7.5, atol=0.5 + 1e-5 if np.isclose(grid.spacing_mm, 1.0).any() else 1e-5)


@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS[::5])
def test_voxels_of_a_scan_with_the_crops_spacing_are_the_crops_voxels(order, signs) -> None:
    grid = grid_of(order, signs, shape=(20, 24, 22), spacing=(1.0, 1.0, 1.0), rotation=(3.0, 0.0, 0.0))
    crop = POLICY.around(grid, grid.to_world([[5.2, 7.0, 9.9], [8.0, 9.0, 10.0]]))
    corner = grid.to_voxels(crop.to_world((0, 0, 0)))
    assert np.allclose(corner, corner.round(), atol=1e-6)


@settings(max_examples=50)
@given(grids(max_size=40), voxel_shares, voxel_shares, st.sampled_from([0.0, 0.25, 0.5]))
def test_windows_cover_every_voxel_of_a_box_and_overlap(grid, one, other, overlap) -> None:
    ends = np.sort(np.stack([one, other]) * (np.asarray(grid.shape) - 1), axis=0).round()
    box = np.stack([ends[0], ends[1] + 1], axis=1)
    crops = CropPolicy(side=16, overlap=overlap, voxel_mm=2.0).over(grid, box)
    rng = np.random.default_rng(0)
    points = grid.to_world(rng.uniform(box[:, 0] - 0.5, box[:, 1] - 0.5, (50, 3)))
    inside = [np.all(np.abs(c.to_voxels(points) - 7.5) <= 8 + 1e-6, axis=1) for c in crops]
    assert np.any(inside, axis=0).all()
    assert len({tuple(c.affine[:3, 3].round(6)) for c in crops}) == len(crops)


def test_a_box_that_fits_needs_one_crop_and_a_larger_one_overlapping_windows() -> None:
    grid = Grid((100, 60, 40), np.diag([1.0, 1.0, 2.0, 1.0]))
    assert len(POLICY.over(grid, [[10, 26], [5, 10], [4, 12]])) == 1
    windows = POLICY.over(grid, [[10, 34], [5, 10], [4, 12]])
    assert [w.affine[0, 3] for w in windows] == [10.0, 18.0]


def test_clicks_far_apart_are_groups_of_their_own_and_a_group_fits_its_crop() -> None:
    grid = grid_of((2, 0, 1), (1, -1, 1), shape=(90, 80, 70), spacing=(1.0, 1.0, 1.0))
    voxels = np.array([[10, 10, 10], [14, 12, 10], [60, 60, 60], [64, 58, 60], [10, 40, 10]])
    groups = POLICY.groups(grid, grid.to_world(voxels))
    found = sorted(sorted(map(tuple, grid.to_voxels(g).round().astype(int).tolist())) for g in groups)
    assert found == [[(10, 10, 10), (14, 12, 10)], [(10, 40, 10)], [(60, 60, 60), (64, 58, 60)]]
    for group in groups:
        assert CropPolicy(side=16, margin=0.0).holds(POLICY.around(grid, group), group)
    assert len(CropPolicy(side=16, reach=float("inf")).groups(grid, grid.to_world(voxels))) == 1


@settings(max_examples=30)
@given(st.lists(voxel_shares, min_size=1, max_size=12))
def test_every_click_lies_in_the_crop_of_its_group(shares) -> None:
    grid = Grid((80, 90, 50), np.diag([1.0, 1.0, 2.0, 1.0]))
    points = np.stack([at(grid, share) for share in shares])
    groups = POLICY.groups(grid, points)
    assert sum(map(len, groups)) == len(points)
    whole = CropPolicy(side=16, margin=0.0)
    assert all(whole.holds(POLICY.around(grid, group), group) for group in groups)


def test_a_click_near_a_face_of_the_crop_is_not_held_well() -> None:
    crop = POLICY.around(Grid((40, 40, 40), np.eye(4)), [[20.0, 20.0, 20.0]])
    assert POLICY.holds(crop, [[25.0, 15.0, 20.0]])
    assert not POLICY.holds(crop, [[27.0, 20.0, 20.0]])


@pytest.mark.parametrize("corner", [(0, 0, 0), (1, 1, 1), (0, 1, 0.5), (0.5, 0.5, 1)])
@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS[::7])
def test_what_a_crop_over_the_border_sees_comes_back_to_the_very_voxels(order, signs, corner) -> None:
    grid = grid_of(order, signs, shape=(20, 24, 22), spacing=(1.0, 1.0, 1.0))
    array = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    voxel = (np.asarray(corner) * (np.asarray(grid.shape) - 1)).round()
    crop = POLICY.around(grid, grid.to_world(voxel))
    out = blended([seen(crop, grid, array)], [crop], grid)
    low, high = np.asarray(out.offset), np.asarray(out.offset) + out.values.shape[1:]
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    covered = np.zeros(grid.shape, dtype=bool)
    index = np.stack(np.indices(grid.shape), -1).reshape(-1, 3)
    covered.reshape(-1)[:] = np.all(np.abs(crop.to_voxels(grid.to_world(index)) - 7.5) < 8, axis=1)
    assert covered[tuple(voxel.astype(int))]
    assert np.allclose(out.values[0][covered[window]], array[covered], atol=1e-5)
    assert not out.values[0][~covered[window]].any()
    assert covered.sum() == covered[window].sum()
    assert not out.values[1:].any()


@settings(max_examples=30)
@given(grids(min_size=3), voxel_shares, st.integers(0, 2))
def test_an_answer_that_tells_its_place_in_the_world_tells_it_in_every_axis_order(grid, share, axis) -> None:
    crop = POLICY.around(grid, at(grid, share))
    indices = np.stack(np.indices(crop.shape), axis=-1).reshape(-1, 3)
    place = crop.to_world(indices)[:, axis].reshape(crop.shape) - crop.to_world((7.5,) * 3)[axis]
    # Within 0..1, as probabilities are.
    answer = (0.5 + place / 64).astype(np.float32).transpose(2, 1, 0)
    out = blended([answer], [crop], grid)
    voxels = np.stack(np.indices(out.values.shape[1:]), axis=-1).reshape(-1, 3)
    world = grid.to_world(voxels + out.offset)
    # Where a scan is coarser than the crop, averaging over its voxels shifts by up to a quarter of a millimetre.
    clear = np.all(np.abs(crop.to_voxels(world) - 7.5) < 7.5 - np.maximum(1.0, max(grid.spacing_mm)), axis=1)
    expected = 0.5 + (world[:, axis] - crop.to_world((7.5,) * 3)[axis]) / 64
    assert np.allclose(out.values[0].reshape(-1)[clear], expected[clear], atol=0.25 / 64)


def test_overlapping_answers_that_agree_are_that_answer_and_others_lie_between() -> None:
    grid = Grid((40, 16, 16), np.eye(4))
    crops = POLICY.over(grid, [[0, 40], [0, 16], [0, 16]])
    assert len(crops) == 4
    same = blended([np.full((16, 16, 16), 0.7, np.float32)] * 4, crops, grid)
    assert same.values.shape == (3, 40, 16, 16)
    assert np.allclose(same.values[0], 0.7, atol=1e-5)
    steps = blended([np.full((16, 16, 16), p, np.float32) for p in (0.1, 0.4, 0.6, 0.9)], crops, grid)
    line = steps.values[0, :, 8, 8]
    assert np.isclose(line[0], 0.1)
    assert np.isclose(line[-1], 0.9)
    assert np.all(np.diff(line) >= -1e-6)
