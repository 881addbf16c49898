"""DICOM series land where their headers say, in their units, and odd folders are refused in words."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from oncoprompt.study.volume import read_volume

PATIENT = "Doe^Jane"
VALUES = np.random.default_rng(1).integers(0, 1000, (4, 6, 5)).astype(np.int16)
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def write_series(
    folder: Path, series: str = "1", modality: str = "CT", places=(0, 1, 2, 3), turn=UPRIGHT, names: str = "im"
) -> Path:
    """Slices of VALUES [slice, row, column], 2.5 mm apart, CT with slope 2 and intercept -1024, shuffled files."""
    folder.mkdir(parents=True, exist_ok=True)
    right, down = np.asarray(turn[:3]), np.asarray(turn[3:])
    normal = np.cross(right, down)
    for number, place in enumerate(places):
        image = SimpleITK.GetImageFromArray(VALUES[number][None])
        image.SetSpacing((0.5, 0.75, 2.5))
        image.SetOrigin([float(v) for v in np.asarray([10.0, -20.0, 30.0]) + normal * 2.5 * place])
        image.SetDirection([float(v) for v in np.stack([right, down, normal], axis=1).ravel()])
        tags = {
            "0008|0060": modality,
            "0010|0010": PATIENT,
            "0020|000e": f"1.2.826.0.1.3680043.2.1125.{series}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.99",
            "0020|0011": series,
            "0020|0032": "\\".join(f"{v:.6f}" for v in image.GetOrigin()),
            "0020|0037": "\\".join(str(v) for v in turn),
        }
        if modality == "CT":
            tags |= {"0028|1052": "-1024", "0028|1053": "2"}
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{names}{(number * 3) % 4}{number}.dcm"))
        writer.Execute(image)
    return folder


@pytest.mark.parametrize("turn", [UPRIGHT, SAGITTAL])
def test_every_voxel_lies_where_its_slice_says(tmp_path, turn):
    folder = write_series(tmp_path / "P12", turn=turn)
    study = Study.read(folder)
    assert (study.name, list(study.channels)) == ("P12", ["ct"])
    assert study.grid.shape == (5, 6, 4)
    right, down = np.asarray(turn[:3]), np.asarray(turn[3:])
    for index in ([0, 0, 0], [4, 0, 1], [2, 5, 3]):
        lps = [10.0, -20.0, 30.0] + right * 0.5 * index[0] + down * 0.75 * index[1]
        lps = lps + np.cross(right, down) * 2.5 * index[2]
        np.testing.assert_allclose(study.grid.to_world(index), lps * [-1, -1, 1], atol=1e-4)
    # The writer stores (value + 1024) / 2, rounded.
    np.testing.assert_allclose(study.channels["ct"], VALUES.transpose(2, 1, 0), atol=1.0)


def test_one_file_is_a_study_one_slice_thick(tmp_path):
    folder = write_series(tmp_path / "P12")
    study = Study.read(sorted(folder.iterdir())[0])
    assert study.grid.shape == (5, 6, 1)


def test_files_without_an_ending_are_known_by_their_content(tmp_path):
    folder = write_series(tmp_path / "P12")
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"IM{number}")
    assert Study.read(folder).grid.shape == (5, 6, 4)


def test_the_contrast_of_an_mr_series_is_not_guessed(tmp_path):
    folder = write_series(tmp_path / "P12", modality="MR")
    with pytest.raises(InputError, match="does not say which channel"):
        Study.read(folder)
    assert list(Study.read({"T1ce": folder}).channels) == ["t1c"]
    assert list(Study.read(folder, unnamed="scan").channels) == ["scan"]
    assert list(Study.read(folder, channel_order=["t2w"]).channels) == ["t2w"]


def test_several_series_are_listed_without_the_patients_name(tmp_path):
    write_series(tmp_path / "both", "1")
    write_series(tmp_path / "both", "2", modality="MR", names="other")
    with pytest.raises(InputError, match=r"holds 2 series: .*series 1 \(CT, 4 files.*series 2 \(MR, 4 files") as error:
        Study.read(tmp_path / "both")
    assert "Doe" not in str(error.value)


def test_missing_slices_and_time_series_are_refused(tmp_path):
    with pytest.raises(InputError, match="A slice is missing"):
        Study.read(write_series(tmp_path / "gap", places=(0, 1, 3, 4)))
    with pytest.raises(InputError, match="several images at one place"):
        Study.read(write_series(tmp_path / "time", places=(0, 0, 1, 1)))


def test_damaged_and_too_large_files_are_refused(tmp_path):
    folder = write_series(tmp_path / "P12")
    with pytest.raises(InputError, match="claims 120 voxels"):
        read_volume(folder, max_voxels=100)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:140])
    with pytest.raises(InputError, match=r"4 of 4 files in 'P12' cannot be read: im00.dcm"):
        Study.read(folder)
    with pytest.raises(InputError, match="is damaged or cut off, or no DICOM file"):
        Study.read(next(folder.iterdir()))


def test_real_series_are_read(real_data):
    ct = Study.read(real_data / "dicom" / "dcmqi" / "ct-3slice")
    assert (list(ct.channels), ct.grid.shape) == (["ct"], (512, 512, 3))
    assert -1030 < np.percentile(ct.channels["ct"], 30) < -970  # air, in Hounsfield units
    head = Study.read({"t1n": real_data / "dicom" / "FNNDSC_SAG-anon"})
    assert head.grid.shape == (256, 256, 192)
    np.testing.assert_allclose(head.grid.spacing_mm, (0.859375, 0.859375, 0.9), atol=1e-4)
    assert head.grid.axis_codes[:2] == ("P", "I")
    with pytest.raises(InputError, match="several frames"):
        Study.read(real_data / "dicom" / "dcmqi" / "liver.dcm")
