"""Channel names: one canonical set inside, the field's many spellings at the door."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import MappingProxyType

from oncoprompt.errors import InputError
from oncoprompt.study.channel_words import read_name, read_whole_name

CHANNELS = ("t1n", "t1c", "t2w", "t2f", "ct")
"""Canonical channel names in the order in which a study holds them."""

COLOURS = ("red", "green", "blue")
"""Channels of a colour picture, in order."""

GREY = "grey"
"""The one channel of a grey picture."""

_ORDER = (*CHANNELS, *COLOURS)

ALIASES = MappingProxyType(
    {
        "t1n": ("t1n", "t1w", "t1", "t1 pre", "t1 native"),
        "t1c": ("t1c", "t1ce", "t1gd", "t1 post", "t1 km", "t1 contrast", "t1+c", "ct1"),
        "t2w": ("t2w", "t2"),
        "t2f": ("t2f", "flair", "fla", "t2 flair"),
        "ct": ("ct",),
    }
)
"""Examples of accepted spellings; letter case does not matter, and words may be joined by - _ . + or a space."""

EXTENSIONS = (
    ".nii.gz", ".nii.bz2", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".hdr", ".img"
)  # fmt: skip
"""File endings of scans, longest first."""

OWN_RESULT = "-oncoprompt"
"""Part of the names of results beside the scans they were made from: they are neither scans nor truth."""

_MASK = re.compile(r"(^|[^a-z0-9])(seg|dseg|probseg|segmentation|mask|brainmask|label|labels|gtv)$")


def canonical_channel(name: str) -> str | None:
    """The canonical channel a bare name such as "T1ce" means, or None for a name of nobody's."""
    return read_whole_name(name)


def channel_of_stem(stem: str) -> tuple[str, str] | None:
    """Channel named at the end of a file stem, and what stands before it, or None."""
    read = read_name(stem)
    return None if read.channel is None else (read.channel, read.case)


def why_no_channel(stem: str) -> str:
    """Why a file stem names no channel; empty where it names one."""
    return read_name(stem).reason


def is_mask(stem: str) -> bool:
    """Whether a file stem names a segmentation rather than a scan."""
    return bool(_MASK.search(stem.lower()))


def is_own_result(stem: str) -> bool:
    """Whether a file stem names a result of OncoPrompt beside the scans it was made from."""
    return OWN_RESULT in stem.lower()


def is_result(stem: str) -> bool:
    """Whether a file stem names a label map or a result of OncoPrompt and no scan."""
    return is_mask(stem) or is_own_result(stem)


def split_extension(file_name: str) -> tuple[str, str] | None:
    """Stem and extension of a scan's file name, or None where it is no scan format we read."""
    for extension in EXTENSIONS:
        if file_name.lower().endswith(extension) and len(file_name) > len(extension):
            return file_name[: -len(extension)], extension
    return None


def in_order(channels: Iterable[str]) -> list[str]:
    """Canonical channels and colours first, in their order, then the others by name."""
    return sorted(channels, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def named(name: str) -> str:
    """Canonical name where there is one, else the name itself; raises InputError for an empty name."""
    stripped = name.strip()
    if not stripped:
        raise InputError("A channel has an empty name; give each channel a name such as t1c, t2f or ct.")
    return canonical_channel(stripped) or stripped


def accepted_names() -> str:
    """The spellings, for messages."""
    return "; ".join(f"{channel}: {', '.join(aliases)}" for channel, aliases in ALIASES.items())
