"""KiTS, LiTS and the Decathlon's pancreas as they lie on disk, the organ masks beside them, and published folds."""

import json
from pathlib import Path

import numpy as np
import pytest

from cohort.writing import image, labels, save
from oncoprompt.cohort import Case, Cohort, Split, read_cohort, split_cohort
from oncoprompt.cohort.organ_masks import organ_masks
from oncoprompt.cohort.split import PUBLISHED_SHARES
from oncoprompt.errors import InputError


@pytest.mark.parametrize("parent", ["", "data"])
def test_kits_is_recognised_and_its_majority_labels_are_read(tmp_path, parent):
    for name in ("case_00000", "case_00001", "case_00002"):
        save(tmp_path / parent / name / "imaging.nii.gz", image(name))
    save(tmp_path / parent / "case_00000" / "aggregated_MAJ_seg.nii.gz", labels(1, 2, 3))
    save(tmp_path / parent / "case_00000" / "aggregated_OR_seg.nii.gz", labels(3, 3, 3))
    save(tmp_path / parent / "case_00001" / "segmentation.nii.gz", labels(1, 2))
    cohort = read_cohort(tmp_path)
    assert cohort.layout == "kits21"
    assert [case.name for case in cohort.cases] == ["case_00000", "case_00001", "case_00002"]
    assert [str(problem) for problem in cohort.problems] == [
        "case_00002: no label map aggregated_MAJ_seg.nii.gz or segmentation.nii.gz."
    ]
    first = cohort.labelled[0]
    assert np.array_equal(first.study().channels["ct"], image("case_00000"))
    assert first.labels().region_masks()["WT"].sum() == 9
    assert first.labels().schema.name == "kits21"


def test_lits_is_recognised_in_its_folders_and_ordered_by_number(tmp_path):
    for number, folder in ((10, "Training Batch 2"), (2, "Training Batch 1"), (0, "Training Batch 1")):
        save(tmp_path / folder / f"volume-{number}.nii", image(number))
        if number:
            save(tmp_path / folder / f"segmentation-{number}.nii", labels(1, 2))
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, [case.name for case in cohort.cases]) == ("lits", ["volume-0", "volume-2", "volume-10"])
    assert [problem.kind for problem in cohort.problems] == ["no label map"]
    assert cohort.labelled[1].labels().region_masks()["WT"].sum() == 9
    assert [case.name for case in read_cohort(tmp_path / "Training Batch 1", layout="lits").cases] == [
        "volume-0",
        "volume-2",
    ]


@pytest.mark.parametrize(("layout", "named"), [("kits21", "case_00000/imaging"), ("lits", "volume-0.nii")])
def test_a_folder_without_such_cases_says_how_they_are_named(tmp_path, layout, named):
    with pytest.raises(InputError, match=named):
        read_cohort(tmp_path, layout=layout)


def test_the_pancreas_of_the_decathlon_tells_organ_and_tumour(tmp_path):
    content = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "training": [{"image": "./imagesTr/pancreas_001.nii.gz", "label": "./labelsTr/pancreas_001.nii.gz"}],
        "test": [],
    }
    save(tmp_path / "imagesTr" / "pancreas_001.nii.gz", image(1))
    save(tmp_path / "labelsTr" / "pancreas_001.nii.gz", labels(1, 2))
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    case = read_cohort(tmp_path).labelled[0]
    assert list(case.channels) == ["ct"]
    assert case.labels().schema.name == "organ-tumour"
    assert case.labels().region_masks()["WT"].sum() == 9


def test_organ_masks_are_found_beside_a_scan_and_never_taken_for_another_scans(tmp_path):
    alone = save(tmp_path / "case_00000" / "imaging.nii.gz", image(0))
    assert organ_masks(alone, "kidney") == ()
    sides = [save(alone.with_name(f"kidney_{side}.nii.gz"), labels(1)) for side in ("left", "right")]
    assert organ_masks(alone, "kidney") == tuple(sides)
    whole = save(alone.with_name("kidney.nii.gz"), labels(1))
    assert organ_masks(alone, "kidney") == (whole,)
    volume = save(tmp_path / "flat" / "volume-0.nii", image(1))
    save(tmp_path / "flat" / "liver.nii.gz", labels(1))
    assert organ_masks(volume, "liver", alone=False) == ()
    own = save(tmp_path / "flat" / "volume-0_liver.nii.gz", labels(1))
    assert organ_masks(volume, "liver", alone=False) == (own,)


@pytest.mark.parametrize(
    ("name", "sizes"), [("kits21", (209, 30, 61)), ("msd-pancreas", (196, 28, 57)), ("lits", (83, 11, 24))]
)
def test_published_shares_give_the_published_sizes(name, sizes):
    names = [f"case_{number:05}" for number in range(sum(sizes))]
    cohort = Cohort(name, tuple(Case(each, each, {}, Path("seg.nii.gz")) for each in names))
    split = split_cohort(cohort, PUBLISHED_SHARES[name])
    assert tuple(len(split.cases(part)) for part in ("train", "validation", "test")) == sizes


@pytest.mark.parametrize("numbered", [False, True])
def test_a_list_of_folds_is_read_as_a_split(tmp_path, numbered):
    folds = [
        {"train": {"a": ["image", "label"], "b": ["image", "label"]}, "val": {"c": []}, "test": {"d": []}},
        {"train": ["d"], "val": ["a"]},
    ]
    path = tmp_path / "folds.json"
    path.write_text(json.dumps({str(n): fold for n, fold in enumerate(folds)} if numbered else folds))
    split = Split.read(path)
    assert (split.cases("train"), split.cases("validation"), split.cases("test")) == (("a", "b"), ("c",), ("d",))
    assert Split.read(path, fold=1).cases("train") == ("d",)
    with pytest.raises(InputError, match="it has 2 folds, none is number 2"):
        Split.read(path, fold=2)


def test_a_fold_with_a_case_in_two_parts_is_refused(tmp_path):
    (tmp_path / "folds.json").write_text(json.dumps([{"train": ["a", "b"], "val": ["b"]}]))
    with pytest.raises(InputError, match="'b' is in part 'train' and in part 'validation'"):
        Split.read(tmp_path / "folds.json")
