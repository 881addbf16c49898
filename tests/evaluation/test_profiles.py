"""Profiles are found by their usual names and fit the label schemas."""

import pytest

from oncoprompt.errors import InputError
from oncoprompt.evaluation.profiles import PROFILES, profile
from oncoprompt.study import schemas


@pytest.mark.parametrize("name", PROFILES)
def test_regions_are_numbers_of_the_schema(name: str) -> None:
    rules = profile(name)
    assert rules.name == name
    known = {number for _, number in schemas.get(rules.schema).values}
    assert set().union(*rules.regions.values()) <= known
    assert name in rules.describe()


@pytest.mark.parametrize("name", PROFILES)
def test_the_three_nested_regions_are_those_of_the_schema(name: str) -> None:
    rules = profile(name)
    values = dict(schemas.get(rules.schema).values)
    parts = {"WT": ("NETC", "SNFH", "ET", "CC"), "TC": ("NETC", "ET", "CC"), "ED": ("SNFH",)}
    for region, numbers in rules.regions.items():
        assert numbers == {values[part] for part in parts.get(region, (region,)) if part in values}


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("BraTS2026-MET", "brats2026-mets"),
        ("brats2024-mets", "brats2024-met"),
        ("brats2026-men-rt", "brats2026-menrt"),
        ("brats2024-MenRT", "brats2024-men-rt"),
        ("brats2026_MenPre", "brats2026-menpre"),
        (" BraTS-2023-GLI ", "brats2023-gli"),
    ],
)
def test_usual_spellings_are_understood(spelling: str, name: str) -> None:
    assert profile(spelling).name == name


def test_editions_of_2025_keep_the_rules_of_2024() -> None:
    for name in ("gli", "men", "met", "ssa", "ped", "men-rt"):
        older, newer = vars(profile(f"brats2024-{name}")), vars(profile(f"brats2025-{name}"))
        assert {**older, "name": None} == {**newer, "name": None}


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no profile 'brats1999'. Known: brats2023-gli, .*brats2026-goat"):
        profile("brats1999")
