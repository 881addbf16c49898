"""Label schemas from the names that a data set gives its labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema, schemas

COMPONENTS = MappingProxyType(
    {
        "NETC": (
            "netc", "ncr", "net", "ncr net", "necrosis", "necrotic", "necrotic core", "necrotic tumor core",
            "non enhancing", "non enhancing tumor", "nonenhancing tumor", "non enhancing tumor core",
            "nonenhancing tumor core", "necrotic and non enhancing tumor core",
        ),
        "SNFH": (
            "snfh", "ed", "edema", "peritumoral edema", "flair hyperintensity",
            "surrounding non enhancing flair hyperintensity",
        ),
        "ET": ("et", "enhancing", "enhancing tumor", "gd enhancing tumor", "enhancing tissue"),
        "CC": ("cc", "cyst", "cystic component"),
        "RC": ("rc", "resection cavity"),
        "GTV": ("gtv", "gross tumor volume"),
        "ORGAN": ("organ", "liver", "kidney", "pancreas"),
        "TUMOUR": ("cancer", "tumor"),
    }
)  # fmt: skip
"""Accepted names of components; letter case, hyphens and British spelling do not matter."""

REGION_NAMES = MappingProxyType({"WT": ("wt", "whole tumor"), "TC": ("tc", "tumor core"), "ET": COMPONENTS["ET"]})
"""Accepted names of regions, where labels are given as lists of numbers."""


def schema_of_labels(labels: Mapping[str, int | list[int]], origin: str) -> LabelSchema:
    """The schema of label name -> number, or of region name -> numbers where one of them is a list.

    A numbering known by name is returned under that name. Of regions, numbers of TC outside ET are NETC and those of WT
    outside TC are SNFH. Raises InputError for names of neither, listing them, and for regions that are not nested.
    """
    named = {name: value for name, value in labels.items() if _plain(name) != "background"}
    regions = any(isinstance(value, list) for value in named.values())
    accepted = REGION_NAMES if regions else COMPONENTS
    found: dict[str, set[int]] = {}
    unknown = []
    for name, value in named.items():
        meaning = next((key for key, spellings in accepted.items() if _plain(name) in spellings), None)
        if meaning is None:
            unknown.append(f"'{name}'")
        else:
            found.setdefault(meaning, set()).update(value if isinstance(value, list) else [value])
    if unknown or not found:
        raise InputError(
            f"{origin} names labels that mean nothing here: {', '.join(unknown) or 'none at all'}. Accepted: "
            f"{', '.join(spellings[-1] for spellings in accepted.values())} and their short names; "
            "or say --schema NAME."
        )
    return _known(_of_regions(found, origin) if regions else found, origin)


def _of_regions(regions: Mapping[str, set[int]], origin: str) -> dict[str, set[int]]:
    missing = [region for region in REGION_NAMES if region not in regions]
    if missing:
        raise InputError(f"{origin} names no region {', '.join(missing)}; give whole tumour, tumour core and ET.")
    whole, core, enhancing = (regions[region] for region in ("WT", "TC", "ET"))
    if not enhancing <= core <= whole:
        raise InputError(f"The regions of {origin} are not nested: ET {enhancing}, TC {core}, WT {whole}.")
    return {"NETC": core - enhancing, "SNFH": whole - core, "ET": enhancing}


def _known(components: Mapping[str, set[int]], origin: str) -> LabelSchema:
    values = tuple((component, number) for component, numbers in components.items() for number in sorted(numbers))
    numbers = [number for _, number in values]
    if len(set(numbers)) < len(numbers) or not all(0 < number < 256 for number in numbers):
        raise InputError(f"{origin} must number its labels 1 to 255, each once; found {numbers}.")
    for name in schemas.names():
        schema = schemas.get(name)
        if set(schema.values) == set(values):
            return schema
    return LabelSchema(origin, values)


def _plain(name: str) -> str:
    """Lower case, American spelling, single blanks."""
    words = re.sub(r"[-_/\s]+", " ", name.strip().lower())
    return words.replace("tumour", "tumor").replace("oedema", "edema")
