"""Sizes of DICOM images are those that the files state; what they do not state is refused or said, never 1 mm."""

import numpy as np
import pytest

from oncoprompt.errors import InputError
from oncoprompt.inference import Session
from oncoprompt.inference.targets import TargetLogits, TargetSegmentation
from oncoprompt.study import Study
from oncoprompt.study.volume import read_volume
from study.dicom_files import STEP_MM, STORED, image, series, write

BAD_SPACINGS = [None, [0, 0], [0, 0.5], [-0.5, 0.5], [0.5]]


def segmentation(study):
    """Two voxels of a study as a target."""
    target = TargetLogits(np.ones((2, 1, 1), np.float32), (0, 0, 0))
    return TargetSegmentation(study, (target,), None, "axial", (), {}, ())


@pytest.mark.parametrize("spacing", BAD_SPACINGS)
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_a_scan_without_pixel_spacing_is_refused(tmp_path, spacing, modality):
    files = series(tmp_path / "scan", modality=modality, PixelSpacing=spacing)
    for path in (tmp_path / "scan", files[0]):
        with pytest.raises(InputError, match=r"\.dcm' does not state the size of its pixels"):
            read_volume(path)


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_a_spacing_of_another_kind_is_used_and_said(tmp_path, caplog, keyword):
    series(tmp_path / "ct", PixelSpacing=None, **{keyword: [0.6, 0.4]})
    np.testing.assert_allclose(read_volume(tmp_path / "ct").grid.spacing_mm, (0.4, 0.6, STEP_MM))
    assert "'004.dcm' has no PixelSpacing" in caplog.text
    assert f"({keyword})" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("spacing", [None, [0, 0]])
def test_a_picture_without_pixel_spacing_has_pixels_and_no_millimetres(tmp_path, caplog, spacing):
    file = write(tmp_path / "x.dcm", image(STORED[0], modality="US", PixelSpacing=spacing, SliceThickness=None))
    for study in (Study.read(file), Study.read({"us": file})):
        result = segmentation(study)
        assert (result.voxels(), result.volume_ml(), result.area_mm2()) == (2, None, None)
    assert list(Study.read(file).channels) == ["grey"]
    assert "'x.dcm' does not state the size of its pixels" in caplog.text


def test_pixels_that_are_not_square_are_said(tmp_path, caplog):
    made = image(STORED[0], modality="XC", PixelSpacing=None, PixelAspectRatio=[2, 1])
    read_volume(write(tmp_path / "x.dcm", made))
    assert "pixels of 'x.dcm' are not square (2 high to 1 wide)" in caplog.text


@pytest.mark.parametrize(
    ("elements", "thickness_mm"),
    [
        ({"SliceThickness": 3}, 3.0),
        ({"SliceThickness": 3, "SpacingBetweenSlices": 4}, 3.0),
        ({"SliceThickness": None, "SpacingBetweenSlices": 4}, 4.0),
        ({"SliceThickness": 0, "SpacingBetweenSlices": -4}, 4.0),
    ],
)
def test_one_slice_is_as_thick_as_its_header_says(tmp_path, elements, thickness_mm):
    study = Study.read(write(tmp_path / "x.dcm", image(STORED[0], **elements)))
    np.testing.assert_allclose(study.grid.spacing_mm, (0.5, 0.75, thickness_mm))
    assert segmentation(study).volume_ml() == pytest.approx(2 * 0.5 * 0.75 * thickness_mm / 1000)


@pytest.mark.parametrize("elements", [{"SliceThickness": None}, {"SliceThickness": 0}])
def test_one_slice_of_unknown_thickness_has_an_area_and_no_volume(tmp_path, caplog, elements):
    file = write(tmp_path / "x.dcm", image(STORED[0], **elements))
    for study in (Study.read(file), Study.read({"ct": file})):
        result = segmentation(study)
        assert result.volume_ml() is None
        assert result.area_mm2() == pytest.approx(2 * 0.5 * 0.75)
        with pytest.raises(InputError, match="does not state the thickness of its one slice"):
            Session(study, "tags-compact")
    assert "'x.dcm' does not state its slice thickness" in caplog.text


