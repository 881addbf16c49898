"""The words that TAGS compact knows: concepts with the phrases that people use for them."""

from __future__ import annotations

from types import MappingProxyType

from oncoprompt.errors import InputError

PHRASES = MappingProxyType(
    {
        "healthy": ("healthy", "normal", "no tumour", "healthy tissue", "healthy brain"),
        "tumour": ("tumour", "lesion", "neoplasm", "mass", "cancer", "whole tumour"),
        "glioma": (
            "glioma", "glioblastoma", "gbm", "astrocytoma", "oligodendroglioma", "high-grade glioma",
            "low-grade glioma", "diffuse glioma",
        ),
        "meningioma": ("meningioma", "dural tumour"),
        "brain metastasis": (
            "brain metastasis", "brain metastases", "cerebral metastasis", "cerebral metastases", "metastasis",
            "metastases",
        ),
        "liver tumour": (
            "liver tumour", "liver lesion", "hepatic tumour", "hepatic lesion", "hepatocellular carcinoma", "hcc",
            "liver metastasis", "liver metastases", "liver cancer",
        ),
        "kidney tumour": (
            "kidney tumour", "kidney lesion", "renal tumour", "renal mass", "renal lesion", "renal cell carcinoma",
            "kidney cancer",
        ),
        "pancreatic tumour": (
            "pancreatic tumour", "pancreas tumour", "pancreatic lesion", "pancreatic mass", "pancreatic cancer",
            "pancreatic adenocarcinoma",
        ),
    }
)  # fmt: skip
"""What people say for each concept, in lower case and British spelling."""

CONCEPTS = tuple(PHRASES)
"""Concepts in the order of the rows of their embedding."""

HEALTHY = CONCEPTS.index("healthy")
ANY_TUMOUR = CONCEPTS.index("tumour")
"""The concept that is asked for where nobody says a word: tumour of any kind."""

BRAIN = ("glioma", "meningioma", "brain metastasis")
ABDOMEN = ("liver tumour", "kidney tumour", "pancreatic tumour")

_PLURALS = (("tumours", "tumour"), ("gliomas", "glioma"), ("meningiomas", "meningioma"),
            ("lesions", "lesion"), ("masses", "mass"))  # fmt: skip


def concept_of(words: str) -> int:
    """Row of the concept that a phrase names, whatever its case and spelling of tumour.

    Raises InputError for words that are not in the vocabulary, telling those that are.
    """
    said = " ".join(words.lower().replace("tumor", "tumour").split())
    for many, one in _PLURALS:
        said = " ".join(one if word == many else word for word in said.split())
    said = said.removeprefix("a ").removeprefix("the ").removeprefix("all ")
    for row, (_, phrases) in enumerate(PHRASES.items()):
        if said in phrases:
            return row
    raise InputError(f"'{words}' is not in the model's vocabulary. It knows: {', '.join(CONCEPTS)}.")
