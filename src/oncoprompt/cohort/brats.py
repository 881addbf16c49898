"""What the name of a BraTS case says: the edition, the patient, the channels to expect, the meaning of the labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FOUR = ("t1n", "t1c", "t2w", "t2f")


@dataclass(frozen=True)
class Edition:
    """Cases of one edition: a pattern whose group `patient` is the patient, their layout, channels and label schema.

    `schema` is None where editions with the same names number their labels differently.
    """

    pattern: str
    layout: str
    schema: str | None
    channels: tuple[str, ...] = _FOUR


# GLI and MET: every edition agrees on 1, 2 and 3. Later ones add 4 (resection cavity), which brats2023 refuses, so a
# file with a 4 is asked about and never guessed. PED changed the meaning of 1 and 2 between editions.
EDITIONS = (
    Edition(r"(?P<patient>brats1[789]_\w+)_\d+", "brats2021", "brats2021"),
    Edition(r"(?P<patient>brats20_(training|validation|testing)_\d+)", "brats2021", "brats2021"),
    Edition(r"(?P<patient>brats2021_\d+)", "brats2021", "brats2021"),
    Edition(r"(?P<patient>brats-men-rt-\d+)(-\d+)?", "brats2023", "men-rt", ("t1c",)),
    Edition(r"(?P<patient>brats-ped-\d+)(-\d+)?", "brats2023", None),
    Edition(r"(?P<patient>brats-(gli|met|men|ssa|goat)-\d+)(-\d+)?", "brats2023", "brats2023"),
)
"""Layout brats2021 holds the editions up to 2021, brats2023 those since."""


def edition_of(case: str) -> tuple[Edition, str] | None:
    """The edition and the patient of a case named as BraTS names them, or None."""
    for edition in EDITIONS:
        if match := re.fullmatch(edition.pattern, case, flags=re.IGNORECASE):
            return edition, match["patient"]
    return None
