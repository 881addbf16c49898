"""BraTS of every edition, and any data set with one folder a case."""

import nibabel as nib
import numpy as np
import pytest

from cohort.writing import AFFINE, FOUR, brats_case, image, labels, save
from oncoprompt.cohort import read_cohort
from oncoprompt.cohort.check import check_cohort
from oncoprompt.errors import InputError
from oncoprompt.evaluation.pairing import pair_label_maps
from oncoprompt.synthesis.case_folder import find_cases

OLD = ("t1", "t1ce", "t2", "flair")


@pytest.mark.parametrize(
    ("name", "layout", "patient", "schema", "channels", "separator"),
    [
        ("Brats18_CBICA_AAB_1", "brats2021", "Brats18_CBICA_AAB", "brats2021", OLD, "_"),
        ("BraTS19_2013_0_1", "brats2021", "BraTS19_2013_0", "brats2021", OLD, "_"),
        ("BraTS20_Training_001", "brats2021", "BraTS20_Training_001", "brats2021", OLD, "_"),
        ("BraTS2021_00000", "brats2021", "BraTS2021_00000", "brats2021", OLD, "_"),
        # renamed as in 2023, numbered as in 2021: the name of the case tells the edition, that of its channels does not
        ("BraTS2021_00000", "brats2021", "BraTS2021_00000", "brats2021", FOUR, "-"),
        ("BraTS-GLI-00005-100", "brats2023", "BraTS-GLI-00005", "brats2023", FOUR, "-"),
        ("BraTS-MET-00132-000", "brats2023", "BraTS-MET-00132", "brats2023", FOUR, "-"),
        ("BraTS-MEN-00004-000", "brats2023", "BraTS-MEN-00004", "brats2023", FOUR, "-"),
        ("BraTS-SSA-00002-000", "brats2023", "BraTS-SSA-00002", "brats2023", FOUR, "-"),
        ("BraTS-GoAT-00001", "brats2023", "BraTS-GoAT-00001", "brats2023", FOUR, "-"),
        ("BraTS-PED-00001-000", "brats2023", "BraTS-PED-00001", None, FOUR, "-"),
        ("P12", "folders", "P12", None, OLD, "_"),
    ],
)
def test_the_name_of_a_case_tells_edition_patient_and_schema(
    tmp_path, name, layout, patient, schema, channels, separator
):
    brats_case(tmp_path, name, (1, 2, 4), channels, separator)
    cohort = read_cohort(tmp_path)
    (case,) = cohort.cases
    assert (cohort.layout, case.name, case.patient) == (layout, name, patient)
    assert (case.schema.name if case.schema else None) == schema
    assert sorted(case.channels) == sorted(FOUR)
    assert cohort.problems == ()
    study = case.study()
    assert study.name == name
    assert np.array_equal(study.channels["t1c"], image(name, channels[1]))
    assert np.array_equal(study.channels["t2f"], image(name, channels[3]))


def test_cases_lie_below_folders_of_grades_or_all_in_one_folder(tmp_path):
    brats_case(tmp_path / "grades" / "HGG", "Brats18_CBICA_AAB_1", (1, 2, 4), OLD, "_")
    brats_case(tmp_path / "grades" / "LGG", "Brats18_2013_0_1", (1, 2, 4), OLD, "_")
    graded = read_cohort(tmp_path / "grades")
    assert [case.name for case in graded.cases] == ["Brats18_2013_0_1", "Brats18_CBICA_AAB_1"]
    for name in ("BraTS-GLI-00001-000", "BraTS-GLI-00002-000"):
        for file in brats_case(tmp_path / "source", name).iterdir():
            (tmp_path / "flat").mkdir(exist_ok=True)
            file.rename(tmp_path / "flat" / file.name)
    flat = read_cohort(tmp_path / "flat")
    assert [case.name for case in flat.cases] == ["BraTS-GLI-00001-000", "BraTS-GLI-00002-000"]
    assert all(len(case.channels) == 4 and case.label_map for case in flat.cases)


def test_a_folder_of_any_name_holds_the_case_that_its_files_name(tmp_path):
    brats_case(tmp_path, "BraTS-GLI-00001-000").rename(tmp_path / "download-7")
    save(tmp_path / "P9" / "scan_t1ce.nii.gz", image("x"))
    assert [case.name for case in read_cohort(tmp_path).cases] == ["BraTS-GLI-00001-000", "P9"]


def test_radiotherapy_meningiomas_need_one_channel_and_mean_the_gross_tumour_volume(tmp_path):
    brats_case(tmp_path, "BraTS-MEN-RT-0001-1", (1,), ("t1c",), "_", "gtv")
    cohort = read_cohort(tmp_path)
    (case,) = cohort.cases
    assert (case.patient, cohort.problems) == ("BraTS-MEN-RT-0001", ())
    assert case.labels().region_masks()["TC"].sum() == 9


def test_a_four_is_never_guessed_in_an_edition_where_it_came_later(tmp_path):
    brats_case(tmp_path, "BraTS-GLI-00005-100", (1, 2, 3, 4))
    with pytest.raises(InputError, match=r"brats2023 .* has no 4"):
        read_cohort(tmp_path).cases[0].labels()
    told = read_cohort(tmp_path, schema="brats2024-gli").cases[0].labels()
    assert told.schema.meaning(4) == "RC"


@pytest.mark.parametrize("name", ["BraTS-PED-00001-000", "P12"])
def test_numbers_whose_meaning_nothing_tells_are_refused(tmp_path, name):
    brats_case(tmp_path, name)
    with pytest.raises(InputError, match="names no label schema"):
        read_cohort(tmp_path).cases[0].labels()


