"""Labelled slices from every layout on disk arrive with their pixels, grey levels and targets."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import Study, write_nifti
from oncoprompt.study.challenge import ChallengeCase, write_challenge
from oncoprompt.training.config import DataSection
from oncoprompt.training.slice_items import SliceItemConfig, SliceItems
from oncoprompt.training.slice_sources import slice_cases
from training.slice_data import disc, write_pictures

PLAIN = SliceItemConfig()


def only(folder, config=PLAIN, **data):
    """The one case of a folder, read."""
    (case,) = slice_cases(DataSection(cohort=str(folder), **data), config)
    return case.read()


def folders(path, *names):
    for name in names:
        (path / name).mkdir()


def test_pictures_and_masks_keep_their_pixels_and_numbers(tmp_path):
    folders(tmp_path, "images", "masks")
    image = np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(np.uint8)
    labels = np.arange(9 * 14).reshape(9, 14).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    Image.fromarray(labels).save(tmp_path / "masks" / "a.png")
    slices = only(tmp_path)
    assert (slices.name, slices.images.shape) == ("a", (1, 9, 14, 3))
    assert np.array_equal(slices.images[0], image)
    assert np.array_equal(slices.labels[0], labels)


def test_a_jpeg_mask_is_one_target(tmp_path):
    folders(tmp_path, "images", "masks")
    Image.fromarray((disc((20, 20), 15) * 200).astype(np.uint8)).save(tmp_path / "images" / "a.jpg")
    Image.fromarray((disc((20, 20), 15) * 255).astype(np.uint8)).save(tmp_path / "masks" / "a.jpg")
    labels = only(tmp_path).labels
    assert labels.dtype == bool
    assert (labels[0] ^ disc((20, 20), 15)).sum() < 30


def test_sixteen_bits_are_brought_to_eight_by_percentiles(tmp_path):
    folders(tmp_path, "images", "masks")
    image = np.random.default_rng(0).integers(1000, 5000, (40, 40)).astype(np.uint16)
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    Image.fromarray((disc((20, 20), 15, 40)).astype(np.uint8)).save(tmp_path / "masks" / "a.png")
    levels = only(tmp_path).images
    assert (levels.min(), levels.max()) == (0, 255)
    assert np.corrcoef(levels.ravel(), image.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_medsams_own_slices_are_read_on_either_range(tmp_path, scale):
    folders(tmp_path, "imgs", "gts")
    image = np.random.default_rng(0).random((12, 10, 3))
    image[0, 0], image[0, 1] = 0.0, 1.0
    np.save(tmp_path / "imgs" / "CT-001.npy", image * scale)
    np.save(tmp_path / "gts" / "CT-001.npy", np.eye(12, 10, dtype=np.uint8))
    slices = only(tmp_path)
    assert slices.images.shape == (1, 12, 10, 3)
    assert np.abs(slices.images[0] - image * 255).max() <= 0.51
    assert np.array_equal(slices.labels[0], np.eye(12, 10))


def test_challenge_cases_are_read_in_two_and_three_dimensions(tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 256, (3, 8, 7)).astype(np.uint8)
    labels = rng.integers(0, 3, (3, 8, 7)).astype(np.uint8)
    write_challenge(tmp_path / "3DBox_CT_1.npz", ChallengeCase(volume, labels), "2025")
    write_challenge(tmp_path / "2DBox_US_1.npz", ChallengeCase(volume[:1], labels[:1]))
    flat, deep = (case.read() for case in slice_cases(DataSection(cohort=str(tmp_path)), PLAIN))
    assert flat.images.shape == (1, 8, 7, 3)
    assert np.array_equal(flat.labels, labels[:1])
    assert np.array_equal(deep.images, volume)
    assert np.array_equal(deep.labels, labels)


def test_a_challenge_case_without_masks_is_told(tmp_path):
    write_challenge(tmp_path / "3DBox_CT_1.npz", ChallengeCase(np.arange(24).reshape(2, 4, 3)))
    with pytest.raises(InputError, match=r"'3DBox_CT_1\.npz' has no 'gts'"):
        only(tmp_path)


@pytest.fixture
def organs(tmp_path):
    """Two CTs in Hounsfield units, in an unusual axis order, with labels of no known schema, listed in a manifest."""
    affine = np.array([[0, 0, -2.0, 0], [1.5, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, 0, 1]])
    grid = Grid((20, 6, 24), affine)
    rows = []
    for number in range(2):
        image = np.random.default_rng(number).uniform(-900, 900, grid.shape).astype(np.float32)
        labels = np.zeros(grid.shape, dtype=np.uint8)
        labels[4:16, 1:5, 6:18], labels[0, 0, 0] = 44, 7
        study = Study({"ct": image}, grid)
        write_nifti(tmp_path / f"{number}_ct.nii.gz", image, like=study)
        write_nifti(tmp_path / f"{number}_organs.nii.gz", labels, like=study)
        rows.append(
            {"case": f"p{number}", "channels": {"ct": f"{number}_ct.nii.gz"}, "label_map": f"{number}_organs.nii.gz"}
        )
    (tmp_path / "manifest.json").write_text(json.dumps({"cases": rows}))
    return tmp_path


def test_any_label_of_a_volume_is_a_target_in_radiological_slices(organs):
    cases = slice_cases(DataSection(cohort=str(organs)), PLAIN)
    assert [case.name for case in cases] == ["p0/ct", "p1/ct"]
    slices = cases[0].read()
    # axial slices lie along the second axis, rows run to the back along the first, columns to the left along the third
    assert slices.images.shape == slices.labels.shape == (6, 20, 24)
    assert set(np.unique(slices.labels)) == {0, 7, 44}
    assert np.argwhere(slices.labels == 7).tolist() == [[0, 19, 0]]


def test_the_window_of_a_ct_is_applied_to_the_whole_volume(organs):
    hounsfield = Study.read({"ct": organs / "0_ct.nii.gz"}).channels["ct"]
    for preset, low, high in (("auto", -160, 240), ("lung-l600", -1350, 150)):
        levels = slice_cases(DataSection(cohort=str(organs)), SliceItemConfig(preset=preset))[0].read().images
        expected = np.sort(np.clip((hounsfield.ravel() - low) / (high - low), 0, 1) * 255)
        assert np.abs(np.sort(levels.ravel()) - expected).max() <= 0.51


def test_a_volume_gives_items_of_its_large_targets_alone(organs):
    items = SliceItems(
        slice_cases(DataSection(cohort=str(organs)), PLAIN), SliceItemConfig(least_voxels=100, outwards_px=0), 0
    )
    for index in range(6):
        assert items.item(index).mask.sum() == 144


def test_a_label_map_on_another_grid_is_told_by_the_name_of_its_case(organs):
    shutil.copy(organs / "0_organs.nii.gz", organs / "kept.nii.gz")
    write_nifti(
        organs / "0_organs.nii.gz", np.ones((20, 6, 24), np.uint8), like=Grid((20, 6, 24), np.diag([1.0, 1, 1, 1]))
    )
    with pytest.raises(InputError, match=r"'p0'.*different grids"):
        slice_cases(DataSection(cohort=str(organs)), PLAIN)[0].read()


def test_a_channel_that_nobody_has_is_told_with_those_there_are(organs):
    with pytest.raises(InputError, match=r"No case has a channel 't1c'\. Found: ct"):
        slice_cases(DataSection(cohort=str(organs)), SliceItemConfig(channel="t1c"))


def test_a_picture_without_a_mask_is_named(tmp_path):
    write_pictures(tmp_path, count=2)
    (tmp_path / "masks" / "case1.png").unlink()
    with pytest.raises(InputError, match=r"'case1\.png' has no mask"):
        slice_cases(DataSection(cohort=str(tmp_path)), PLAIN)


def test_a_mask_in_colour_and_a_damaged_picture_are_told(tmp_path):
    write_pictures(tmp_path, count=1)
    mask, image = tmp_path / "masks" / "case0.png", tmp_path / "images" / "case0.png"
    kept = mask.read_bytes()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)).save(mask)
    with pytest.raises(InputError, match="in colour"):
        only(tmp_path)
    mask.write_bytes(kept)
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(InputError, match=r"case0\.png"):
        only(tmp_path)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({}, "Give their folder as data.cohort"),
        ({"cohort": "nowhere"}, "no file or folder 'nowhere'"),
        ({"cohort": ".", "layout": "zip"}, "no layout 'zip'. Known: pictures, npy, npz"),
        ({"cohort": ".", "layout": "npz", "split": "split.json"}, "data.split is for data sets of volumes"),
        ({"cohort": ".", "layout": "npz", "synthetic_share": 0.5}, "leave out data.pool and data.synthetic_share"),
    ],
)
def test_settings_that_do_not_go_together_are_told(tmp_path, monkeypatch, data, match):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=match):
        slice_cases(DataSection(**data), PLAIN)


def test_real_pictures_are_read(real_data):
    cases = slice_cases(DataSection(cohort=str(real_data / "images2d" / "breast_ultrasound")), PLAIN)
    items = SliceItems(cases, PLAIN, 0)
    for index in range(len(cases)):
        item = items.item(index)
        assert 0.001 < float(item.mask.mean()) < 0.7
