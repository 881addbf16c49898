"""What CLIP is told of an organ, healthy and with a tumour: states in words, each in many sentences."""

from __future__ import annotations

import re
from types import MappingProxyType

from oncoprompt.errors import InputError
from oncoprompt.methods.tags import vocabulary
from oncoprompt.methods.tags.intensities import BRAIN, organ_in
from oncoprompt.methods.tags.vocabulary import CONCEPTS, concept_of

ORGANS = ("kidney", "liver", "pancreas", BRAIN)
"""Organs whose names are known."""

KINDS = vocabulary.BRAIN
"""Kinds of brain tumour that have sentences of their own."""

DATASET_KEYS = MappingProxyType({"kidney": "kits", "liver": "lits", "pancreas": "pancreas", "brain": "brain"})
"""What the released code calls an organ: its data set. CLIP does not know such words; they are here to be compared."""

# American spelling: most of what CLIP has read is.
HEALTHY_STATES = (
    "{}",
    "healthy {}",
    "normal {}",
    "intact {}",
    "{} without a defect",
    "{} without disease",
    "{} without a lesion",
    "{} without a tumor",
)
TUMOUR_STATES = (
    "diseased {}",
    "abnormal {}",
    "{} with a defect",
    "{} with disease",
    "{} with a lesion",
    "{} with a tumor",
)
_KIND_STATES = ("{0}", "{0} in the {1}", "{1} with a {0}")

TEMPLATES = (
    "{}.",
    "this is {}.",
    "there is {}.",
    "this is a {}.",
    "there is a {} here.",
    "this is the {} in the scan.",
    "there is a {} in the scan.",
    "there is the {} in this volume.",
    "a scan of {}.",
    "a scan of the {}.",
    "a 3D scan of {}.",
    "a 3D scan of the {}.",
    "a 3D image of {}.",
    "a 3D image of the {}.",
    "a 3D picture of one {}.",
    "a 3D rendering of {}.",
    "a volume that shows {}.",
    "a medical image of {}.",
    "a medical image of the {}.",
    "a medical 3D image of {}.",
    "a radiological image of {}.",
    "a radiology picture of the {}.",
    "a cross-section of {}.",
    "a cross-section through the {}.",
    "a cropped 3D image of {}.",
    "a close-up scan of {}.",
    "a bright 3D image of {}.",
    "a dark 3D image of {}.",
    "a blurred 3D image of {}.",
    "a noisy 3D image of {}.",
    "a sharp 3D image of {}.",
    "a good 3D image of {}.",
    "a small {} in a 3D image.",
    "a large {} in a 3D image.",
)
"""34 sentences for a state, as many as the released code has, in words of our own."""

KNOWN_WORDS = (*ORGANS, *KINDS)
"""Words that have vectors of their own; every other phrase that is understood means one of them."""

_NOTHING = re.compile(r"\b(healthy|normal|no|without)\b", re.I)


def meaning_of(words: str) -> str:
    """The one of KNOWN_WORDS that a phrase means: "renal mass" is kidney, "GBM" is glioma.

    Raises InputError for words that name neither an organ nor a kind of brain tumour, and for those that ask for none.
    """
    if _NOTHING.search(words):
        raise InputError(
            f"'{words}' asks for what is healthy, but TAGS finds tumours. Say which, such as 'liver tumour'."
        )
    organ = organ_in(words)
    if organ not in (None, BRAIN):
        return str(organ)
    try:
        concept = CONCEPTS[concept_of(words)]
    except InputError:
        concept = ""
    if concept in KINDS:
        return concept
    if organ is None:
        raise InputError(f"'{words}' names no organ that TAGS knows. It knows: {', '.join(KNOWN_WORDS)}.")
    return organ


def sentences(words: str, dataset_key: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences about the healthy organ and about the organ with a tumour, for one of KNOWN_WORDS.

    There are 34 for each of the 8 healthy states and of the 6 (for a kind of brain tumour 3) states of disease. With
    `dataset_key` the organ is called as in the released code. Raises InputError for other words.
    """
    if words not in KNOWN_WORDS:
        raise InputError(f"There are no sentences about '{words}'. Known: {', '.join(KNOWN_WORDS)}.")
    organ = BRAIN if words in KINDS else words
    name = DATASET_KEYS[organ] if dataset_key else organ
    healthy = [state.format(name) for state in HEALTHY_STATES]
    if words in KINDS:
        ill = [state.format(words, name) for state in _KIND_STATES]
    else:
        ill = [state.format(name) for state in TUMOUR_STATES]
    return _in_sentences(healthy), _in_sentences(ill)


def _in_sentences(states: list[str]) -> tuple[str, ...]:
    return tuple(template.format(state) for state in states for template in TEMPLATES)
