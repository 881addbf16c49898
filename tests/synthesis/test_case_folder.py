"""Folders of labelled cases: what is found, what is passed over, what is said."""

import logging
from pathlib import Path

import numpy as np
import pytest

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import write_nifti
from oncoprompt.synthesis.case_folder import find_cases, read_cases

GRID = Grid((24, 28, 24), np.diag([6.0, 6.0, 6.0, 1.0]))


def write(folder: Path, name: str, label_map: str | None = "-seg.nii.gz", shift: int = 0, enhancing: int = 4) -> Path:
    case = folder / name
    case.mkdir(parents=True)
    image = np.zeros(GRID.shape, dtype=np.float32)
    image[4:20, 4:24, 4:20] = np.random.default_rng(0).uniform(50, 100, (16, 20, 16))
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[8 + shift : 12 + shift, 10:14, 8:12] = 2
    labels[9 + shift : 11 + shift, 11:13, 9:11] = enhancing
    write_nifti(case / f"{name}-t1c.nii.gz", image, like=GRID)
    write_nifti(case / f"{name}-t2f.nii.gz", image + 1, like=GRID)
    if label_map is not None:
        write_nifti(case / (name + label_map if label_map[0] in "-_" else label_map), labels, like=GRID)
    return case


@pytest.mark.parametrize("label_map", ["-seg.nii.gz", "_seg.nii.gz", "seg.nii.gz", "-seg.nii"])
def test_a_case_is_its_scans_and_its_label_map_in_the_head_box(tmp_path, label_map):
    write(tmp_path, "P1", label_map)
    (case,) = read_cases(tmp_path, "brats2021")
    assert case.name == "P1"
    assert case.channels == ("t1c", "t2f")
    assert case.images.shape == (2, 160, 192, 160)
    assert sorted(case.labels.unique().tolist()) == [0, 2, 3]
    assert int((case.labels == 3).sum()) == pytest.approx(2**3 * 6**3, rel=0.3)


def test_cases_come_in_the_order_of_their_names_and_other_folders_are_no_cases(tmp_path):
    for name in ("P2", "P10", "P1"):
        write(tmp_path, name)
    (tmp_path / "fields").mkdir()
    (tmp_path / "fields" / "P1.npz").write_bytes(b"no scan")
    (tmp_path / "notes.txt").write_text("no case")
    assert [files.name for files in find_cases(tmp_path)] == ["P1", "P10", "P2"]


def test_an_unlabelled_case_is_passed_over_and_named(tmp_path, caplog):
    write(tmp_path, "P1")
    write(tmp_path, "P2", label_map=None)
    with caplog.at_level(logging.WARNING):
        assert [case.name for case in read_cases(tmp_path, "brats2021")] == ["P1"]
    assert "P2" in caplog.text


def test_a_case_with_two_label_maps_is_passed_over_and_both_are_named(tmp_path, caplog):
    write(tmp_path, "P1")
    write(tmp_path, "P2")
    (tmp_path / "P2" / "P2_seg.nii").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert [files.name for files in find_cases(tmp_path)] == ["P1"]
    assert "P2-seg.nii.gz" in caplog.text
    assert "P2_seg.nii" in caplog.text


def test_a_case_that_cannot_be_read_does_not_end_the_others(tmp_path, caplog):
    for name in ("P1", "P2", "P3"):
        write(tmp_path, name)
    (tmp_path / "P2" / "P2-t1c.nii.gz").write_bytes(b"this is no scan")
    with caplog.at_level(logging.WARNING):
        assert [case.name for case in read_cases(tmp_path, "brats2021")] == ["P1", "P3"]
    assert "P2" in caplog.text


def test_if_no_case_can_be_read_the_reason_is_said(tmp_path):
    write(tmp_path, "P1", enhancing=4)
    with pytest.raises(InputError, match=r"0 can be used.*P1.*brats2023"):
        list(read_cases(tmp_path, "brats2023"))


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda folder: None, "holds no cases"),
        (lambda folder: write(folder, "P1", label_map=None), "None of the 1 cases"),
        (lambda folder: (folder / "P1").mkdir(), "holds no cases"),
    ],
)
def test_a_folder_without_labelled_cases_is_refused_before_anything_is_read(tmp_path, prepare, said):
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(InputError, match=said):
        read_cases(folder, "brats2021")


def test_the_folder_of_one_study_is_told_to_go_one_up(tmp_path):
    with pytest.raises(InputError, match="folder above"):
        read_cases(write(tmp_path, "P1"), "brats2021")


def test_too_few_cases_and_a_missing_folder_and_an_unknown_schema_are_refused(tmp_path):
    write(tmp_path, "P1")
    with pytest.raises(InputError, match="1 can be used; this needs at least 2"):
        read_cases(tmp_path, "brats2021", at_least=2)
    with pytest.raises(InputError, match="no folder"):
        read_cases(tmp_path / "absent", "brats2021")
    with pytest.raises(InputError, match="no label schema"):
        read_cases(tmp_path, "brats1999")
