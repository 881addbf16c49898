"""Every way in which a scan can be unusable ends in one sentence that says which."""

import contextlib
import gzip
import struct
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import Study
from oncoprompt.study.volume import read_volume
from study.files import LPS, noise, patched, save

DIM, DATATYPE, OFFSET, UNITS, QFORM_CODE = 40, 70, 108, 123, 252


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Study.read({"t1c": path})
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b", bytes(1000), b"x" * 5000])
def test_a_file_that_is_no_nifti_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t1c.nii"
    path.write_bytes(content)
    refused(path, "not a NIfTI|damaged or truncated")


@pytest.mark.parametrize("keep", [5, 100, -1000, -9, -1])
def test_a_truncated_or_unfinished_download_is_refused(tmp_path: Path, keep: int) -> None:
    whole = save(tmp_path / "t1c.nii.gz", noise((20, 20, 20))).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[:keep])
    refused(tmp_path / "cut.nii.gz", "damaged or truncated")


def test_flipped_bits_in_a_compressed_file_are_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "t1c.nii.gz", noise((20, 20, 20)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    refused(path, "damaged or truncated")


def test_a_header_that_claims_more_than_the_file_holds_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    small = save(tmp_path / "small.nii", noise((2, 2, 2)))
    dim = struct.pack("<4h", 3, 2000, 2000, 200)
    tracemalloc.start()
    refused(patched(tmp_path / "t1c.nii", small, DIM, dim), "claims 800000000 voxels .* more than its")
    refused(patched(tmp_path / "t1c.nii.gz", small, DIM, dim), "claims 800000000 voxels .* more than its")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    content = small.read_bytes()
    small.write_bytes(content[:-1])
    refused(small, "more than its")


def test_a_compressed_file_shorter_than_its_header_says_is_refused(tmp_path: Path) -> None:
    small = save(tmp_path / "small.nii", noise((8, 8, 8)))
    refused(patched(tmp_path / "t1c.nii.gz", small, DIM, struct.pack("<4h", 3, 9, 9, 9)), "ends early")


def test_volumes_above_the_limit_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "t1c.nii.gz")
    with pytest.raises(InputError, match="336 voxels, more than the limit of 335"):
        read_volume(path, max_voxels=335)
    assert read_volume(path, max_voxels=336).array.shape == (6, 7, 8)


@pytest.mark.parametrize("dim", [(0, 2, 2, 2), (3, 0, 4, 4), (3, -2, 2, 2), (2, 4, 2, 1), (9, 2, 2, 2)])
def test_dimensions_that_are_no_volume_are_refused(tmp_path: Path, dim: tuple[int, ...]) -> None:
    small = save(tmp_path / "small.nii", noise((2, 2, 2)))
    refused(patched(tmp_path / "t1c.nii", small, DIM, struct.pack("<4h", *dim)), "at least three axes|not a NIfTI")


@pytest.mark.parametrize(
    ("code", "message"), [(32, "complex64"), (128, "values"), (1792, "complex128"), (999, "unknown")]
)
def test_values_that_are_not_real_numbers_are_refused(tmp_path: Path, code: int, message: str) -> None:
    small = save(tmp_path / "small.nii", noise((2, 2, 2)))
    refused(patched(tmp_path / "t1c.nii", small, DATATYPE, struct.pack("<h", code)), message)


@pytest.mark.parametrize("offset", [float("nan"), -5.0, 1e12, float("inf")])
def test_a_data_offset_out_of_all_proportion_is_refused(tmp_path: Path, offset: float) -> None:
    small = save(tmp_path / "small.nii", noise((2, 2, 2)))
    refused(patched(tmp_path / "t1c.nii", small, OFFSET, struct.pack("<f", offset)), "header is damaged")


@pytest.mark.parametrize(("unit", "mm", "name"), [(1, 1000.0, "metres"), (3, 0.001, "micrometres")])
def test_other_units_are_read_in_millimetres_and_said(tmp_path: Path, caplog, unit: int, mm: float, name: str) -> None:
    small = save(tmp_path / "small.nii", noise((2, 2, 2)), affine=np.diag([2.0, 2.0, 3.0, 1.0]) / mm)
    volume = read_volume(patched(tmp_path / "t1c.nii", small, UNITS, bytes([unit])))
    assert volume.grid.spacing_mm == pytest.approx((2.0, 2.0, 3.0), rel=1e-5)
    assert volume.header is not None
    assert np.allclose(volume.header.get_best_affine(), volume.grid.affine)
    assert name in caplog.text


@pytest.mark.parametrize(("bad", "count"), [(np.nan, 3), (np.inf, 1), (-np.inf, 2)])
def test_values_that_are_not_finite_are_counted_and_the_channel_named(tmp_path: Path, bad: float, count: int) -> None:
    array = noise().astype(np.float32)
    array.reshape(-1)[:count] = bad
    refused(save(tmp_path / "x.nii.gz", array), f"'t1c' of study 'study' holds {count} values that are NaN or infinite")


