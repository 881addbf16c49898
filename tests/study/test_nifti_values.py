"""NIfTI as files have it: two frames that disagree, scaled labels, other types; the right values or a sentence."""

from __future__ import annotations

import bz2
import gzip
import logging

import nibabel as nib
import numpy as np
import pytest

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import Study, read_label_map, write_nifti
from oncoprompt.study.volume import read_volume
from study.files import LPS, noise, save

GOOD = np.array([[-0.9, 0, 0, 10], [0, -0.9, 0, 20], [0, 0, 2.0, -30], [0, 0, 0, 1.0]])


def two_frames(path, sform, qform, codes=(1, 1)):
    header = nib.Nifti1Image(noise(), GOOD).header
    header.set_qform(qform, code=codes[1])
    header.set_sform(sform, code=codes[0])
    nib.save(nib.Nifti1Image(noise(), None, header), path)
    return path


def scaled(factor):
    return GOOD @ np.diag([factor, factor, factor, 1.0])


def test_a_scaled_sform_beside_a_qform_of_the_voxel_sizes_is_not_believed(tmp_path, caplog):
    path = two_frames(tmp_path / "t1c.nii.gz", scaled(1.2), GOOD)
    with caplog.at_level(logging.WARNING):
        volume = read_volume(path)
    assert volume.grid.spacing_mm == pytest.approx((0.9, 0.9, 2.0), rel=1e-5)
    assert "1.08 x 1.08 x 2.4" in caplog.text
    assert "0.9 x 0.9 x 2" in caplog.text


def test_a_result_lies_where_the_frame_that_was_believed_says(tmp_path):
    study = Study.read(two_frames(tmp_path / "t1c.nii.gz", scaled(1.2), GOOD))
    write_nifti(tmp_path / "out.nii.gz", np.zeros(study.grid.shape, np.uint8), like=study)
    assert np.allclose(nib.load(tmp_path / "out.nii.gz").affine, GOOD, atol=1e-4)


@pytest.mark.parametrize("bad", ["sheared", "zero", "nan"])
def test_a_good_qform_is_read_beside_an_sform_that_is_no_frame(tmp_path, caplog, bad):
    sform = GOOD.copy()
    if bad == "sheared":
        sform[0, 1] = 0.4
    else:
        sform[:3] = 0.0 if bad == "zero" else np.nan
    path = two_frames(tmp_path / "t1c.nii.gz", sform, GOOD)
    assert np.allclose(read_volume(path).grid.affine, GOOD, atol=1e-4)
    assert "qform is taken" in caplog.text


def test_frames_in_two_spaces_with_voxels_of_one_size_need_no_word(tmp_path, caplog):
    turned = GOOD.copy()
    turned[:3, 3] += 40
    path = two_frames(tmp_path / "t1c.nii.gz", turned, GOOD, codes=(4, 1))
    assert np.allclose(read_volume(path).grid.affine, turned, atol=1e-4)
    assert caplog.text == ""


@pytest.mark.parametrize("size", [0.0, np.nan])
def test_voxels_without_a_size_are_refused(tmp_path, size):
    image = nib.Nifti1Image(noise(), None)
    image.header["pixdim"][2] = size
    (tmp_path / "t1c.nii").write_bytes(image.header.binaryblock + bytes(4) + noise().tobytes(order="F"))
    with pytest.raises(InputError, match="how large its voxels are"):
        read_volume(tmp_path / "t1c.nii")


@pytest.mark.parametrize("code", [1007, 1006, 1005, 2003])
def test_what_is_no_scan_by_its_intent_is_refused_in_words(tmp_path, code):
    image = nib.Nifti1Image(noise(), LPS)
    image.header["intent_code"] = code
    nib.save(image, tmp_path / "t1c.nii.gz")
    with pytest.raises(InputError, match=r"t1c\.nii\.gz' holds .*(vector|displacement|tensor|colours)"):
        read_volume(tmp_path / "t1c.nii.gz")


