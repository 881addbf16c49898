"""Options with several numbers, and where outputs go."""

from pathlib import Path

import pytest

from oncoprompt.cli.arguments import gathered, whole_numbers
from oncoprompt.cli.outputs import Outputs
from oncoprompt.errors import InputError


def test_numbers_after_a_box_belong_to_it_and_boxes_repeat():
    given = ["segment", "--box", "1", "2", "3", "4", "5", "6", "-o", "x.nii", "--box", "7", "8", "9", "10", "11", "12"]
    assert gathered(given) == ["segment", "--box=1 2 3 4 5 6", "-o", "x.nii", "--box=7 8 9 10 11 12"]


def test_clicks_take_three_numbers_and_negative_ones_are_numbers_too():
    assert gathered(["--click", "-1", "2", "3", "--no-click", "4", "5", "6"]) == ["--click=-1 2 3", "--no-click=4 5 6"]


def test_a_box_in_one_word_stays_as_it_is():
    assert gathered(["--box", "1 2 3 4 5 6", "--box=1,2,3,4,5,6"]) == ["--box", "1 2 3 4 5 6", "--box=1,2,3,4,5,6"]


def test_nothing_is_gathered_after_two_dashes():
    assert gathered(["--", "--box", "1", "2"]) == ["--", "--box", "1", "2"]


@pytest.mark.parametrize("text", ["1 2 3 4 5 6", "1,2,3,4,5,6", "1, 2, 3, 4, 5, 6"])
def test_spaces_and_commas_separate_numbers(text):
    assert whole_numbers(text, 6, "--box", "I0 I1 J0 J1 K0 K1") == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("text", ["1 2 3 4 5", "1 2 3 4 5 6 7", "1 2 3 4 5 6.5", "a b c d e f", ""])
def test_other_than_six_whole_numbers_are_refused(text):
    with pytest.raises(InputError, match="--box takes 6 whole numbers"):
        whole_numbers(text, 6, "--box", "I0 I1 J0 J1 K0 K1")


def test_an_output_folder_is_made_and_gets_a_file_named_after_the_study(tmp_path: Path):
    outputs = Outputs.planned(tmp_path / "new" / "folder", "P12", None)
    assert outputs.label_map == tmp_path / "new" / "folder" / "P12-seg.nii.gz"
    assert outputs.label_map.parent.is_dir()
    assert outputs.probability("ET").name == "P12-prob-ET.nii.gz"


@pytest.mark.parametrize("name", ["case.nii", "case.nii.gz"])
def test_an_output_file_is_used_as_it_is(tmp_path: Path, name):
    outputs = Outputs.planned(tmp_path / name, "P12", tmp_path / "case.png")
    assert outputs.label_map == tmp_path / name
    assert outputs.probability("WT").name == name.replace("case", "case-prob-WT")


@pytest.mark.parametrize(
    ("out", "overlay", "told"),
    [
        ("nowhere/case.nii.gz", None, "nowhere' does not exist"),
        ("case.nrrd", None, "does not end in .nii or .nii.gz"),
        ("case.nii.gz", "case.jpg", "must end in .png"),
        ("case.nii.gz", "nowhere/case.png", "nowhere' does not exist"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_anything_is_computed(tmp_path: Path, out, overlay, told):
    with pytest.raises(InputError, match=told):
        Outputs.planned(tmp_path / out, "P12", tmp_path / overlay if overlay else None)
    assert not list(tmp_path.iterdir())
