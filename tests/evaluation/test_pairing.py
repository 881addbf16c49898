"""Predictions find their truth by name, whatever way the folders are laid out, and never by guessing."""

from pathlib import Path

import pytest

from oncoprompt.errors import InputError
from oncoprompt.evaluation.pairing import pair_label_maps


def touched(folder: Path, *names: str) -> Path:
    """A folder with empty files of these names."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


@pytest.mark.parametrize("truth", ["P1.nii.gz", "P1-seg.nii.gz", "P1_seg.nii", "P1/P1-seg.nii.gz", "P1-gtv.nrrd"])
@pytest.mark.parametrize("prediction", ["P1.nii.gz", "P1-seg.nii.gz", "any/P1-seg.nii.gz"])
def test_files_of_one_case_pair_in_every_layout(tmp_path, truth, prediction):
    pairing = pair_label_maps(touched(tmp_path / "t", truth), touched(tmp_path / "p", prediction))
    (pair,) = pairing.pairs
    assert (pair.case, pair.truth, pair.prediction) == ("P1", tmp_path / "t" / truth, tmp_path / "p" / prediction)
    assert pairing.without_truth == ()


def test_scans_beside_the_label_maps_and_hidden_files_are_passed_over(tmp_path):
    scans = ("P1/P1-t1c.nii.gz", "P1/P1-t2f.nii.gz", "P2-t1c.nii.gz", ".P3.nii.gz", "P1/.P1-seg.nii.gz", "notes.txt")
    truth = touched(tmp_path / "t", "P1/P1-seg.nii.gz", "P2-seg.nii.gz", *scans)
    pairing = pair_label_maps(truth, truth)
    assert [pair.case for pair in pairing.pairs] == ["P1", "P2"]


def test_a_truth_without_prediction_and_a_prediction_without_truth_are_told(tmp_path):
    truth = touched(tmp_path / "t", "P1.nii.gz", "P2.nii.gz")
    prediction = touched(tmp_path / "p", "P2.nii.gz", "P9.nii.gz")
    pairing = pair_label_maps(truth, prediction)
    assert [(pair.case, pair.prediction, pair.problem) for pair in pairing.pairs] == [
        ("P1", None, "There is no prediction."),
        ("P2", prediction / "P2.nii.gz", None),
    ]
    assert pairing.without_truth == ("P9",)


def test_names_that_differ_pair_by_the_number_of_patient_and_time(tmp_path):
    truth = touched(tmp_path / "t", "BraTS-MET-00132-000-seg.nii.gz", "BraTS-MET-00132-001-seg.nii.gz")
    prediction = touched(tmp_path / "p", "00132-000.nii.gz", "SEG-00132-001.nii.gz")
    paired = {pair.case: pair.prediction.name for pair in pair_label_maps(truth, prediction).pairs}
    assert paired == {"BraTS-MET-00132-000": "00132-000.nii.gz", "BraTS-MET-00132-001": "SEG-00132-001.nii.gz"}


def test_a_number_that_two_files_have_pairs_nothing(tmp_path):
    truth = touched(tmp_path / "t", "BraTS-MET-00132-000.nii.gz", "P2.nii.gz")
    prediction = touched(tmp_path / "p", "a-00132-000.nii.gz", "b-00132-000.nii.gz", "P2.nii.gz")
    pairing = pair_label_maps(truth, prediction)
    assert pairing.pairs[0].problem == "There is no prediction."
    assert pairing.without_truth == ("a-00132-000", "b-00132-000")


def test_two_files_for_one_case_are_named_and_neither_is_used(tmp_path):
    twice = ("P1.nii.gz", "P1-seg.nii.gz")
    once = touched(tmp_path / "once", "P1.nii.gz", "P2.nii.gz")
    several = touched(tmp_path / "several", *twice, "P2.nii.gz")
    pair = pair_label_maps(once, several).pairs[0]
    assert pair.prediction is None
    assert pair.problem == "It has 2 label maps: P1-seg.nii.gz, P1.nii.gz. Keep one."
    pairing = pair_label_maps(several, once)
    assert [pair.case for pair in pairing.pairs] == ["P2"]
    assert "2 label maps" in pairing.unusable["P1"]


def test_two_files_pair_whatever_their_names(tmp_path):
    folder = touched(tmp_path, "truth-seg.nii.gz", "t1.nii")
    (pair,) = pair_label_maps(folder / "truth-seg.nii.gz", folder / "t1.nii").pairs
    assert (pair.case, pair.prediction) == ("truth", folder / "t1.nii")


def test_one_truth_is_found_in_a_folder_of_predictions(tmp_path):
    predictions = touched(tmp_path / "p", "P1.nii.gz", "P2.nii.gz")
    truth = touched(tmp_path / "t", "P2-seg.nii.gz") / "P2-seg.nii.gz"
    assert [pair.prediction for pair in pair_label_maps(truth, predictions).pairs] == [predictions / "P2.nii.gz"]


@pytest.mark.parametrize(
    ("truth", "prediction", "told"),
    [
        ("none", "full", "does not exist"),
        ("full", "none", "does not exist"),
        ("empty", "full", "holds no label maps"),
        ("full", "empty", "holds no label maps"),
        ("full", "other", "'.*other' holds Q1, '.*full' holds P1, P2, P3, ... (5 cases)"),
        ("full/notes.txt", "full", "is no label map"),
    ],
)
def test_a_place_without_label_maps_is_refused_in_a_sentence(tmp_path, truth, prediction, told):
    touched(tmp_path / "full", "notes.txt", *(f"P{n}.nii.gz" for n in range(1, 6)))
    touched(tmp_path / "other", "Q1.nii.gz")
    touched(tmp_path / "empty", "P1-t1c.nii.gz", "P1/P1-t2f.nii.gz")
    with pytest.raises(InputError, match=told.replace("(", r"\(").replace(")", r"\)")):
        pair_label_maps(tmp_path / truth, tmp_path / prediction)
