"""Data sets that list themselves: nnU-Net, the Medical Decathlon, manifests."""

import json

import numpy as np
import pytest

from cohort.writing import SHAPE, brats_case, decathlon, image, labels, nnunet, save
from oncoprompt.cohort import read_cohort
from oncoprompt.cohort.check import check_cohort
from oncoprompt.errors import InputError

REGIONS = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}


def test_an_nnunet_data_set_is_read_with_the_meaning_its_labels_give(tmp_path):
    cohort = read_cohort(nnunet(tmp_path / "Dataset007_X"))
    assert (cohort.layout, cohort.problems, cohort.channels) == ("nnunet", (), ("t1c", "t2f"))
    assert [(case.name, case.patient, case.label_map is not None) for case in cohort.cases] == [
        ("a_1", "a_1", True),
        ("b", "b", True),
        ("c", "c", False),
    ]
    case = cohort.cases[0]
    assert np.array_equal(case.study().channels["t2f"], image("a_1", 1))
    assert case.schema.name == "brats2023"
    assert case.labels().region_masks()["WT"].sum() == 27


def test_regions_of_nnunet_say_which_numbers_are_which(tmp_path):
    root = nnunet(tmp_path, {"labels": REGIONS, "regions_class_order": [1, 2, 3]})
    label_map = read_cohort(root).cases[0].labels()
    assert label_map.schema.name == "nnunet"
    assert set(label_map.labels[label_map.region_masks()["ET"]]) == {3}
    assert set(label_map.labels[label_map.region_masks()["TC"]]) == {2, 3}


def test_explicit_paths_of_nnunet_take_the_place_of_its_folders(tmp_path):
    for number in (0, 1):
        save(tmp_path / "elsewhere" / f"{number}.nii.gz", image(number))
    save(tmp_path / "elsewhere" / "truth.nii.gz", labels(1))
    files = {"images": ["../elsewhere/0.nii.gz", "../elsewhere/1.nii.gz"], "label": "../elsewhere/truth.nii.gz"}
    broken = {"images": ["0.nii.gz", "1.nii.gz", "2.nii.gz"], "label": "truth.nii.gz"}
    cohort = read_cohort(nnunet(tmp_path / "raw", {"dataset": {"x": files, "y": broken, "z": "nothing"}}))
    assert [case.name for case in cohort.cases] == ["x", "c"]
    assert np.array_equal(cohort.cases[0].study().channels["t1c"], image(0))
    assert cohort.cases[0].labels().labels.any()
    assert [problem.case for problem in cohort.problems] == ["y", "z"]


def test_what_an_nnunet_data_set_lacks_is_told_and_the_rest_is_read(tmp_path):
    root = nnunet(tmp_path)
    (root / "imagesTr" / "a_1_0001.nii.gz").unlink()
    (root / "labelsTr" / "b.nii.gz").unlink()
    save(root / "labelsTr" / "stray.nii.gz", labels(1))
    save(root / "imagesTr" / "b_0002.nii.gz", image("third"))
    cohort = read_cohort(root)
    assert len(cohort.cases) == 3
    assert {(problem.case, problem.kind) for problem in cohort.problems} == {
        ("a_1", "missing channel"),
        ("b", "no label map"),
        ("stray", "missing channel"),
        ("b_0002", "file name"),
    }


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"labels": {"background": 0, "spleen": 1, "ET": 2}}, r"mean nothing here: 'spleen'\. Accepted: .*--schema"),
        ({"labels": {"background": 0, "whole tumour": [1, 2]}}, "names no region TC, ET"),
        ({"labels": {**REGIONS, "enhancing tumor": [4]}}, "regions .* are not nested"),
        ({"labels": {"background": 0, "NCR": 1, "ED": 1}}, "each once"),
        ({"labels": {"background": 0}}, "none at all"),
        ({"labels": ["NCR"]}, 'needs "labels"'),
        ({"channel_names": {"0": "T1ce", "2": "FLAIR"}}, "number different channels 0, 1, 2"),
        ({"channel_names": {"0": "T1ce", "1": "t1gd"}}, "number different channels"),
        ({"channel_names": ["T1ce"]}, 'needs "channel_names"'),
        ({"file_ending": ".png"}, r"file_ending '\.png'"),
        ({"file_ending": ".nrrd"}, "belong in imagesTr as <case>_0000.nrrd"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(tmp_path, description, said):
    with pytest.raises(InputError, match=said):
        read_cohort(nnunet(tmp_path, description))


def test_a_schema_that_is_given_takes_the_place_of_unknown_label_names(tmp_path):
    root = nnunet(tmp_path, {"labels": {"background": 0, "one": 1, "two": 2, "three": 3}})
    assert read_cohort(root, schema="brats2023").cases[0].labels().schema.name == "brats2023"


def test_volumes_of_a_decathlon_file_are_channels_by_their_numbers(tmp_path):
    cohort = read_cohort(decathlon(tmp_path))
    assert (cohort.layout, cohort.problems) == ("decathlon", ())
    assert [(case.name, case.label_map is not None) for case in cohort.cases] == [
        ("B_1", True),
        ("B_2", True),
        ("B_3", False),
    ]
    study = cohort.cases[1].study()
    assert study.grid.shape == SHAPE
    for volume, channel in enumerate(("t2f", "t1n", "t1c", "t2w")):
        assert np.array_equal(study.channels[channel], image(2, volume))
    label_map = cohort.cases[1].labels()
    assert set(label_map.labels[label_map.region_masks()["TC"]]) == {2, 3}


def test_a_decathlon_task_of_one_channel_has_three_dimensional_files(tmp_path):
    root = decathlon(tmp_path)
    description = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(description | {"modality": {"0": "CT"}, "test": []}))
    for number in (1, 2):
        save(root / "imagesTr" / f"B_{number}.nii.gz", image(number))
    cohort = read_cohort(root)
    assert [list(case.study().channels) for case in cohort.cases] == [["ct"], ["ct"]]
    assert list(check_cohort(cohort)) == []


