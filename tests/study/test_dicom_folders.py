"""Every file of a DICOM folder is a slice, named as not used, or refused by name."""

import shutil

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from oncoprompt.study.dicom import is_dicom
from oncoprompt.study.volume import read_volume
from study.dicom_files import STORED, image, series, values_of, write
from study.files import save


def check_series(folder):
    np.testing.assert_array_equal(Study.read(folder).channels["ct"], values_of(STORED))


DAMAGE = {
    "a truncated": lambda content: content[:-20],
    "a half": lambda content: content[: len(content) // 2],
    "a cut header": lambda content: content[:140],
    "a file of zero bytes": lambda content: b"",
    "a file of zeros": lambda content: bytes(len(content)),
    "a file of text": lambda content: b"404 not found",
}


@pytest.mark.parametrize("name", ["001.dcm", "002.dcm", "004.dcm"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_slice_at_either_end_or_between_is_named_and_refused(tmp_path, name, damage):
    series(tmp_path / "ct")
    file = tmp_path / "ct" / name
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(InputError, match=f"'{name}' (is|has a damaged header)"):
        Study.read(tmp_path / "ct")


@pytest.mark.parametrize("damage", ["a truncated", "a half", "a file of zero bytes", "a file of zeros"])
def test_a_damaged_slice_without_an_ending_is_named_and_refused(tmp_path, damage):
    for number, file in enumerate(series(tmp_path / "ct")):
        file.rename(file.with_name(f"IM{number}"))
    file = tmp_path / "ct" / "IM3"
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(InputError, match=r"'IM3' (is|has a damaged header)"):
        Study.read(tmp_path / "ct")


def test_a_link_to_a_slice_that_is_not_there_is_named_and_refused(tmp_path):
    files = series(tmp_path / "ct")
    files[0].rename(tmp_path / "elsewhere.dcm")
    files[0].symlink_to(tmp_path / "elsewhere.dcm")
    check_series(tmp_path / "ct")
    (tmp_path / "elsewhere.dcm").unlink()
    with pytest.raises(InputError, match=r"'004\.dcm' is a link to a file that is not there"):
        Study.read(tmp_path / "ct")


def test_a_slice_without_pixels_is_named_and_refused(tmp_path):
    series(tmp_path / "ct", lambda number, made: delattr(made, "PixelData") if number == 3 else None)
    with pytest.raises(InputError, match=r"'001\.dcm' is cut off"):
        Study.read(tmp_path / "ct")


def test_a_slice_without_rows_is_named_and_refused(tmp_path):
    series(tmp_path / "ct", lambda number, made: delattr(made, "Rows") if number == 3 else None)
    with pytest.raises(InputError, match=r"'001\.dcm' is damaged"):
        Study.read(tmp_path / "ct")


def test_other_files_beside_a_series_are_named_and_not_used(tmp_path, caplog):
    series(tmp_path / "ct")
    others = {"Thumbs.db": b"\xd0\xcf\x11\xe0\0\0", "README": b"read me", "notes.json": b"{}", "a.png": b"\x89PNG"}
    for name, content in others.items():
        (tmp_path / "ct" / name).write_bytes(content)
    (tmp_path / "ct" / ".DS_Store").write_bytes(b"\0\0")
    write(tmp_path / "ct" / "report.dcm", image(STORED[0], modality="SR", Rows=None, SeriesInstanceUID=generate_uid()))
    check_series(tmp_path / "ct")
    for name in others:
        assert f"{name} (no DICOM)" in caplog.text
    assert "report.dcm (SR)" in caplog.text


def test_files_with_a_preamble_and_another_ending_are_slices(tmp_path):
    for number, file in enumerate(series(tmp_path / "ct")):
        file.rename(file.with_name(f"1.2.840.{number}"))
    check_series(tmp_path / "ct")


def test_files_without_a_preamble_are_slices(tmp_path):
    for file in series(tmp_path / "ct"):
        made = dcmread(file)
        del made.file_meta
        made.save_as(file, implicit_vr=True, little_endian=True, enforce_file_format=False)
        file.rename(file.with_suffix(""))
    assert is_dicom(tmp_path / "ct")
    check_series(tmp_path / "ct")


def test_identical_copies_are_left_out_and_named(tmp_path, caplog):
    files = series(tmp_path / "ct")
    shutil.copy(files[1], tmp_path / "ct" / "copy.dcm")
    other = dcmread(files[2])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    other.save_as(tmp_path / "ct" / "resent.dcm")
    check_series(tmp_path / "ct")
    assert "copy.dcm (as 003.dcm)" in caplog.text
    assert "resent.dcm (as 002.dcm)" in caplog.text


def test_two_files_that_claim_to_be_one_and_differ_are_refused(tmp_path):
    files = series(tmp_path / "ct")
    other = dcmread(files[1])
    other.PixelData = STORED[0].tobytes()
    other.save_as(tmp_path / "ct" / "zz.dcm")
    with pytest.raises(InputError, match=r"'003\.dcm' and 'zz\.dcm' have one SOPInstanceUID but differ"):
        Study.read(tmp_path / "ct")


def test_different_images_at_one_place_are_named_and_refused(tmp_path):
    series(tmp_path / "ct", lambda number, made: setattr(made, "ImagePositionPatient", [0, 0, number // 2]))
    with pytest.raises(InputError, match=r"'003\.dcm' and '004\.dcm' are different images at one place .*2 places"):
        Study.read(tmp_path / "ct")


@pytest.mark.parametrize(
    "names", [["ct-seg.nii.gz", "ct-prob-1.nii.gz", "ct-seg.json"], ["ct-seg.nrrd"], ["ct-seg.png"]]
)
def test_results_beside_a_series_are_not_taken_for_scans(tmp_path, caplog, names):
    series(tmp_path / "ct")
    for name in names:
        (tmp_path / "ct" / name).write_bytes(b"whatever")
    check_series(tmp_path / "ct")
    assert all(name in caplog.text for name in names)


def test_results_beside_folders_of_dicom_are_not_taken_for_scans(tmp_path, caplog):
    series(tmp_path / "exam" / "SE1")
    save(tmp_path / "exam" / "exam-seg.nii.gz")
    save(tmp_path / "exam" / "exam-prob-1.nii.gz")
    check_series(tmp_path / "exam")
    assert "exam-seg.nii.gz (no DICOM)" in caplog.text


def test_scans_numbered_by_a_dataset_are_scans_beside_folders_of_dicom(tmp_path):
    series(tmp_path / "case" / "dicom")
    save(tmp_path / "case" / "case_0000.nii.gz")
    (tmp_path / "case" / "dataset.json").write_text('{"channel_names": {"0": "FLAIR"}}')
    assert list(Study.read(tmp_path / "case").channels) == ["t2f"]


def test_scans_of_another_format_beside_a_series_are_refused_by_name(tmp_path):
    series(tmp_path / "case")
    save(tmp_path / "case" / "case_t1c.nii.gz")
    with pytest.raises(InputError, match=r"holds a DICOM series \(4 files, such as 001\.dcm\) and .*case_t1c\.nii\.gz"):
        Study.read(tmp_path / "case")


def test_a_dicom_segmentation_beside_nifti_scans_leaves_them_scans(tmp_path):
    save(tmp_path / "case" / "case_t1c.nii.gz")
    made = image(STORED[0], modality="SEG", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    write(tmp_path / "case" / "case-seg.dcm", made)
    assert list(Study.read(tmp_path / "case").channels) == ["t1c"]


@pytest.mark.parametrize("depth", ["IMAGES", "DICOM/PA0/ST0/SE0"])
def test_a_series_in_folders_within_the_folder_is_found(tmp_path, depth):
    series(tmp_path / "exam" / depth)
    made = image(STORED[0], SOPClassUID="1.2.840.10008.1.3.10", modality="", Rows=None)
    write(tmp_path / "exam" / "DICOMDIR", made)
    study = Study.read(tmp_path / "exam")
    assert study.name == "exam"
    np.testing.assert_array_equal(study.channels["ct"], values_of(STORED))


def test_a_series_spread_over_several_folders_is_one(tmp_path):
    for number, file in enumerate(series(tmp_path / "exam" / "A")):
        (tmp_path / "exam" / "B").mkdir(exist_ok=True)
        if number % 2:
            file.rename(tmp_path / "exam" / "B" / file.name)
    check_series(tmp_path / "exam")


def test_several_series_in_folders_are_listed_with_what_to_do(tmp_path):
    for name in ("FLAIR", "T1C"):
        series(tmp_path / "exam" / name, modality="MR", SeriesInstanceUID=generate_uid())
    with pytest.raises(
        InputError, match=r"2 series: .*FLAIR/001\.dcm.*T1C/001\.dcm.*--channel t2f=exam/FLAIR\."
    ) as error:
        Study.read(tmp_path / "exam")
    assert "Doe" not in str(error.value)


def test_dicom_folders_within_a_series_are_named_and_not_used(tmp_path, caplog):
    series(tmp_path / "ct")
    series(tmp_path / "ct" / "old", SeriesInstanceUID=generate_uid())
    check_series(tmp_path / "ct")
    assert "old/ (a folder)" in caplog.text


def test_a_folder_of_segmentations_alone_holds_no_image(tmp_path):
    write(tmp_path / "case" / "seg.dcm", image(STORED[0], modality="SEG"))
    with pytest.raises(InputError, match="none of them is an image"):
        Study.read(tmp_path / "case")


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ({"modality": "SEG"}, "no scan or picture"),
        ({"NumberOfFrames": 4}, "several frames"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1"}, "an enhanced image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "a mosaic"),
    ],
)
def test_files_that_are_no_single_slice_are_refused(tmp_path, elements, sentence):
    with pytest.raises(InputError, match=rf"'x\.dcm' .*{sentence}"):
        read_volume(write(tmp_path / "x.dcm", image(STORED[0], **elements)))


def test_an_index_of_files_is_refused_as_what_it_is(tmp_path):
    write(tmp_path / "DICOMDIR", image(STORED[0], SOPClassUID="1.2.840.10008.1.3.10", Rows=None))
    with pytest.raises(InputError, match="'DICOMDIR' lists other files"):
        read_volume(tmp_path / "DICOMDIR")


def test_a_folder_without_dicom_is_no_dicom_folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "notes.txt").write_text("nothing")
    assert not is_dicom(tmp_path / "a")
    save(tmp_path / "c" / "x_t1c.nii.gz")
    series(tmp_path / "c" / "dicom")
    assert not is_dicom(tmp_path / "c")
