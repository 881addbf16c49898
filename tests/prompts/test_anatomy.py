"""Masks of organs are checked where they enter, and know how much of them a scan shows."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings

from geometry.grids import grids
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.prompts import Anatomy, Box

GRID = Grid((8, 9, 10), np.diag([2.0, 2.0, 3.0, 1.0]))


def box_mask(grid: Grid) -> np.ndarray:
    mask = np.zeros(grid.shape, dtype=bool)
    mask[2:6, 3:5, 4:8] = True
    return mask


def write(path: Path, values: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(values, GRID.affine), path)
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_a_mask_comes_from_a_file_with_one_value_whatever_its_number(tmp_path, kind) -> None:
    mask = box_mask(GRID)
    found = Anatomy.read(write(tmp_path / "liver.nii.gz", (mask * 3).astype(kind)))
    assert np.array_equal(found.mask, mask)
    assert found.grid.matches(GRID)
    assert found.volume_ml == pytest.approx(4 * 2 * 4 * 12 / 1000)


def test_several_values_are_not_guessed_at(tmp_path) -> None:
    labels = box_mask(GRID).astype(np.uint8)
    labels[3, 3, 5] = 2
    with pytest.raises(InputError, match=r"'organs.nii' holds the values 1, 2 besides 0"):
        Anatomy.read(write(tmp_path / "organs.nii", labels))
    with pytest.raises(InputError, match=r"besides 0"):
        Anatomy.read(write(tmp_path / "scan.nii", np.random.default_rng(0).normal(size=GRID.shape)))


def test_an_empty_mask_a_series_of_masks_and_another_shape_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="empty"):
        Anatomy.read(write(tmp_path / "none.nii", np.zeros(GRID.shape, dtype=np.uint8)))
    with pytest.raises(InputError, match="holds 2 volumes"):
        Anatomy.read(write(tmp_path / "two.nii", np.ones((*GRID.shape, 2), dtype=np.uint8)))
    with pytest.raises(InputError, match="does not exist"):
        Anatomy.read(tmp_path / "nowhere.nii")
    with pytest.raises(InputError, match="shape"):
        Anatomy(np.ones((2, 2, 2), dtype=bool), GRID)


@settings(max_examples=40)
@given(grids(min_size=10))
def test_all_of_an_organ_lies_in_its_own_scan_however_that_is_stored(grid: Grid) -> None:
    anatomy = Anatomy(box_mask(grid), grid)
    assert anatomy.share_in(grid) == 1.0
    assert anatomy.share_in(grid.canonical()) == 1.0


@settings(max_examples=40)
@given(grids(min_size=10))
def test_an_organ_touches_boxes_that_hold_any_of_it(grid: Grid) -> None:
    anatomy = Anatomy(box_mask(grid), grid)
    assert anatomy.touches(Box.around(anatomy.mask, grid))
    assert anatomy.touches(Box.from_voxels([[5, 9], [4, 9], [7, 9]], grid))
    assert not anatomy.touches(Box.from_voxels([[7, 9], [3, 5], [4, 8]], grid))
    far = grid.affine.copy()
    far[:3, 3] += 5000.0
    assert not anatomy.touches(Box.from_voxels([[0, 9], [0, 9], [0, 9]], Grid(grid.shape, far)))


def test_a_scan_beside_the_organ_shows_none_and_one_over_half_of_it_half() -> None:
    anatomy = Anatomy(box_mask(GRID), GRID)
    shifted = GRID.affine.copy()
    shifted[0, 3] = 2.0 * 4
    assert anatomy.share_in(Grid(GRID.shape, shifted)) == pytest.approx(0.5)
    shifted[0, 3] = 500.0
    assert anatomy.share_in(Grid(GRID.shape, shifted)) == 0.0