def test_files_that_a_decathlon_task_lists_and_lacks_are_told(tmp_path):
    root = decathlon(tmp_path)
    (root / "imagesTr" / "B_1.nii.gz").unlink()
    (root / "labelsTr" / "B_2.nii.gz").unlink()
    cohort = read_cohort(root)
    assert [case.name for case in cohort.cases] == ["B_2", "B_3"]
    assert cohort.labelled == ()
    assert [(problem.case, problem.kind) for problem in cohort.problems] == [
        ("B_1", "missing file"),
        ("B_2", "missing file"),
    ]


def test_a_manifest_says_where_everything_lies(tmp_path):
    for name in ("one", "two"):
        brats_case(tmp_path / "scans", name, (1, 2, 4))
    rows = [
        "case,patient,T1ce,flair,label_map,schema",
        "first,p,scans/one/one-t1c.nii.gz,scans/one/one-t2f.nii.gz,scans/one/one-seg.nii.gz,brats2021",
        f"second,p,{tmp_path}/scans/two/two-t1c.nii.gz,scans/two/two-t2f.nii.gz,,",
    ]
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    (tmp_path / "semicolons.csv").write_text("\n".join(rows).replace(",", ";"))
    listed = [
        {
            "case": "first",
            "patient": "p",
            "channels": {"t1c": "scans/one/one-t1c.nii.gz", "flair": "scans/one/one-t2f.nii.gz"},
            "label_map": "scans/one/one-seg.nii.gz",
            "schema": "brats2021",
        },
        {
            "case": "second",
            "patient": "p",
            "channels": {"t1c": "scans/two/two-t1c.nii.gz", "t2f": "scans/two/two-t2f.nii.gz"},
        },
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"cases": listed}))
    for source in (tmp_path / "table.csv", tmp_path / "semicolons.csv", tmp_path / "manifest.json", tmp_path):
        cohort = read_cohort(source)
        assert (cohort.layout, cohort.problems) == ("manifest", ())
        assert [(case.name, case.patient, case.label_map is not None) for case in cohort.cases] == [
            ("first", "p", True),
            ("second", "p", False),
        ]
        assert np.array_equal(cohort.cases[1].study().channels["t2f"], image("two", "t2f"))
        assert cohort.cases[0].labels().schema.name == "brats2021"
        assert read_cohort(source, schema="brats2024-ped").cases[0].schema.name == "brats2024-ped"


def test_a_row_that_cannot_be_used_does_not_end_the_rest(tmp_path):
    save(tmp_path / "a.nii.gz", image("a"))
    rows = ["case,t1c,t1ce,schema", "good,a.nii.gz,,", "gone,b.nii.gz,,", ",a.nii.gz,,", "bare,,,"]
    rows += ["twice,a.nii.gz,a.nii.gz,", "odd,a.nii.gz,,brats1999"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    cohort = read_cohort(tmp_path / "m.csv")
    assert [case.name for case in cohort.cases] == ["good"]
    assert [problem.case for problem in cohort.problems] == ["gone", "row 3", "bare", "twice", "odd"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv", "case,age\nx,63\n", "columns case, age, of which age mean nothing here"),
        ("m.csv", "t1c\na.nii.gz\n", "It needs 'case'"),
        ("m.csv", "", "has the columns none"),
        ("m.csv", "case,t1c\n", "It is empty"),
        ("m.csv", "case,t1c\nx,b.nii.gz\n", "No row .* First, x: there is no file"),
        ("m.json", "{", "cannot be read as JSON"),
        ("m.json", '{"cases": 3}', "must hold"),
        ("m.txt", "case", "a manifest in .csv or .json"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        read_cohort(tmp_path / name)
