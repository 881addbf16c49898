"""Two grids are one where their voxels are; otherwise a sentence says how far apart, and what would help."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt
from scipy.spatial.transform import Rotation

from oncoprompt.geometry import Grid, reordered
from oncoprompt.study import Study

SPACING = st.sampled_from((0.3, 0.9375, 1.0, 3.0, 6.5))


@st.composite
def grids(draw):
    shape = tuple(draw(st.integers(1, 300)) for _ in range(3))
    turn = Rotation.from_euler("xyz", [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([draw(SPACING) for _ in range(3)])
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    return Grid(shape, affine)


@given(grids())
def test_six_digits_in_a_header_change_no_grid(grid):
    rounded = np.array([[float(f"{value:.6g}") for value in row] for row in grid.affine])
    far = np.linalg.norm((rounded - grid.affine)[:3, :3], axis=0) @ np.array(grid.shape)
    if far < 0.005 * min(grid.spacing_mm):
        assert grid.matches(Grid(grid.shape, rounded))


@given(grids(), st.integers(0, 2), st.floats(0.02, 5))
def test_a_shift_of_more_than_a_hundredth_of_a_voxel_is_another_grid_and_told_in_mm(grid, axis, voxels):
    affine = grid.affine.copy()
    affine[axis, 3] += voxels * min(grid.spacing_mm)
    other = Grid(grid.shape, affine)
    assert not grid.matches(other)
    assert grid.distance_mm(other) == pytest.approx(voxels * min(grid.spacing_mm), rel=1e-6)
    if not grid.canonical().matches(other.canonical()):
        assert "mm" in grid.difference(other)
        assert "shift" in grid.difference(other)


@given(grids(), st.floats(1e-4, 9e-3))
def test_a_shift_of_less_than_a_hundredth_is_none(grid, voxels):
    affine = grid.affine.copy()
    affine[0, 3] += voxels * min(grid.spacing_mm)
    assert grid.matches(Grid(grid.shape, affine))


@given(st.permutations(("RL", "AP", "SI")), st.lists(st.integers(0, 1), min_size=3, max_size=3), st.integers(0, 99))
def test_the_same_voxels_in_another_order_are_put_in_order_exactly(pairs, which, seed):
    codes = tuple(pair[index] for pair, index in zip(pairs, which, strict=True))
    image = nib.Nifti1Image(
        np.random.default_rng(seed).integers(0, 9, (3, 4, 5)).astype(np.int16), np.diag([1, 2, 3, 1.0])
    )
    stored = image.as_reoriented(nib.orientations.ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes)))
    back = reordered(np.asarray(stored.dataobj), Grid(stored.shape, stored.affine), Grid(image.shape, image.affine))
    assert np.array_equal(back, np.asarray(image.dataobj))


def test_channels_stored_in_another_order_are_one_study(tmp_path):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = nib.Nifti1Image(values, np.diag([1, 2, 3, 1.0]))
    nib.save(image, tmp_path / "case_t1c.nii.gz")
    ornt = nib.orientations.ornt_transform(axcodes2ornt("RAS"), axcodes2ornt("LIP"))
    nib.save(image.as_reoriented(ornt), tmp_path / "case_t2f.nii.gz")
    study = Study.read(tmp_path)
    assert np.array_equal(study.channels["t1c"], study.channels["t2f"])


def test_the_difference_says_what_would_help():
    grid = Grid((4, 5, 6), np.eye(4))
    assert "shapes (4, 5, 6) and (4, 5, 7). Resample" in grid.difference(Grid((4, 5, 7), np.eye(4)))
    flipped = Grid((4, 5, 6), np.array([[-1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    assert "another order (axes RAS and LAS). Reorient" in grid.difference(flipped)
