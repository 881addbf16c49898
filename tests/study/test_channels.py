"""Channel names of the field are understood, whatever their spelling."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncoprompt.study import canonical_channel
from oncoprompt.study.channels import channel_of_stem, in_order, is_mask, split_extension, why_no_channel


@pytest.mark.parametrize(
    ("stem", "channel", "case"),
    [
        ("BraTS2021_00000_t1", "t1n", "BraTS2021_00000"),
        ("BraTS2021_00000_t1ce", "t1c", "BraTS2021_00000"),
        ("BraTS2021_00000_t2", "t2w", "BraTS2021_00000"),
        ("BraTS2021_00000_flair", "t2f", "BraTS2021_00000"),
        ("BraTS-GLI-00000-000-t1n", "t1n", "BraTS-GLI-00000-000"),
        ("BraTS-GLI-00000-000-t1c", "t1c", "BraTS-GLI-00000-000"),
        ("BraTS-GLI-00000-000-t2w", "t2w", "BraTS-GLI-00000-000"),
        ("BraTS-GLI-00000-000-t2f", "t2f", "BraTS-GLI-00000-000"),
        ("T1w", "t1n", ""),
        ("T1", "t1n", ""),
        ("x_T1Gd", "t1c", "x"),
        ("x_t1w-ce", "t1c", "x"),
        ("x_T1w_ce", "t1c", "x"),
        ("FLAIR", "t2f", ""),
        ("a.fla", "t2f", "a"),
        ("sub-01_ses-1_T2w", "t2w", "sub-01_ses-1"),
        ("sub-01_ce-gadolinium_T1w", "t1c", "sub-01_ce-gadolinium"),
        ("sub-01_T2_FLAIR", "t2f", "sub-01"),
        ("thorax_CT", "ct", "thorax"),
    ],
)
def test_the_end_of_a_file_name_says_the_channel(stem: str, channel: str, case: str) -> None:
    assert channel_of_stem(stem) == (channel, case)


@pytest.mark.parametrize("stem", ["pat1", "at1c", "dissect", "t1c_moved", "BRATS_001", "lesions", "t11"])
def test_a_name_that_only_looks_alike_is_no_channel(stem: str) -> None:
    assert channel_of_stem(stem) is None


@pytest.mark.parametrize("stem", ["x_seg", "x-seg", "SEG", "a_brain_mask", "x_dseg", "labels", "x_gtv", "t1_mask"])
def test_segmentations_are_known_by_their_names(stem: str) -> None:
    assert is_mask(stem)
    assert not is_mask(stem + "ment_t1")


def test_bare_names_and_order() -> None:
    assert canonical_channel(" T1CE ") == "t1c"
    assert canonical_channel("pet") is None
    assert in_order(["pet", "t2f", "ct", "adc", "t1n"]) == ["t1n", "t2f", "ct", "adc", "pet"]
    assert split_extension("A.NII.GZ") == ("A", ".nii.gz")
    assert split_extension(".nii") is None
    assert split_extension("a.txt") is None


NAMES = {
    "t1c": (
        "CT1", "T1+C", "T1 C+", "T1post", "T1_post", "post_T1w", "T1_Gd", "T1KM", "T1_KM", "T1CE", "T1wCE",
        "T1_contrast", "T1c_bias", "AX_T1_POST", "T1-weighted post contrast", "T1wPostContrast",
        "postGd_T1", "T1_MPRAGE_post",
        "T1 MPR KM tra", "T1c_brain_n4_reg", "UCSF-PDGM-0004_T1c_bias", "sub-01_ce-gd_acq-mprage_T1w",
        "sub-01_acq-postcontrast_run-1_T1w", "x_ce-gadobutrol_T1w", "T1ce_hd-bet",
        "T1ce_skull-stripped", "T1_Gd_bias_field_corrected",
    ),
    "t1n": (
        "T1_pre", "T1nativ", "T1_noC", "T1_C-", "T1_no_contrast", "T1_non-contrast", "T1_noGd", "T1_precontrast",
        "T1_unenhanced", "T1_plain", "T1_without_contrast", "T1_bet", "sub-01_ce-none_T1w", "sub-01_acq-mprage_T1w",
    ),
    "t2w": ("T2w_reg", "AX_T2_TSE", "T2-weighted", "T2_post", "T2_preproc"),
    "t2f": ("T2_FLAIR", "FLAIR_bias", "dark-fluid", "T2_tirm_darkfluid", "T2wFLAIR", "FLAIR_post", "T2FLAIR_stripped"),
    "ct": ("CECT", "CT_contrast"),
}  # fmt: skip


@pytest.mark.parametrize(("channel", "name"), [(channel, name) for channel, names in NAMES.items() for name in names])
def test_names_of_hospitals_and_data_sets_say_their_channel(channel: str, name: str) -> None:
    found = channel_of_stem(name)
    assert found is not None, why_no_channel(name)
    assert found[0] == channel


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("T1_T2", "several channels"),
        ("T1_FLAIR", "several channels"),
        ("CT_T1", "several channels"),
        ("T1_pre_post", "both native and after contrast"),
        ("T1c_T1n", "both native and after contrast"),
        ("C_T1", "single letter"),
        ("no_T1", "'no'"),
        ("dwi_T2", "diffusion"),
        ("T2_star", "susceptibility"),
        ("T2*", "susceptibility"),
        ("perf_T1", "perfusion"),
        ("PD_T2", "proton density"),
        ("T1_map", "relaxation times"),
        ("T1_subtraction", "difference of scans"),
        ("seg_T1", "label map"),
        ("t1c_mask_reg", "label map"),
        ("T2_tirm", "FLAIR or STIR"),
        ("T1_bias_field", "ends in no channel"),
        ("T1_to_atlas", "ends in no channel"),
        ("sect", "ends in no channel"),
        ("anything", "ends in no channel"),
    ],
)
def test_a_name_that_says_two_things_or_another_kind_is_no_channel_and_the_reason_is_given(name, reason) -> None:
    assert channel_of_stem(name) is None
    assert canonical_channel(name) is None
    assert reason in why_no_channel(name)


MARKS = {"t1n": ("", "pre", "native", "plain"), "t1c": ("post", "Gd", "gado", "KM", "ce", "contrast", "enhanced")}
PREPARED = st.lists(
    st.sampled_from(["brain", "reg", "n4", "bet", "preproc", "AX", "3D", "bias"]), max_size=3, unique=True
)
SEPARATOR = st.sampled_from("_-.+ ")


@given(
    st.sampled_from([(channel, mark) for channel, marks in MARKS.items() for mark in marks]),
    st.sampled_from(["T1", "T1w", "t1"]),
    PREPARED,
    st.data(),
)
def test_order_case_and_separators_of_the_words_do_not_matter(marked, sequence, prepared, data) -> None:
    channel, mark = marked
    words = data.draw(st.permutations([word for word in (sequence, mark, *prepared) if word]))
    name = words[0]
    for word in words[1:]:
        name += data.draw(SEPARATOR) + data.draw(st.sampled_from([word, word.lower(), word.upper()]))
    found = channel_of_stem(f"P17_{name}")
    assert found is not None, why_no_channel(name)
    assert found == (channel, "P17")
    assert canonical_channel(name) == channel


@given(st.permutations(["T1", "T2", "post", "brain"]), SEPARATOR)
def test_two_sequences_are_never_guessed_whatever_stands_beside_them(words, separator) -> None:
    assert channel_of_stem(separator.join(words)) is None


@given(
    st.sampled_from(["T1", "T1c", "T2w", "FLAIR", "CT"]),
    st.sampled_from(["adc", "DWI", "swi", "perf", "asl", "cbf", "pd", "dti", "fa", "map", "seg"]),
    st.booleans(),
    SEPARATOR,
)
def test_a_word_of_another_kind_makes_a_name_no_channel(sequence, other, first, separator) -> None:
    words = [other, sequence] if first else [sequence, other]
    assert channel_of_stem(separator.join(words)) is None


@given(st.text(max_size=60))
def test_every_name_has_a_channel_or_a_reason(name: str) -> None:
    assert (channel_of_stem(name) is None) == bool(why_no_channel(name))


def test_a_long_name_of_joined_words_takes_no_time() -> None:
    began = time.perf_counter()
    assert channel_of_stem("skullstrip" * 25 + "!") is None
    assert channel_of_stem("t1w" + "postcontrast" * 20) == ("t1c", "")
    assert time.perf_counter() - began < 1.0
