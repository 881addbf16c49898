"""Each way in which a data set can be broken is told, and the check goes on to the end."""

import gzip
import json
import re

import numpy as np
import pytest

from cohort.writing import AFFINE, SHAPE, brats_case, decathlon, image, labels, nnunet, save
from oncoprompt.cohort import Split, read_cohort, split_cohort
from oncoprompt.cohort.check import check_cohort

FIRST, SECOND = "BraTS-GLI-00001-000", "BraTS-GLI-00002-000"


@pytest.fixture
def data(tmp_path):
    """Two sound cases; tests break the second."""
    for name in (FIRST, SECOND):
        brats_case(tmp_path / "data", name)
    return tmp_path / "data"


def problems(folder, split=None, schema=None):
    """Case, kind and sentence of each problem."""
    return [(p.case, p.kind, p.sentence) for p in check_cohort(read_cohort(folder, schema=schema), split)]


def with_values(*values):
    array = image("x").astype(np.float32)
    array.flat[: len(values)] = values
    return array


BROKEN_SCANS = {
    "not finite": (with_values(np.nan, np.inf), AFFINE, "channel t2w .* holds 2 values that are NaN or infinite"),
    "constant channel": (np.full(SHAPE, 7.0, np.float32), AFFINE, "channel t2w .* is 7 in every voxel"),
    "different grids": (
        image("x"),
        AFFINE + np.diag([0, 0, 0.5, 0]),
        r"t1c.nii.gz and .*t2w.nii.gz lie on .*: their voxels differ by up to 3 mm",
    ),
    "contradiction": (np.stack([image("x"), image("y")], 3), AFFINE, "holds 2 volumes, but stands for 1: t2w"),
}


def test_sound_cases_have_no_problems(data):
    assert problems(data) == []


@pytest.mark.parametrize("kind", BROKEN_SCANS)
def test_a_broken_scan_is_told_once(data, kind):
    array, affine, said = BROKEN_SCANS[kind]
    save(data / SECOND / f"{SECOND}-t2w.nii.gz", array, affine)
    ((case, found, sentence),) = problems(data)
    assert (case, found) == (SECOND, kind)
    assert re.search(said, sentence), sentence


BROKEN_LABEL_MAPS = {
    "4": (labels(1, 2, 4), AFFINE, "labels", "brats2023 .* has no 4. They fit brats2021.*--schema"),
    "77": (labels(77), AFFINE, "labels", "has no 77. They fit no schema"),
    "fractions": (labels(1).astype(np.float32) / 2, AFFINE, "labels", "holds whole numbers; found 2 distinct"),
    "empty": (labels(), AFFINE, "empty label map", "seg.nii.gz holds no tumour"),
    "volumes": (np.stack([labels(1), labels(2)], 3), AFFINE, "labels", "holds 2 volumes"),
    "shape": (labels(1)[:-1], AFFINE, "different grids", r"shapes \(8, 9, 7\) and \(7, 9, 7\)"),
    "moved": (labels(1), AFFINE + np.eye(4, k=3), "different grids", "differ by up to 1 mm"),
}


@pytest.mark.parametrize("name", BROKEN_LABEL_MAPS)
def test_a_broken_label_map_is_told_once(data, name):
    array, affine, kind, said = BROKEN_LABEL_MAPS[name]
    save(data / SECOND / f"{SECOND}-seg.nii.gz", array, affine)
    ((case, found, sentence),) = problems(data)
    assert (case, found) == (SECOND, kind)
    assert re.search(said, sentence), sentence


@pytest.mark.parametrize("end", ["t1n", "seg"])
def test_files_that_are_cut_off_empty_or_no_scans_are_told(data, end):
    path = data / SECOND / f"{SECOND}-{end}.nii.gz"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no scan", gzip.compress(gzip.decompress(whole)[:-10])):
        path.write_bytes(content)
        ((case, kind, sentence),) = problems(data)
        assert (case, kind) == (SECOND, "unreadable file")
        assert path.name in sentence


def test_the_check_goes_on_after_each_problem(data):
    (data / FIRST / f"{FIRST}-t1n.nii.gz").write_bytes(b"")
    save(data / FIRST / f"{FIRST}-t2f.nii.gz", np.zeros(SHAPE, np.uint8))
    save(data / FIRST / f"{FIRST}-seg.nii.gz", labels())
    (data / SECOND / f"{SECOND}-t2w.nii.gz").unlink()
    save(data / SECOND / f"{SECOND}-seg.nii.gz", labels(9))
    assert sorted((case, kind) for case, kind, _ in problems(data)) == [
        (FIRST, "constant channel"),
        (FIRST, "empty label map"),
        (FIRST, "unreadable file"),
        (SECOND, "labels"),
        (SECOND, "missing channel"),
    ]


