"""NRRD and MetaImage files of ITK land in the same place as their NIfTI twins."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from geometry.grids import grid_of
from oncoprompt.errors import InputError
from oncoprompt.study import Study
from study.files import noise, save


@pytest.mark.parametrize("extension", [".nrrd", ".mha"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_a_file_written_by_itk_has_the_grid_and_values_of_its_nifti(
    tmp_path: Path, extension: str, order: tuple[int, ...]
) -> None:
    grid = grid_of(order, (1.0, -1.0, 1.0), rotation=(5.0, 2.0, -9.0))
    nifti = save(tmp_path / "twin_t1c.nii.gz", noise(), grid.affine, (1, 1))
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(tmp_path / f"x_t1c{extension}"), True)
    twin, study = Study.read(nifti), Study.read(tmp_path / f"x_t1c{extension}")
    assert study.grid.matches(twin.grid, 1e-3)
    assert np.array_equal(study.channels["t1c"], twin.channels["t1c"])
    assert study.header is None


def test_files_that_point_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(64))
    text = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: secret.raw\n\n"
    (tmp_path / "t1.nrrd").write_text(text)
    with pytest.raises(InputError, match="points to another file"):
        Study.read(tmp_path)
    (tmp_path / "t2.mha").write_text("ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementDataFile = secret.raw\n")
    with pytest.raises(InputError, match="does not hold its own data"):
        Study.read(tmp_path / "t2.mha")


@pytest.mark.parametrize("sizes", ["2000 2000 2000", "400 400 4"])
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_headers_that_claim_more_than_the_file_holds_are_refused(tmp_path: Path, sizes: str, encoding: str) -> None:
    space = "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
    text = f"NRRD0004\ntype: uchar\ndimension: 3\n{space}sizes: {sizes}\nencoding: {encoding}\n\n"
    (tmp_path / "t1.nrrd").write_bytes(text.encode() + bytes(range(200)) * 5)
    with pytest.raises(InputError, match=r"claims|damaged"):
        Study.read(tmp_path)


def test_colours_and_time_series_are_refused(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "t1.nrrd"))
    with pytest.raises(InputError, match="give one volume"):
        Study.read(tmp_path)
