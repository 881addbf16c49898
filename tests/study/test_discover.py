"""A study is found in the layouts of the field, or the reason why not is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, generate_uid

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from study.files import noise, save

FOUR = ["t1n", "t1c", "t2w", "t2f"]


@pytest.mark.parametrize(
    "names",
    [
        ["BraTS2021_00000_t1", "BraTS2021_00000_t1ce", "BraTS2021_00000_t2", "BraTS2021_00000_flair"],
        ["BraTS-GLI-00000-000-t1n", "BraTS-GLI-00000-000-t1c", "BraTS-GLI-00000-000-t2w", "BraTS-GLI-00000-000-t2f"],
        ["T1", "T1CE", "T2", "FLAIR"],
        ["p_T1w", "p_t1gd", "p_T2w", "p_Fla"],
    ],
)
def test_channels_of_every_naming_are_found_and_segmentations_passed_over(tmp_path: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        save(tmp_path / "case" / f"{name}.nii.gz", noise(seed=seed))
    save(tmp_path / "case" / "case_seg.nii.gz", np.ones((2, 2, 2), np.uint8))
    (tmp_path / "case" / "notes.txt").write_text("x")
    study = Study.read(tmp_path / "case")
    assert list(study.channels) == FOUR
    assert study.name == "case"
    assert all(np.array_equal(study.channels[name], noise(seed=seed)) for seed, name in enumerate(FOUR))
    assert study.channels["t1n"].dtype == np.float32


def test_any_subset_of_channels_is_a_study(tmp_path: Path) -> None:
    save(tmp_path / "t2f.nii")
    assert list(Study.read(tmp_path).channels) == ["t2f"]


def test_one_file_that_names_its_channel_is_a_study(tmp_path: Path) -> None:
    study = Study.read(save(tmp_path / "P1_t1ce.nii.gz"))
    assert list(study.channels) == ["t1c"]
    assert study.name == "P1"


def test_one_file_that_does_not_is_refused_until_told(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=r"scan\.nii\.gz.*Study\.read\(\{'t1c': path\}\).*t1gd"):
        Study.read(path)
    assert list(Study.read({"T1w": path}).channels) == ["t1n"]
    assert list(Study.read(path, channel_order=["pet"]).channels) == ["pet"]


def test_a_mapping_may_use_any_name(tmp_path: Path) -> None:
    study = Study.read({"adc": save(tmp_path / "a.nii"), "FLAIR": save(tmp_path / "b.nii")}, name="P2")
    assert list(study.channels) == ["t2f", "adc"]
    assert study.name == "P2"
    assert study.channel("t2f") is study.channels["t2f"]
    with pytest.raises(InputError, match=r"'P2' has no channel 't1c'\. Found: t2f, adc"):
        study.channel("t1c")


def test_a_folder_without_channels_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    save(tmp_path / "a_seg.nii.gz")
    save(tmp_path / "b.nii.gz")
    with pytest.raises(InputError, match=r"no channel\. Found: a_seg\.nii\.gz, b\.nii\.gz\. Accepted.*t1c, t1ce, t1gd"):
        Study.read(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="Found: nothing"):
        Study.read(tmp_path / "empty")


def test_two_files_for_one_channel_are_refused_with_both_names(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a_t1c.nii.gz"), save(tmp_path / "a_t1gd.nii.gz")
    with pytest.raises(InputError, match=r"'t1c': a_t1c\.nii\.gz and a_t1gd\.nii\.gz"):
        Study.read(tmp_path)
    with pytest.raises(InputError, match="Two files for channel 't1c'"):
        Study.read({"t1c": first, "T1ce": second})
    with pytest.raises(InputError, match="mapping is empty"):
        Study.read({})


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere' does not exist"):
        Study.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"t1\.nii' does not exist"):
        Study.read({"t1n": tmp_path / "t1.nii"})
    with pytest.raises(InputError, match="is not a file"):
        Study.read({"t1n": tmp_path})


def four_volumes(path: Path) -> Path:
    return save(path, np.stack([noise(seed=seed) for seed in range(4)], axis=-1))


@pytest.mark.parametrize("key", ["modality", "channel_names"])
@pytest.mark.parametrize("folder", ["Task01/imagesTr", "Task01"])
def test_volumes_of_a_decathlon_file_are_named_by_its_dataset_json(tmp_path: Path, key: str, folder: str) -> None:
    path = four_volumes(tmp_path / folder / "BRATS_001.nii.gz")
    content = {key: {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}}
    (tmp_path / "Task01" / "dataset.json").write_text(json.dumps(content))
    study = Study.read(path)
    assert study.grid.shape == (6, 7, 8)
    assert study.name == "BRATS_001"
    for seed, channel in enumerate(["t2f", "t1n", "t1c", "t2w"]):
        assert np.array_equal(study.channels[channel], noise(seed=seed))


def test_four_volumes_without_a_stated_order_are_refused(tmp_path: Path) -> None:
    path = four_volumes(tmp_path / "imagesTr" / "BRATS_001.nii.gz")
    with pytest.raises(InputError, match=r"4 volumes.*channel_order=.*dataset\.json.*Study\.read\(\{"):
        Study.read(path)
    study = Study.read(path, channel_order=["t1ce", "t1", "flair", "t2"])
    assert np.array_equal(study.channels["t1c"], noise(seed=0))
    with pytest.raises(InputError, match="4 volumes, but channel_order names 2"):
        Study.read(path, channel_order=["t1", "t2"])
    with pytest.raises(InputError, match="names 3 different"):
        Study.read(path, channel_order=["t1", "t2", "t1n", "flair"])
    with pytest.raises(InputError, match="4 volumes where channel 't1n' needs one"):
        Study.read({"t1n": path})


def test_nnunet_numbers_need_a_dataset_json(tmp_path: Path) -> None:
    images = tmp_path / "Dataset001" / "imagesTr"
    for number in range(2):
        save(images / f"case_{number:04d}.nii.gz", noise(seed=number))
    with pytest.raises(InputError, match="no channel"):
        Study.read(images)
    (tmp_path / "Dataset001" / "dataset.json").write_text('{"channel_names": {"1": "T1ce", "0": "CT"}}')
    study = Study.read(images)
    assert np.array_equal(study.channels["ct"], noise(seed=0))
    assert np.array_equal(study.channels["t1c"], noise(seed=1))


@pytest.mark.parametrize("text", ["{", "[]", '{"modality": {"a": "T1"}}', '{"modality": {"1": "T1"}}', "[" * 100_000])
def test_a_damaged_dataset_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset\.json"):
        Study.read(four_volumes(tmp_path / "x.nii.gz"))


def report(path: Path) -> None:
    """A structured report, which is DICOM and no image, without an ending."""
    content = Dataset()
    content.SOPClassUID, content.SOPInstanceUID = BasicTextSRStorage, generate_uid()
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.file_meta.MediaStorageSOPClassUID = content.SOPClassUID
    content.file_meta.MediaStorageSOPInstanceUID = content.SOPInstanceUID
    content.save_as(path, enforce_file_format=True)


def test_what_is_not_used_has_its_reason_whatever_its_format_and_place(tmp_path: Path, caplog) -> None:
    for name in ("p_t1c", "p_T1_T2", "p_0003", "p_T2_star", "old/p_t1n", "old/p_t2f", "old/p_seg"):
        save(tmp_path / f"{name}.nii.gz")
    for name in ("p_other.mnc", "p_t1c.nii.gz.part", "case.npz", "shot.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    report(tmp_path / "IM0001")
    (tmp_path / "series").mkdir()
    for number in range(30):
        (tmp_path / "series" / f"{number}.dcm").write_bytes(b"")
    study = Study.read(tmp_path)
    assert list(study.channels) == ["t1c"]
    reasons = {file.file: file.reason for file in study.unused_files}
    for name, reason in {
        "p_T1_T2.nii.gz": "several channels",
        "p_0003.nii.gz": "no dataset.json",
        "p_T2_star.nii.gz": "susceptibility",
        "old/p_t1n.nii.gz": "in a folder within",
        "old/p_t2f.nii.gz": "in a folder within",
        "old/p_seg.nii.gz": "label map",
        "p_other.mnc": "format that is not read",
        "p_t1c.nii.gz.part": "format that is not read",
        "case.npz": "MedSAM",
        "shot.png": "picture",
        "IM0001": "DICOM",
        "series/": "30 files",
    }.items():
        assert reason in reasons.pop(name), name
    assert not reasons
    (warning,) = [record.getMessage() for record in caplog.records if "Not used" in record.getMessage()]
    assert "old/ (2 scans" in warning
    assert "shot.png" not in warning


@pytest.mark.parametrize("ending", ["mnc", "nii.xz", "nii.zst", "nii.gz.part", "img.gz", "par"])
def test_a_channel_in_a_format_that_is_not_read_is_an_error_and_not_an_absence(tmp_path: Path, ending: str) -> None:
    save(tmp_path / "p_t2f.nii.gz")
    (tmp_path / f"p_t1c.{ending}").write_bytes(b"")
    with pytest.raises(InputError, match=rf"'p_t1c\.{ending}' is channel 't1c'.*not read.*Convert"):
        Study.read(tmp_path)


def test_a_channel_that_is_a_link_to_nothing_is_an_error_that_names_it(tmp_path: Path) -> None:
    save(tmp_path / "p_t2f.nii.gz")
    (tmp_path / "p_t1c.nii.gz").symlink_to(tmp_path / "annex" / "key")
    with pytest.raises(InputError, match=r"'p_t1c\.nii\.gz' is a link to a file that is not there"):
        Study.read(tmp_path)


def test_a_folder_without_channels_says_why_each_file_is_none(tmp_path: Path) -> None:
    for name in ("a_seg", "b_T1_T2", "sub/t1c"):
        save(tmp_path / f"{name}.nii.gz")
    with pytest.raises(
        InputError, match=r"a_seg.*label map.*b_T1_T2.*several channels.*sub/t1c\.nii\.gz \(in a folder"
    ):
        Study.read(tmp_path)
