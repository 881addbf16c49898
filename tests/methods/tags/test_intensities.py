"""Grey levels: the published tables, z-scores, and which organ words speak of."""

import numpy as np
import pytest

from oncoprompt.geometry import Grid
from oncoprompt.methods.tags.intensities import ANY_CT, CT, channel_for, intensities_for, of_mri, organ_in, soft_tissue
from oncoprompt.methods.tags.vocabulary import ABDOMEN, BRAIN
from oncoprompt.study import Study

GRID = Grid((12, 12, 12), np.eye(4))


def study(*channels: str) -> Study:
    rng = np.random.default_rng(0)
    return Study({name: rng.normal(100, 10, GRID.shape).astype(np.float32) for name in channels}, GRID)


@pytest.mark.parametrize(
    ("words", "organ"),
    [
        ("tumour in the left kidney", "kidney"),
        ("Renal Mass", "kidney"),
        ("kits", "kidney"),
        ("hepatocellular carcinoma", "liver"),
        ("HCC", "liver"),
        ("lits", "liver"),
        ("pancreatic adenocarcinoma", "pancreas"),
        ("liver metastasis of a pancreatic tumour", "liver"),
        ("Meningiomas", "brain"),
        ("brain metastases", "brain"),
        ("a mass", None),
        ("deliver", None),
        ("adrenal mass", None),
    ],
)
def test_words_name_an_organ(words: str, organ: str | None) -> None:
    assert organ_in(words) == organ


def test_every_kind_of_the_vocabulary_names_its_organ() -> None:
    assert {organ_in(words) for words in BRAIN} == {"brain"}
    assert [organ_in(words) for words in ABDOMEN] == ["liver", "kidney", "pancreas"]


@pytest.mark.parametrize(
    ("channels", "organ", "chosen"),
    [
        (("t1n", "t1c", "t2w", "t2f"), None, "t2f"),
        (("t1n", "t1c"), "brain", "t1c"),
        (("ct", "t1c"), "brain", "t1c"),
        (("ct", "t1c"), "liver", "ct"),
        (("ct",), "brain", "ct"),
        (("t1c",), "liver", "t1c"),
        (("pet", "ct"), None, "ct"),
        (("pet",), None, "pet"),
    ],
)
def test_the_channel_follows_the_organ(channels: tuple[str, ...], organ: str | None, chosen: str) -> None:
    assert channel_for(study(*channels), organ) == chosen


def test_published_ct_values_come_out_and_its_padding_is_zero() -> None:
    liver = CT["liver"]
    ends = liver.standardise(np.array([-1000.0, -48.0, 60.057533, 163.0, 3000.0]))
    low, high = (-48 - 60.057533) / 40.198017, (163 - 60.057533) / 40.198017
    assert np.allclose(ends, [low, low, 0.0, high, high])
    assert liver.standardise(np.array([liver.fill])) == 0
    assert intensities_for(study("ct"), "ct", "liver") is liver
    assert intensities_for(study("ct"), "ct", "brain") is ANY_CT


def test_mri_has_mean_0_and_deviation_1_over_the_head_and_darkness_outside() -> None:
    head = np.zeros((20, 20, 20), np.float32)
    head[4:16, 4:16, 4:16] = np.random.default_rng(0).normal(500, 40, (12, 12, 12))
    seen = of_mri(head)
    inside = seen.standardise(head)[4:16, 4:16, 4:16]
    assert abs(inside.mean()) < 0.01
    assert abs(inside.std() - 1) < 0.01
    assert seen.fill == 0.0
    assert seen.standardise(np.array([seen.fill])) == pytest.approx(-4.0)
    assert seen.standardise(np.array([1e6])) == pytest.approx(6.0)


def test_soft_tissue_is_spread_and_its_order_kept() -> None:
    hu = np.array([-1000.0, -150.0, 60.0, 80.0, 250.0, 3000.0])
    seen = soft_tissue(hu)
    assert seen.dtype == np.float32
    assert np.allclose(seen, np.arcsinh((np.clip(hu, -150, 250) - 60) / 30), atol=1e-6)
    # 20 HU between tumour and organ, against 100 between organ and fat
    fat, organ, tumour = soft_tissue(np.array([-40.0, 60.0, 40.0]))
    assert (organ - tumour) / (organ - fat) > 0.3