def test_a_stack_is_spaced_by_its_positions(tmp_path, caplog):
    series(tmp_path / "ct", SliceThickness=5, SpacingBetweenSlices=1)
    np.testing.assert_allclose(read_volume(tmp_path / "ct").grid.spacing_mm, (0.5, 0.75, STEP_MM))
    assert "2.5 mm apart, though SpacingBetweenSlices says 1" in caplog.text


def test_a_scan_that_does_not_say_where_it_lies_is_taken_as_axial_and_said(tmp_path, caplog):
    made = image(STORED[0], ImagePositionPatient=None, ImageOrientationPatient=None)
    grid = read_volume(write(tmp_path / "x.dcm", made)).grid
    np.testing.assert_allclose(grid.affine, np.diag([-0.5, -0.75, STEP_MM, 1]))
    assert "does not state where and how it lies; an axial slice is assumed" in caplog.text


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_a_slice_of_a_stack_that_does_not_say_where_it_lies_is_named(tmp_path, keyword):
    series(tmp_path / "ct", lambda number, made: delattr(made, keyword) if number == 2 else None)
    with pytest.raises(InputError, match=r"'002\.dcm' does not say where it lies"):
        read_volume(tmp_path / "ct")


@pytest.mark.parametrize("orientation", [[0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 2, 0]])
def test_an_orientation_that_is_none_is_refused(tmp_path, orientation):
    file = write(tmp_path / "x.dcm", image(STORED[0], ImageOrientationPatient=orientation))
    with pytest.raises(InputError, match="not two axes at right angles"):
        read_volume(file)


def placed(offsets):
    """Slices at such places along z, in slices."""

    def edit(number, made):
        made.ImagePositionPatient = [10, -20, 30 + STEP_MM * offsets[number]]

    return edit


@pytest.mark.parametrize(
    ("offsets", "sentence"),
    [
        ((0, 1, 3, 4), r"5 mm between '003\.dcm' and '002\.dcm' \(from 32\.5 to 37\.5 mm\)\. A slice is missing"),
        ((0, 1, 2, 5), r"7\.5 mm between '002\.dcm' and '001\.dcm' .* 2 slices are missing"),
        ((0, 1, 2.4, 3.4), r"3\.5 mm between '003\.dcm' and '002\.dcm' .* spaced unevenly"),
    ],
)
def test_a_gap_is_named_with_its_place(tmp_path, offsets, sentence):
    series(tmp_path / "ct", placed(offsets))
    with pytest.raises(InputError, match=sentence):
        read_volume(tmp_path / "ct")


def test_a_slice_beside_the_others_is_named(tmp_path):
    def edit(number, made):
        made.ImagePositionPatient = [10 + 30 * (number == 1), -20, 30 + STEP_MM * number]

    series(tmp_path / "ct", edit)
    with pytest.raises(InputError, match=r"'003\.dcm' lies 30 mm beside the line"):
        read_volume(tmp_path / "ct")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda made: setattr(made, "PixelSpacing", [0.7, 0.7]), r"'002\.dcm' has pixels of 0\.7 x 0\.7 mm"),
        (lambda made: setattr(made, "PixelSpacing", [0, 0]), r"'002\.dcm' has pixels of unknown size"),
        (
            lambda made: setattr(made, "ImageOrientationPatient", [0, 1, 0, 0, 0, -1]),
            r"'002\.dcm' is turned against the other slices",
        ),
        (lambda made: setattr(made, "Rows", 5), r"002\.dcm has 5 x 8 pixels \(CT\), the other 3 have 6 x 8"),
        (lambda made: setattr(made, "Modality", "MR"), r"002\.dcm has 6 x 8 pixels \(MR\)"),
    ],
)
def test_a_slice_that_differs_is_named(tmp_path, change, sentence):
    series(tmp_path / "ct", lambda number, made: change(made) if number == 2 else None)
    with pytest.raises(InputError, match=sentence):
        read_volume(tmp_path / "ct")
