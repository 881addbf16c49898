"""People write words as they like; the vocabulary finds what they mean or says what it knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.methods.tags.vocabulary import ABDOMEN, ANY_TUMOUR, BRAIN, CONCEPTS, HEALTHY, PHRASES, concept_of


@given(st.sampled_from([(row, phrase) for row, word in enumerate(CONCEPTS) for phrase in PHRASES[word]]), st.data())
def test_every_phrase_is_found_in_any_case_spacing_and_spelling(meant: tuple[int, str], data: st.DataObject) -> None:
    row, phrase = meant
    said = data.draw(st.sampled_from([phrase, phrase.upper(), phrase.title(), f"  {phrase} ", f"the {phrase}"]))
    spelt = data.draw(st.sampled_from([said, said.replace("tumour", "tumor"), said.replace(" ", "   ")]))
    assert concept_of(spelt) == row


def test_no_phrase_means_two_things() -> None:
    phrases = [phrase for word in CONCEPTS for phrase in PHRASES[word]]
    assert len(phrases) == len(set(phrases))


@pytest.mark.parametrize(
    ("plural", "word"),
    [("gliomas", "glioma"), ("liver tumors", "liver tumour"), ("Meningiomas", "meningioma"), ("masses", "tumour")],
)
def test_plurals_mean_the_same(plural: str, word: str) -> None:
    assert CONCEPTS[concept_of(plural)] == word


def test_words_that_are_not_known_are_told_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"'spleen' is not in the model's vocabulary.*glioma.*pancreatic tumour"):
        concept_of("spleen")


def test_special_rows_are_what_they_say() -> None:
    assert CONCEPTS[HEALTHY] == "healthy"
    assert CONCEPTS[ANY_TUMOUR] == "tumour"
    assert {*BRAIN, *ABDOMEN} < set(CONCEPTS)
