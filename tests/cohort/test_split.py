"""A split keeps patients whole, and follows from the seed and the names alone."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.cohort import Case, Cohort, Source, Split, folds, split_cohort
from oncoprompt.errors import InputError

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def cohort(names: list[tuple[str, str]], unlabelled: tuple[str, ...] = ()) -> Cohort:
    """A cohort of (patient, session), without files."""
    cases = [Case(f"{patient}-{session}", patient, {}, Path("seg.nii.gz")) for patient, session in names]
    cases += [Case(name, name, {"t1c": Source(Path("t1c.nii.gz"))}) for name in unlabelled]
    return Cohort("folders", tuple(cases))


sessions = st.lists(st.tuples(st.text("abcdef", min_size=1, max_size=4), st.sampled_from("123")), unique=True).filter(
    lambda names: len({patient for patient, _ in names}) >= 3
)


@settings(max_examples=40)
@given(names=sessions, seed=st.integers(0, 5), data=st.data())
def test_every_case_is_in_one_part_with_all_of_its_patient_whatever_the_order(names, seed, data):
    split = split_cohort(cohort(names), SHARES, seed)
    sides = split.sides()
    assert set(sides) == {f"{patient}-{session}" for patient, session in names}
    for patient, _ in names:
        assert len({sides[f"{name}-{session}"] for name, session in names if name == patient}) == 1
    assert all(split.parts[part] for part in SHARES)
    assert split_cohort(cohort(data.draw(st.permutations(names))), SHARES, seed) == split


@settings(max_examples=40)
@given(count=st.integers(3, 400), seed=st.integers(0, 3))
def test_parts_have_their_shares_to_one_patient_or_at_least_one(count, seed):
    split = split_cohort(cohort([(f"P{number}", "1") for number in range(count)]), SHARES, seed)
    for part, share in SHARES.items():
        found = len(split.parts[part])
        assert found >= 1
        if count >= 10:
            assert abs(found - share * count) < 1


@settings(max_examples=40)
@given(names=sessions, number=st.integers(2, 3))
def test_every_patient_is_held_out_in_one_fold(names, number):
    drawn = folds(cohort(names), number)
    held_out = [patient for split in drawn for patient in split.parts["validation"]]
    assert sorted(held_out) == sorted({patient for patient, _ in names})
    assert all(len(split.sides()) == len(names) for split in drawn)


def test_another_seed_is_another_split_and_new_patients_leave_the_order_of_the_old():
    names = [(f"P{number}", "1") for number in range(40)]
    assert split_cohort(cohort(names), SHARES, 0) != split_cohort(cohort(names), SHARES, 1)
    grown = split_cohort(cohort([*names, ("P40", "1")]), SHARES, 0).sides()
    moved = [name for name, part in split_cohort(cohort(names), SHARES, 0).sides().items() if grown[name] != part]
    assert len(moved) <= 2


def test_a_split_is_the_same_on_every_machine():
    split = split_cohort(cohort([(f"P{number}", "1") for number in range(5)]), SHARES, 0)
    assert {part: list(patients) for part, patients in split.parts.items()} == {
        "train": ["P2", "P3", "P4"],
        "validation": ["P1"],
        "test": ["P0"],
    }


def test_a_split_comes_back_from_its_file(tmp_path):
    split = split_cohort(cohort([("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")]), SHARES, 7)
    split.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json") == split


def test_unlabelled_cases_are_in_no_part():
    split = split_cohort(cohort([("a", "1"), ("b", "1"), ("c", "1")], unlabelled=("u",)))
    assert "u" not in split.sides()


def test_selecting_gives_the_cases_of_a_part():
    whole = cohort([("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")])
    split = split_cohort(whole, SHARES, 0)
    found = {part: [case.name for case in split.select(whole, part).cases] for part in SHARES}
    assert sorted(name for names in found.values() for name in names) == ["a-1", "a-2", "b-1", "c-1"]
    assert found == {part: list(split.cases(part)) for part in SHARES}
    with pytest.raises(InputError, match=r"no part 'holdout'. Found: train, validation, test"):
        split.select(whole, "holdout")
    with pytest.raises(InputError, match=r"names . cases that the data set does not have"):
        split.select(cohort([("z", "1")]), "train")


def test_a_patient_on_two_sides_is_refused_in_a_file_and_against_the_data_set(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"seed": 0, "parts": {"train": {"a": ["a-1"]}, "test": {"a": ["a-2"]}}}))
    with pytest.raises(InputError, match="Patient 'a' is in part 'train' and in part 'test'"):
        Split.read(path)
    path.write_text(json.dumps({"seed": 0, "parts": {"train": {"a": ["a-1"]}, "test": {"b": ["a-1"]}}}))
    with pytest.raises(InputError, match="Case 'a-1' is in part"):
        Split.read(path)
    path.write_text(json.dumps({"seed": 0, "parts": {"train": {"a-1": ["a-1"]}, "test": {"a-2": ["a-2"]}}}))
    with pytest.raises(InputError, match="Patient 'a' has cases in parts test and train"):
        Split.read(path).select(cohort([("a", "1"), ("a", "2")]), "train")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"parts": {}}',
        '{"seed": 0, "parts": {"train": ["a"]}}',
        '{"seed": 0, "parts": {"train": {"a": "b"}}}',
    ],
)
def test_a_file_that_is_no_split_is_refused(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match="cannot be read as a split"):
        Split.read(tmp_path / "split.json")


def test_shares_and_numbers_that_make_no_sense_are_refused():
    few = cohort([("a", "1"), ("b", "1")])
    for shares in ({}, {"train": 0.5, "test": 0.2}, {"train": 1.5, "test": -0.5}, {"train": 1.0, "test": 0.0}):
        with pytest.raises(InputError, match="Shares must be positive and sum to 1"):
            split_cohort(few, shares)
    with pytest.raises(InputError, match=r"Each of the 3 parts .* found 2"):
        split_cohort(few)
    with pytest.raises(InputError, match="folds is 3; it must be 2 to 2"):
        folds(few, 3)