def test_missing_files_are_told_and_the_case_stays(tmp_path):
    brats_case(tmp_path, "BraTS-GLI-00001-000")
    broken = brats_case(tmp_path, "BraTS-GLI-00002-000")
    (broken / "BraTS-GLI-00002-000-t1c.nii.gz").unlink()
    label_map = broken / "BraTS-GLI-00002-000-seg.nii.gz"
    # as in case 355 of BraTS 2020
    label_map.rename(broken / "W39_1998.09.19_Segm.nii.gz")
    cohort = read_cohort(tmp_path)
    assert len(cohort.cases) == 2
    assert [case.name for case in cohort.labelled] == ["BraTS-GLI-00001-000"]
    assert {problem.kind: problem.sentence for problem in cohort.problems} == {
        "no label map": "no label map named *-seg or *-gtv, which other cases have. "
        "Its folder also holds W39_1998.09.19_Segm.nii.gz.",
        "missing channel": "channel t1c is missing. Found: BraTS-GLI-00002-000-t1n.nii.gz, "
        "BraTS-GLI-00002-000-t2f.nii.gz, BraTS-GLI-00002-000-t2w.nii.gz.",
    }


def test_a_case_that_contradicts_itself_is_left_out_and_told(tmp_path):
    brats_case(tmp_path, "P1")
    folder = brats_case(tmp_path, "P2")
    save(folder / "P2_t1ce.nii.gz", image("other"))
    save(tmp_path / "P3" / "P3-seg.nii.gz", labels(1))
    for file in ("scan_t1.nii.gz", "scan-t1n.nii.gz"):
        save(tmp_path / "P4" / file, image(file))
    cohort = read_cohort(tmp_path)
    assert [case.name for case in cohort.cases] == ["P1"]
    assert {problem.case: problem.kind for problem in cohort.problems} == {
        "P2": "contradiction",
        "P3": "missing channel",
        "P4": "contradiction",
    }
    assert "2 files for channel t1c: P2-t1c.nii.gz, P2_t1ce.nii.gz" in str(cohort.problems[0])


def test_unlabelled_cases_are_no_problem_where_none_is_labelled(tmp_path):
    brats_case(tmp_path, "BraTS-GLI-00001-000", None)
    cohort = read_cohort(tmp_path)
    assert (len(cohort.cases), cohort.labelled, cohort.problems) == (1, (), ())
    with pytest.raises(InputError, match="has no label map"):
        cohort.cases[0].labels()


def test_a_channel_that_most_cases_have_is_missed_in_the_others(tmp_path):
    for name in ("P1", "P2"):
        brats_case(tmp_path, name, channels=("t1c", "t2f"))
    brats_case(tmp_path, "P3", channels=("t1c", "ct"))
    (problem,) = read_cohort(tmp_path).problems
    assert (problem.case, problem.kind) == ("P3", "missing channel")
    assert "t2f" in problem.sentence


def test_the_real_gliomas_are_of_2021_whatever_their_channels_are_called(real_data):
    cohort = read_cohort(real_data / "brats2021")
    assert (cohort.layout, len(cohort.labelled), cohort.problems) == ("brats2021", 11, ())
    assert {case.schema.name for case in cohort.cases} == {"brats2021"}
    masks = next(case for case in cohort.cases if "01476" in case.name).labels().region_masks()
    assert masks["ET"].sum() == 224


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("lesionwise_pairs", "holds files of 4 cases, but none is complete.*no scan beside BraTS-MET-00132-000-seg"),
        ("label_maps", "holds no case that can be made out. Found: label_table.txt, training_seg_01.nii.gz.*known:"),
    ],
)
def test_real_folders_without_scans_are_refused_with_what_they_hold(real_data, folder, said):
    with pytest.raises(InputError, match=said):
        read_cohort(real_data / folder)


def test_pairs_of_hdr_and_img_are_one_file_of_a_case(tmp_path):
    for name, array in (("p1-t1c", image("a")), ("p1-t2f", image("b")), ("p1-seg", labels(1, 2, 3))):
        (tmp_path / "p1").mkdir(exist_ok=True)
        nib.save(nib.Nifti1Pair(array, AFFINE), tmp_path / "p1" / f"{name}.img")
    (case,) = read_cohort(tmp_path, schema="brats2023").cases
    assert set(case.channels) == {"t1c", "t2f"}
    assert np.array_equal(case.labels().labels, labels(1, 2, 3))
    assert [found.name for found in find_cases(tmp_path)] == ["p1"]
    maps = tmp_path / "maps"
    maps.mkdir()
    for ending in ("img", "hdr"):
        (maps / f"p1-seg.{ending}").write_bytes((tmp_path / "p1" / f"p1-seg.{ending}").read_bytes())
    (pair,) = pair_label_maps(maps, maps).pairs
    assert pair.problem is None


def test_a_channel_that_is_a_link_to_nothing_is_a_problem_of_its_case(tmp_path):
    brats_case(tmp_path, "p1", channels=("t1c", "t2f"))
    (tmp_path / "p1" / "p1-t2f.nii.gz").unlink()
    (tmp_path / "p1" / "p1-t2f.nii.gz").symlink_to(tmp_path / "nowhere")
    (problem,) = check_cohort(read_cohort(tmp_path, schema="brats2023"))
    assert (problem.case, problem.kind) == ("p1", "unreadable file")
    assert "p1-t2f.nii.gz" in problem.sentence
