"""Several words at once: kinds of tumour, each with a number of its own."""

import nibabel as nib
import numpy as np
import pytest

from inference.test_session_tags import method
from methods.tags.tiny_compact import BOX, study_of
from oncoprompt import Session
from oncoprompt.errors import InputError
from oncoprompt.inference import KindSegmentation, Segmentation
from oncoprompt.inference.segmentation import Provenance
from oncoprompt.methods.interface import RegionProbabilities
from oncoprompt.methods.tags.compact_method import CompactTagsMethod
from oncoprompt.prompts import Box, Text
from oncoprompt.study import Study, read_label_map


def found(study: Study, offset: tuple[int, int, int], values: np.ndarray) -> Segmentation:
    nested = np.stack([values, values * 0, values * 0]).astype(np.float32)
    return Segmentation(
        study, RegionProbabilities(nested, offset), Provenance("model", "", (), "0"), warnings=("same",)
    )


@pytest.fixture
def study() -> Study:
    return study_of("ct")


def kinds(study: Study) -> KindSegmentation:
    """Two kinds whose windows overlap in one voxel, and a third that finds nothing."""
    first, second = np.full((2, 1, 1), 0.7), np.array([0.9, 0.4]).reshape(2, 1, 1)
    answers = {
        "liver tumour": found(study, (4, 5, 6), first),
        "kidney tumour": found(study, (5, 5, 6), second),
        "pancreatic tumour": found(study, (0, 0, 0), np.zeros((1, 1, 1))),
    }
    return KindSegmentation(study, answers, Provenance("model", "", (), "0"))


def test_the_likelier_kind_has_the_voxel_and_kinds_do_not_overlap(study) -> None:
    result = kinds(study)
    expected = np.zeros(study.grid.shape, np.uint8)
    expected[4, 5, 6], expected[5, 5, 6] = 1, 2
    np.testing.assert_array_equal(result.label_map(), expected)
    np.testing.assert_array_equal(result.mask("kidney tumour"), expected == 2)
    assert not result.mask("pancreatic tumour").any()
    assert [result.count(words) for words in result.words] == [1, 1, 0]
    assert result.volume_ml("liver tumour") == pytest.approx(0.027)


def test_of_equals_the_first_wins(study) -> None:
    half = np.full((1, 1, 1), 0.6)
    answers = {"a": found(study, (1, 1, 1), half), "b": found(study, (1, 1, 1), half)}
    assert KindSegmentation(study, answers, Provenance("model", "", (), "0")).label_map()[1, 1, 1] == 1


def test_warnings_are_told_once_and_other_words_are_refused(study) -> None:
    assert kinds(study).warnings == ("same",)
    with pytest.raises(InputError, match=r"'glioma' was not asked for\. Asked for: liver tumour, kidney tumour"):
        kinds(study).mask("glioma")


def test_the_file_has_the_grid_of_the_scan_and_cannot_be_taken_for_regions(tmp_path, study) -> None:
    result = kinds(study)
    result.save(tmp_path / "kinds.nii.gz")
    written = nib.load(tmp_path / "kinds.nii.gz")
    np.testing.assert_array_equal(written.affine, study.grid.affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), result.label_map())
    with pytest.raises(InputError, match="kinds"):
        read_label_map(tmp_path / "kinds.nii.gz")


@pytest.mark.parametrize("prompt", ["nothing", "box"])
def test_each_kind_is_asked_for_as_if_it_were_alone(study, prompt) -> None:
    model = method()
    others = [Box.from_voxels(BOX, study.grid)] if prompt == "box" else []
    words = ("liver tumour", "kidney tumour")
    result = Session(study, model).segment_kinds(words, others)
    assert result.words == words
    assert result.provenance.prompts == (*others, *map(Text, words))
    for said in words:
        alone = Session(study, model).segment([*others, Text(said)])
        np.testing.assert_array_equal(result.answers[said].mask("WT"), alone.mask("WT"))
        assert not (result.mask(said) & ~alone.mask("WT")).any()
    together = np.logical_or.reduce([result.answers[said].mask("WT") for said in words])
    np.testing.assert_array_equal(result.label_map() > 0, together)


def test_the_whole_scan_is_encoded_once_for_all_kinds(study) -> None:
    model = method(bias=-9.0)
    Session(study, model).segment_kinds(("liver tumour", "kidney tumour", "pancreatic tumour"))
    assert model.regions == [None]


@pytest.mark.parametrize(
    ("words", "prompts", "said"),
    [
        ((), [], "Found: no words"),
        (("tumour", "tumour"), [], "Found: tumour, tumour"),
        (("tumour",), [Text("glioma")], "beside other prompts"),
        (("tumour", "fracture"), [], "not in the model's vocabulary"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_before_anything_is_computed(study, words, prompts, said) -> None:
    model = method()
    assert isinstance(model, CompactTagsMethod)
    with pytest.raises(InputError, match=said):
        Session(study, model).segment_kinds(words, prompts)
    assert model.regions == []