def test_label_maps_whose_schema_nothing_tells_are_told(tmp_path):
    brats_case(tmp_path, "BraTS-PED-00001-000", (1, 2, 3, 4))
    ((_, kind, sentence),) = problems(tmp_path)
    assert kind == "no label schema"
    assert "--schema" in sentence
    assert problems(tmp_path, schema="brats2024-ped") == []


def test_one_image_in_two_channels_is_told(data):
    save(data / SECOND / f"{SECOND}-t1n.nii.gz", image(SECOND, "t1c"))
    ((case, kind, sentence),) = problems(data)
    assert (case, kind, sentence) == (SECOND, "duplicate image", "channels t1c and t1n are the same image.")


def test_one_image_in_two_cases_is_told_whatever_type_and_compression_it_has(data):
    for channel in ("t1n", "t1c", "t2w", "t2f"):
        path = data / SECOND / f"{SECOND}-{channel}.nii.gz"
        save(path, image(FIRST, channel).astype(np.float32))
        if channel == "t2f":
            path.rename(path.with_name(f"{SECOND}-t2f.nii"))
            path.with_name(f"{SECOND}-t2f.nii").write_bytes(gzip.decompress(path.with_suffix("").read_bytes()))
    ((case, kind, sentence),) = problems(data)
    assert (case, kind) == (SECOND, "duplicate image")
    assert sentence == (f"every channel holds the same image as case '{FIRST}' of another patient, 'BraTS-GLI-00001'.")


def test_a_patient_twice_with_the_same_scan_is_told(data):
    later = brats_case(data, "BraTS-GLI-00001-001")
    save(later / "BraTS-GLI-00001-001-t2w.nii.gz", image(FIRST, "t2w"))
    ((case, kind, sentence),) = problems(data)
    assert (case, kind) == ("BraTS-GLI-00001-001", "duplicate image")
    assert sentence == f"channel t2w holds the same image as case '{FIRST}'."


def test_a_case_in_two_folders_is_told(data):
    brats_case(data / "more", SECOND)
    assert {kind for _, kind, _ in problems(data)} == {"duplicate case", "duplicate image"}


def test_a_split_that_leaks_is_told(data, tmp_path):
    for name in ("BraTS-GLI-00001-001", "BraTS-GLI-00003-000"):
        brats_case(data, name)
    save(data / "BraTS-GLI-00003-000" / "BraTS-GLI-00003-000-t1c.nii.gz", image(SECOND, "t1c"))
    parts = {"train": {"a": [FIRST, SECOND]}, "test": {"b": ["BraTS-GLI-00003-000", "BraTS-GLI-00001-001", "gone"]}}
    (tmp_path / "split.json").write_text(json.dumps({"seed": 0, "parts": parts}))
    found = problems(data, Split.read(tmp_path / "split.json"))
    assert [(case, kind) for case, kind, _ in found] == [
        ("BraTS-GLI-00001", "split"),
        ("gone", "split"),
        ("BraTS-GLI-00003-000", "duplicate image"),
    ]
    assert "in parts test and train" in found[0][2]
    assert "one in part test, the other in part train" in found[2][2]


def test_a_sound_split_is_sound_until_a_case_is_added(data):
    brats_case(data, "BraTS-GLI-00003-000")
    split = split_cohort(read_cohort(data))
    assert problems(data, split) == []
    brats_case(data, "BraTS-GLI-00004-000")
    ((case, kind, _),) = problems(data, split)
    assert (case, kind) == ("BraTS-GLI-00004-000", "split")


def test_volumes_of_a_file_are_checked_one_by_one(tmp_path):
    root = decathlon(tmp_path)
    assert problems(root) == []
    volumes = np.stack([image(1, volume) for volume in range(4)], axis=3).astype(np.float32)
    volumes[0, 0, 0, 2] = np.nan
    save(root / "imagesTr" / "B_1.nii.gz", volumes)
    save(root / "imagesTr" / "B_2.nii.gz", volumes[..., :3])
    found = [(case, kind) for case, kind, _ in problems(root)]
    assert found == [("B_1", "not finite"), ("B_2", "contradiction")]


def test_files_that_nnunet_lists_and_lacks_are_told_when_read(tmp_path):
    root = nnunet(tmp_path, {"dataset": {"x": {"images": ["0.nii.gz", "1.nii.gz"]}}})
    found = [(case, kind) for case, kind, _ in problems(root)]
    assert found == [("x", "unreadable file"), ("x", "unreadable file")]


def test_more_cases_than_are_read_ahead_are_told_in_order(tmp_path):
    names = [f"P{number:02d}" for number in range(40)]
    for name in names:
        brats_case(tmp_path, name, (), ("t1c",))
    begun = []
    cohort = read_cohort(tmp_path, schema="brats2023")
    assert [p.case for p in check_cohort(cohort, begin=lambda: begun.append(1))] == names
    assert len(begun) == 40