def test_values_beyond_single_precision_are_not_finite(tmp_path: Path) -> None:
    array = noise().astype(np.float64)
    array[0, 0, 0] = 1e300
    refused(save(tmp_path / "x.nii.gz", array), "holds 1 values")


@pytest.mark.parametrize("value", [0, 7])
def test_an_empty_channel_is_refused(tmp_path: Path, value: int) -> None:
    refused(save(tmp_path / "x.nii.gz", np.full((4, 4, 4), value, np.int16)), f"'t1c'.*empty: every voxel is {value}")


def test_a_sheared_scan_is_refused_with_its_name(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.2
    path = tmp_path / "t1c.nii"
    image = nib.Nifti1Image(noise(), None)
    image.set_sform(sheared, code=1, update_affine=False)
    nib.save(image, path)
    refused(path, r"'t1c\.nii': The axes of the scan are sheared: the worst angle is 11")


@pytest.mark.parametrize("row", [(np.nan, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)])
def test_an_orientation_of_nothing_is_refused(tmp_path: Path, row: tuple[float, ...]) -> None:
    small = save(tmp_path / "small.nii")
    broken = patched(tmp_path / "broken.nii", small, 280, struct.pack("<4f", *row))
    assert np.allclose(read_volume(broken).grid.affine, LPS)
    refused(patched(tmp_path / "t1c.nii", broken, QFORM_CODE, b"\0\0"), r"'t1c\.nii': The affine")


def test_channels_of_different_shape_are_refused_with_both_names(tmp_path: Path) -> None:
    save(tmp_path / "t1c.nii.gz", noise((6, 7, 8)))
    save(tmp_path / "t2f.nii.gz", noise((6, 7, 9)))
    with pytest.raises(InputError, match=r"'t1c' and 't2f'.*\(6, 7, 8\) and \(6, 7, 9\)"):
        Study.read(tmp_path)


def test_channels_in_different_places_are_refused_with_the_difference(tmp_path: Path) -> None:
    moved = LPS.copy()
    moved[1, 3] += 2.5
    save(tmp_path / "t1c.nii.gz")
    save(tmp_path / "t2f.nii.gz", affine=moved)
    with pytest.raises(InputError, match=r"'t1c' and 't2f'.*differ by up to 2\.5 mm"):
        Study.read(tmp_path)


def test_a_fifth_axis_is_refused_and_trailing_axes_of_one_are_not(tmp_path: Path) -> None:
    refused(save(tmp_path / "a.nii.gz", noise((3, 3, 3, 2, 2))), "5 axes")
    study = Study.read({"t1c": save(tmp_path / "b.nii.gz", noise((3, 4, 5, 1)))})
    assert study.grid.shape == (3, 4, 5)


def test_a_study_made_by_hand_is_checked_too() -> None:
    grid = Grid((2, 2, 2), np.eye(4))
    good = np.arange(8.0).reshape(2, 2, 2)
    assert Study({"T1ce": good}, grid).channels["t1c"].dtype == np.float32
    with pytest.raises(InputError, match="no channel"):
        Study({}, grid)
    with pytest.raises(InputError, match="shape"):
        Study({"t1c": good[:1]}, grid)
    with pytest.raises(InputError, match="complex"):
        Study({"t1c": good * 1j}, grid)
    with pytest.raises(InputError, match="twice"):
        Study({"t1c": good, "t1ce": good}, grid)
    with pytest.raises(InputError, match="empty name"):
        Study({" ": good}, grid)
    header = nib.Nifti1Image(good.astype(np.float32), np.diag([2.0, 2, 2, 1])).header
    with pytest.raises(InputError, match="another grid"):
        Study({"t1c": good}, grid, header=header)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_any_damage_to_a_header_ends_in_a_study_or_a_sentence(
    tmp_path: Path, damage: list[tuple[int, int]], compressed: bool
) -> None:
    content = bytearray(save(tmp_path / "whole.nii").read_bytes())
    for position, value in damage:
        content[position] = value
    path = tmp_path / "t1c.nii"
    path.write_bytes(gzip.compress(bytes(content)) if compressed else bytes(content))
    # Anything but InputError, a crash of the decoder above all, fails the test.
    with contextlib.suppress(InputError):
        assert all(np.isfinite(channel).all() for channel in Study.read(path).channels.values())


def test_a_compressed_file_under_an_uncompressed_name_is_read_for_what_it_is(tmp_path: Path) -> None:
    path = save(tmp_path / "t1c.nii.gz")
    path.rename(tmp_path / "t1c.nii")
    assert np.array_equal(Study.read(tmp_path).channels["t1c"], noise())
    assert gzip.decompress((tmp_path / "t1c.nii").read_bytes())[344:347] == b"n+1"
