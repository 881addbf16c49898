"""Which layout a folder has, and what is said where it has none."""

import pytest

from cohort.writing import bids, brats_case, nnunet
from oncoprompt.cohort import LAYOUTS, read_cohort
from oncoprompt.errors import InputError


def test_a_layout_that_is_named_is_read_as_such_or_refused(tmp_path):
    brats_case(tmp_path, "BraTS2021_00000", (1, 2, 4))
    assert read_cohort(tmp_path, layout="brats2021").layout == "brats2021"
    with pytest.raises(InputError, match="named as in layout brats2021, not brats2023"):
        read_cohort(tmp_path, layout="brats2023")
    with pytest.raises(InputError, match=r"has no dataset.json, which layout nnunet needs"):
        read_cohort(tmp_path, layout="nnunet")
    with pytest.raises(InputError, match=r"Read as layout bids; known: .*manifest"):
        read_cohort(tmp_path, layout="bids")
    with pytest.raises(InputError, match="holds 0 manifests"):
        read_cohort(tmp_path, layout="manifest")
    with pytest.raises(InputError, match=f"no layout 'dicom'. Known: {', '.join(LAYOUTS)}"):
        read_cohort(tmp_path, layout="dicom")


def test_a_folder_may_hold_two_layouts_and_the_person_chooses(tmp_path):
    bids(nnunet(tmp_path))
    assert read_cohort(tmp_path).layout == "nnunet"
    assert read_cohort(tmp_path, layout="bids").layout == "bids"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("notes.txt", "hello", "holds no case that can be made out. Found: notes.txt.*known: brats2021"),
        (
            "dataset.json",
            '{"name": "x"}',
            "neither channel_names .nnU-Net. nor training .Medical Decathlon.; found: name",
        ),
        ("dataset.json", "[]", "must hold names and values"),
    ],
)
def test_a_folder_of_no_layout_is_refused_with_what_it_holds(tmp_path, file, content, said):
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=said):
        read_cohort(tmp_path)


def test_an_empty_folder_a_missing_one_and_a_scan_are_refused(tmp_path):
    with pytest.raises(InputError, match="Found: nothing"):
        read_cohort(tmp_path)
    with pytest.raises(InputError, match="no file or folder"):
        read_cohort(tmp_path / "nowhere")
    folder = brats_case(tmp_path, "P1")
    with pytest.raises(InputError, match="is a file; give the folder"):
        read_cohort(folder / "P1-t1c.nii.gz")


def test_an_unknown_schema_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="no label schema 'brats1999'"):
        read_cohort(tmp_path, schema="brats1999")
