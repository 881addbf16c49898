"""BIDS: subjects, sessions, contrast agents, label maps of derivatives."""

import numpy as np
import pytest

from cohort.writing import bids, image, labels, save
from oncoprompt.cohort import read_cohort
from oncoprompt.errors import InputError


def test_sessions_are_cases_and_subjects_are_patients(tmp_path):
    cohort = read_cohort(bids(tmp_path / "raw"))
    assert (cohort.layout, cohort.problems) == ("bids", ())
    assert [(case.name, case.patient) for case in cohort.cases] == [
        ("sub-01_ses-1", "sub-01"),
        ("sub-01_ses-2", "sub-01"),
        ("sub-02", "sub-02"),
    ]
    study = cohort.cases[0].study()
    assert list(study.channels) == ["t1n", "t1c", "t2w", "t2f"]
    assert np.array_equal(study.channels["t1c"], image("sub-01_ses-1", "ce-gadolinium_T1w"))
    assert cohort.cases[0].labels().schema.name == "brats2023"


def test_label_maps_may_lie_beside_the_scans_with_a_table_of_their_own(tmp_path):
    anat = tmp_path / "sub-1" / "anat"
    save(anat / "sub-1_T1w.nii.gz", image("x"))
    save(anat / "sub-1_dseg.nii.gz", labels(1, 2, 4))
    (anat / "sub-1_dseg.tsv").write_text("index\tname\n1\tNCR\n2\tED\n4\tET\n")
    assert read_cohort(tmp_path).cases[0].labels().schema.name == "brats2021"


def test_without_a_table_numbers_are_not_guessed(tmp_path):
    root = bids(tmp_path)
    (root / "derivatives" / "experts" / "dseg.tsv").unlink()
    with pytest.raises(InputError, match="names no label schema"):
        read_cohort(root).cases[0].labels()
    assert read_cohort(root, schema="brats2023").cases[0].labels().schema.name == "brats2023"


def test_what_is_missing_or_twice_is_told_and_the_rest_is_read(tmp_path):
    root = bids(tmp_path, ("sub-01", "sub-02", "sub-03", "sub-04", "sub-05", "sub-06"))
    experts = root / "derivatives" / "experts"
    (root / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz").unlink()
    save(root / "sub-03" / "anat" / "sub-03_run-2_T1w.nii.gz", image("again"))
    (experts / "sub-04" / "anat" / "sub-04_desc-tumour_dseg.nii.gz").unlink()
    save(root / "derivatives" / "other" / "sub-05" / "anat" / "sub-05_dseg.nii.gz", labels(1))
    (experts / "sub-06" / "anat" / "sub-06_desc-tumour_dseg.tsv").write_text("number\tname\n1\tET\n")
    cohort = read_cohort(root)
    assert [case.name for case in cohort.cases] == ["sub-01", "sub-02", "sub-04", "sub-06"]
    assert {(problem.case, problem.kind) for problem in cohort.problems} == {
        ("sub-02", "missing channel"),
        ("sub-03", "contradiction"),
        ("sub-04", "no label map"),
        ("sub-05", "contradiction"),
        ("sub-06", "no label schema"),
    }


def test_label_maps_alone_are_refused(tmp_path):
    save(tmp_path / "sub-1" / "anat" / "sub-1_dseg.nii.gz", labels(1))
    with pytest.raises(InputError, match="no scan for sub-1_dseg"):
        read_cohort(tmp_path)
