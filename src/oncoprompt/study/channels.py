"""Channel names: one canonical set inside, the field's many spellings at the door."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import MappingProxyType

from oncoprompt.errors import InputError

CHANNELS = ("t1n", "t1c", "t2w", "t2f", "ct")
"""Canonical channel names in the order in which a study holds them."""

COLOURS = ("red", "green", "blue")
"""Channels of a colour picture, in order."""

GREY = "grey"
"""The one channel of a grey picture."""

_ORDER = (*CHANNELS, *COLOURS)

ALIASES = MappingProxyType(
    {
        "t1n": ("t1n", "t1w", "t1"),
        "t1c": ("t1c", "t1ce", "t1gd", "t1w-ce", "t1w-gd", "t1-ce", "t1-gd"),
        "t2w": ("t2w", "t2"),
        "t2f": ("t2f", "flair", "fla", "t2-flair"),
        "ct": ("ct",),
    }
)
"""Accepted spellings; letter case does not matter and a hyphen may be written - or _."""

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha")
"""File endings of scans, longest first."""

OWN_RESULT = "-oncoprompt"
"""Part of the names of results beside the scans they were made from: they are neither scans nor truth."""

_MASK = re.compile(r"(^|[^a-z0-9])(seg|dseg|probseg|segmentation|mask|brainmask|label|labels|gtv)$")
_BIDS_CONTRAST = re.compile(r"(^|_)ce-[a-z0-9]+_")


def _pattern(alias: str) -> str:
    return re.escape(alias).replace(r"\-", "[-_]")


_BY_CHANNEL = MappingProxyType(
    {channel: "|".join(_pattern(alias) for alias in aliases) for channel, aliases in ALIASES.items()}
)


def canonical_channel(name: str) -> str | None:
    """The canonical channel a bare name such as "T1ce" means, or None for a name of nobody's."""
    for channel, pattern in _BY_CHANNEL.items():
        if re.fullmatch(pattern, name.strip().lower()):
            return channel
    return None


def channel_of_stem(stem: str) -> tuple[str, str] | None:
    """Channel named at the end of a file stem, and what stands before it, or None.

    A BIDS name with a contrast entity (`sub-01_ce-gadolinium_T1w`) is t1c.
    """
    lower = stem.lower()
    found = [
        (match.start(), channel)
        for channel, pattern in _BY_CHANNEL.items()
        if (match := re.search(rf"(?:^|[^a-z0-9])(?:{pattern})$", lower))
    ]
    if not found:
        return None
    # The earliest start is the longest spelling: "t1w-ce" before "ce", "t2-flair" before "flair".
    start, channel = min(found)
    if channel == "t1n" and _BIDS_CONTRAST.search(lower):
        channel = "t1c"
    return channel, stem[:start].rstrip("-_. ")


def is_mask(stem: str) -> bool:
    """Whether a file stem names a segmentation rather than a scan."""
    return bool(_MASK.search(stem.lower()))


def is_own_result(stem: str) -> bool:
    """Whether a file stem names a result of OncoPrompt beside the scans it was made from."""
    return OWN_RESULT in stem.lower()


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
