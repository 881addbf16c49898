"""What comes back lies on the grid of what went in, to the bit of its header."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geometry.grids import AXIS_ORDERS, grid_of, grids
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import Study, read_label_map, schemas, write_nifti
from study.files import LPS, noise, save


def same_header(path: Path, reference: Path, dtype: str) -> None:
    written, read = nib.load(path), nib.load(reference)
    assert written.shape == read.shape[:3]
    assert np.array_equal(written.affine, read.affine)
    for code in ("sform_code", "qform_code", "xyzt_units"):
        assert written.header[code] == read.header[code]
    for form in ("get_sform", "get_qform"):
        assert np.array_equal(getattr(written, form)(), getattr(read, form)())
    assert written.get_data_dtype() == dtype
    assert written.header.get_slope_inter() == (None, None)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    grid=grids(), codes=st.sampled_from([(1, 1), (1, 2), (0, 1), (2, 0), (4, 4)]), two=st.booleans(), gz=st.booleans()
)
def test_output_grid_equals_input_grid_for_any_grid(
    tmp_path: Path, grid: Grid, codes: tuple[int, int], two: bool, gz: bool
) -> None:
    kind = nib.Nifti2Image if two else nib.Nifti1Image
    source = tmp_path / f"t1c.nii{'.gz' if gz else ''}"
    array = noise(grid.shape)
    array.reshape(-1)[0] = 0
    if array.size == 1:
        array = noise((2, 1, 1))
    save(source, array, grid.affine, codes, kind)
    study = Study.read(source)
    target = tmp_path / f"out.nii{'.gz' if gz else ''}"
    write_nifti(target, (study.channels["t1c"] > 500).astype(np.uint8), study)
    same_header(target, source, "uint8")
    assert np.array_equal(nib.load(target).dataobj, array > 500)


@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS)
def test_output_grid_equals_input_grid_for_every_axis_order(
    tmp_path: Path, order: tuple[int, ...], signs: tuple[float, ...]
) -> None:
    source = save(tmp_path / "flair.nii.gz", noise(), grid_of(order, signs, rotation=(3.0, 9.0, -7.0)).affine)
    study = Study.read(source)
    write_nifti(tmp_path / "out.nii.gz", study.channels["t2f"].astype(np.int16), study)
    same_header(tmp_path / "out.nii.gz", source, "int16")
    assert np.array_equal(nib.load(tmp_path / "out.nii.gz").dataobj, nib.load(source).dataobj)


def test_sform_and_qform_that_differ_are_both_kept(tmp_path: Path) -> None:
    other = LPS.copy()
    other[:3, 3] += 11.0
    image = nib.Nifti1Image(noise(), LPS)
    image.set_sform(LPS, code=2)
    image.set_qform(other, code=1)
    nib.save(image, tmp_path / "t1.nii.gz")
    study = Study.read(tmp_path)
    assert np.array_equal(study.grid.affine, LPS)
    write_nifti(tmp_path / "out.nii.gz", np.zeros(study.grid.shape, np.uint8), study)
    same_header(tmp_path / "out.nii.gz", tmp_path / "t1.nii.gz", "uint8")


def test_a_scan_without_orientation_is_read_with_a_warning_and_stays_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = save(tmp_path / "t1.nii.gz", codes=(0, 0))
    study = Study.read(source)
    assert "left and right are assumed" in caplog.text
    write_nifti(tmp_path / "out.nii.gz", np.zeros(study.grid.shape, np.uint8), study)
    same_header(tmp_path / "out.nii.gz", source, "uint8")


def test_big_endian_and_scaled_files_are_read(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(np.linspace(-1.0, 2.0, 336).reshape(6, 7, 8), LPS, header)
    nib.save(image, tmp_path / "t1.nii")
    study = Study.read(tmp_path)
    assert np.array_equal(study.channels["t1n"], image.from_filename(tmp_path / "t1.nii").get_fdata(dtype=np.float32))
    assert study.channels["t1n"].max() == pytest.approx(2.0, abs=1e-3)
    write_nifti(tmp_path / "out.nii", np.zeros(study.grid.shape, np.uint8), study)
    same_header(tmp_path / "out.nii", tmp_path / "t1.nii", "uint8")


@pytest.mark.parametrize(
    ("given_type", "stored"),
    [
        ("uint8", "uint8"),
        ("bool", "uint8"),
        ("int16", "int16"),
        ("uint16", "uint16"),
        ("int32", "int32"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float32"),
    ],
)
def test_types_are_kept_or_become_the_documented_one(tmp_path: Path, given_type: str, stored: str) -> None:
    grid = Grid((3, 4, 5), LPS)
    array = (np.arange(60).reshape(3, 4, 5) % 2).astype(given_type)
    write_nifti(tmp_path / "out.nii.gz", array, grid)
    image = nib.load(tmp_path / "out.nii.gz")
    assert image.get_data_dtype() == stored
    assert np.array_equal(image.dataobj, array)
    assert np.allclose(image.affine, LPS, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_nothing_of_a_patient_travels_in_the_header(tmp_path: Path) -> None:
    image = nib.Nifti1Image(noise(), LPS)
    image.header["descrip"] = b"DOE^JANE 1950"
    image.header["db_name"] = b"JANE"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    nib.save(image, tmp_path / "t1.nii")
    study = Study.read(tmp_path)
    write_nifti(tmp_path / "out.nii", np.zeros(study.grid.shape, np.uint8), study)
    content = (tmp_path / "out.nii").read_bytes().lower()
    assert b"jane" not in content


def test_the_same_array_gives_the_same_bytes(tmp_path: Path) -> None:
    grid = Grid((3, 4, 5), LPS)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, np.ones(grid.shape, np.uint8), grid)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_what_cannot_be_written_is_refused_and_leaves_the_old_file_whole(tmp_path: Path) -> None:
    grid = Grid((3, 4, 5), LPS)
    path = tmp_path / "out.nii.gz"
    write_nifti(path, np.ones(grid.shape, np.uint8), grid)
    before = path.read_bytes()
    for array, message in [
        (np.ones((3, 4, 6), np.uint8), r"shape \(3, 4, 6\), but the scan has \(3, 4, 5\)"),
        (np.full(grid.shape, np.nan, np.float32), "NaN"),
        (np.ones(grid.shape, np.int64), "int64"),
        (np.ones(grid.shape, np.complex64), "complex64"),
    ]:
        with pytest.raises(InputError, match=message):
            write_nifti(path, array, grid)
    with pytest.raises(InputError, match=r"no 9"):
        write_nifti(path, np.full(grid.shape, 9, np.uint8), grid, schema="brats2021")
    with pytest.raises(InputError, match=r"must end in \.nii"):
        write_nifti(tmp_path / "out.png", np.ones(grid.shape, np.uint8), grid)
    with pytest.raises(InputError, match="does not exist"):
        write_nifti(tmp_path / "no" / "out.nii", np.ones(grid.shape, np.uint8), grid)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.nii.gz"]


def test_a_write_that_fails_half_way_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "out.nii").mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        write_nifti(tmp_path / "out.nii", np.ones((2, 2, 2), np.uint8), Grid((2, 2, 2), np.eye(4)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.nii"]


@pytest.mark.parametrize("name", schemas.names())
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_a_label_map_carries_its_schema(tmp_path: Path, name: str, extension: str) -> None:
    path = tmp_path / f"seg{extension}"
    values = [0, *(number for _, number in schemas.get(name).values)]
    labels = np.resize(np.array(values, dtype=np.uint8), (3, 4, 5))
    write_nifti(path, labels, Grid((3, 4, 5), LPS), schema=name)
    read = read_label_map(path)
    assert read.schema.name == name
    assert np.array_equal(read.labels, labels)
    assert read.grid.matches(Grid((3, 4, 5), LPS))
    other = "brats2021" if name != "brats2021" else "brats2023"
    with pytest.raises(InputError, match=f"schema {name} .*, not {other}"):
        read_label_map(path, other)


def test_a_label_map_without_a_schema_is_refused_with_what_4_may_mean(tmp_path: Path) -> None:
    path = save(tmp_path / "seg.nii.gz", np.resize(np.array([0, 1, 2, 4], np.uint8), (4, 4, 4)))
    with pytest.raises(
        InputError,
        match=r"values 0, 1, 2, 4.*4 means enhancing tumour in brats2021, resection cavity in brats2024-gli, oedema",
    ):
        read_label_map(path)
    assert read_label_map(path, "brats2021").region_masks()["ET"].sum() == 16
    with pytest.raises(InputError, match="no 4"):
        read_label_map(path, "brats2023")


def test_even_three_labels_are_not_guessed(tmp_path: Path) -> None:
    path = save(tmp_path / "seg.nii.gz", np.resize(np.array([0, 1, 2, 3], np.int16), (4, 4, 4)))
    with pytest.raises(InputError, match="names no label schema: 3 means"):
        read_label_map(path)


def test_a_real_case_comes_back_on_its_own_grid(tmp_path: Path, real_data: Path) -> None:
    case = real_data / "brats2021" / "BraTS2021_01481"
    study = Study.read(case)
    assert list(study.channels) == ["t1n", "t1c", "t2w", "t2f"]
    assert study.grid.axis_codes == ("L", "P", "S")
    truth = read_label_map(case / "BraTS2021_01481-seg.nii.gz", "brats2021")
    masks = truth.region_masks()
    assert truth.grid.matches(study.grid)
    write_nifti(tmp_path / "out.nii.gz", schemas.get("brats2023").from_regions(masks), study, schema="brats2023")
    same_header(tmp_path / "out.nii.gz", case / "BraTS2021_01481-t1n.nii.gz", "uint8")
    back = read_label_map(tmp_path / "out.nii.gz").region_masks()
    assert all(np.array_equal(back[region], masks[region]) for region in masks)