def test_axes_of_one_are_dropped_wherever_they_stand(tmp_path):
    save(tmp_path / "t1c.nii.gz", noise((3, 4, 5, 1, 1)))
    save(tmp_path / "x.nii.gz", noise((3, 4, 5, 1, 2)))
    assert read_volume(tmp_path / "t1c.nii.gz").array.shape == (3, 4, 5)
    assert read_volume(tmp_path / "x.nii.gz").array.shape == (3, 4, 5, 2)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float64, np.uint8, np.int32])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_real_type_and_byte_order_gives_its_values(tmp_path, dtype, order):
    values = (noise() % 200).astype(dtype)
    header = nib.Nifti1Image(values, LPS, dtype=dtype).header.as_byteswapped(order)
    nib.save(nib.Nifti1Image(values, LPS, header, dtype=dtype), tmp_path / "t1c.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "t1c.nii.gz").array, noise() % 200)


PACKED = ("nii that is gzipped", "nii.gz that is not", "several members", "bzip2", "bytes behind")


@pytest.mark.parametrize("packed", PACKED)
def test_how_a_file_is_packed_is_seen_from_its_content(tmp_path, packed):
    plain = nib.Nifti1Image(noise(), LPS).to_bytes()
    name, content = {
        "nii that is gzipped": ("t1c.nii", gzip.compress(plain)),
        "nii.gz that is not": ("t1c.nii.gz", plain),
        "several members": ("t1c.nii.gz", gzip.compress(plain[:400]) + gzip.compress(plain[400:])),
        "bzip2": ("t1c.nii.bz2", bz2.compress(plain)),
        "bytes behind": ("t1c.nii", plain + b"more"),
    }[packed]
    (tmp_path / name).write_bytes(content)
    assert np.array_equal(Study.read(tmp_path).channels["t1c"], noise())


def labels_with_slope(path, slope, inter=0.0):
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3], labels[3] = 1, 2
    image = nib.Nifti1Image(labels, LPS)
    image.header.set_slope_inter(slope, inter)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([slope, inter], np.float32).tobytes()
    path.write_bytes(bytes(content))
    return labels


def test_labels_that_a_scale_has_made_almost_whole_are_whole(tmp_path):
    labels = labels_with_slope(tmp_path / "a.nii", 1.00002)
    assert np.array_equal(read_label_map(tmp_path / "a.nii", "brats2023").labels, labels)


def test_labels_that_are_far_from_whole_are_refused(tmp_path):
    labels_with_slope(tmp_path / "a.nii", 0.9)
    with pytest.raises(InputError, match="whole numbers"):
        read_label_map(tmp_path / "a.nii", "brats2023")


def test_a_map_of_probabilities_is_no_label_map(tmp_path):
    nib.save(nib.Nifti1Image(np.linspace(0, 1, 120, dtype=np.float32).reshape(4, 5, 6), LPS), tmp_path / "p.nii.gz")
    with pytest.raises(InputError, match="image or was interpolated"):
        read_label_map(tmp_path / "p.nii.gz", "brats2023")


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.int16])
def test_labels_of_any_type_are_read(tmp_path, dtype):
    labels = np.zeros((4, 5, 6), dtype)
    labels[1], labels[2] = 1, 3
    nib.save(nib.Nifti1Image(labels, LPS, dtype=dtype), tmp_path / "a.nii.gz")
    assert np.array_equal(read_label_map(tmp_path / "a.nii.gz", "brats2023").labels, labels)


def test_millilitres_are_the_voxels_times_the_determinant_of_the_frame_that_is_read(tmp_path):
    study = Study.read(two_frames(tmp_path / "t1c.nii.gz", scaled(1.2), GOOD))
    assert study.grid.voxel_volume_ml == pytest.approx(0.9 * 0.9 * 2.0 / 1000, rel=1e-5)
    assert isinstance(study.grid, Grid)


@pytest.mark.parametrize("codes", [(35, 1), (1, 35), (35, 35), (0, 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_unknown_codes_of_a_frame_and_negative_sizes_are_read_and_written(tmp_path, codes, sign):
    path = tmp_path / "t1c.nii"
    two_frames(path, GOOD if codes[0] else np.zeros((4, 4)), GOOD)
    content = bytearray(path.read_bytes())
    content[80:92] = (sign * np.array([0.9, 0.9, 2.0], "<f4")).tobytes()
    content[252:256] = np.array(codes[::-1], "<i2").tobytes()
    path.write_bytes(content)
    study = Study.read(path)
    np.testing.assert_allclose(study.grid.affine, GOOD, atol=1e-5)
    write_nifti(tmp_path / "out.nii.gz", np.zeros(study.grid.shape, np.uint8), like=study)
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii.gz").affine, GOOD, atol=1e-5)
