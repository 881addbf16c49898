"""Channel names of the field are understood, whatever their spelling."""

import pytest

from oncoprompt.study import canonical_channel
from oncoprompt.study.channels import channel_of_stem, in_order, is_mask, split_extension


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
