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
_SEQUENCE = re.compile(r"(ct1|t1|t2|flair|fla|ct)(?P<rest>[a-z]*)")
_JOINED = MappingProxyType({"ct1": ("t1", "contrast"), "fla": ("flair",), "w": (), "weighted": ()})
_CONTRAST = frozenset({"ce", "gd", "gad", "gado", "gadolinium", "post", "km", "contrast", "enhanced", "enh"})
_NATIVE = frozenset({"pre", "native", "nativ", "noncontrast", "nocontrast", "noc", "non", "no", "plain", "without"})
_AFTER_T1 = MappingProxyType({"c": "contrast", "n": "native"})
"""Single letters are words after T1 alone; anywhere else they are initials."""
_ABOUT = frozenset(
    {
        "ax", "axial", "tra", "sag", "sagittal", "cor", "coronal", "2d", "3d", "w", "weighted", "brain", "stripped",
        "skullstripped", "bet", "n4", "reg", "registered", "coregistered", "preproc", "preprocessed", "bias",
        "corrected", "biascorrected", "resampled", "iso", "defaced", "normalized", "normalised", "norm",
    }
)  # fmt: skip
"""Words that say how a scan lies or was prepared, and not which channel it is."""
_OTHERS = MappingProxyType(
    {
        "diffusion": ("adc", "dwi", "dti", "fa", "trace", "tracew"),
        "susceptibility": ("swi", "swan", "t2star", "t2s"),
        "perfusion": ("perf", "perfusion", "asl", "cbf", "cbv", "mtt", "dsc", "dce"),
        "proton density": ("pd", "pdw"),
    }
)
_WORD = re.compile(r"[^-_.+\s]+")


def canonical_channel(name: str) -> str | None:
    """The canonical channel a bare name such as "T1ce" means, or None for a name of nobody's."""
    words = [match.group() for match in _WORD.finditer(name.lower())]
    first = next((n for n, word in enumerate(words) if _sequence(word)), None)
    return None if first is None or any(_known(word) is None for word in words[:first]) else _channel(words, first)


def channel_of_stem(stem: str) -> tuple[str, str] | None:
    """Channel named at the end of a file stem, and what stands before it, or None.

    Words before it say whether a T1 is after contrast (`post_T1w`, BIDS's `sub-01_ce-gadolinium_T1w`), words after it
    how it was prepared. A name that could be two channels (`T1_T2`) is none.
    """
    matches = list(_WORD.finditer(stem.lower()))
    words = [match.group() for match in matches]
    first = len(words)
    while first and _known(words[first - 1]) is not None:
        first -= 1
    named_at = next((n for n in range(first, len(words)) if _sequence(words[n])), None)
    if named_at is None:
        return None
    channel = _channel(words[first:], named_at - first)
    return None if channel is None else (channel, stem[: matches[named_at].start()].rstrip("-_. +"))


def other_kind(stem: str) -> str | None:
    """The kind of image that a file stem names and that is no channel here, such as "diffusion", or None."""
    words = {match.group().rstrip("*") + "star" * match.group().endswith("*") for match in _WORD.finditer(stem.lower())}
    return next((kind for kind, known in _OTHERS.items() if words & set(known)), None)


def _sequence(word: str) -> bool:
    """Whether a word names a sequence, alone or joined with others as in `t1wce`."""
    return _marks(word) is not None


def _marks(word: str) -> tuple[str, ...] | None:
    """What a word with a sequence in it says, or None for one without."""
    match = _SEQUENCE.fullmatch(word)
    if match is None:
        return None
    marks, rest = list(_JOINED.get(match[1], (match[1],))), match["rest"]
    if rest.startswith("w") and match[1] in ("t1", "t2"):
        rest = rest[1:]
    if rest in ("", "weighted", "eighted"):
        return tuple(marks)
    if match[1] == "t2" and rest in ("f", "flair"):
        return ("flair",)
    if match[1] == "t1" and rest in ("c", "n", *_CONTRAST, *_NATIVE):
        return (*marks, "native" if rest == "n" or rest in _NATIVE else "contrast")
    return None


def _known(word: str) -> str | None:
    """What kind of word of a channel's name it is, None for any other word."""
    if _sequence(word):
        return "sequence"
    if word in _CONTRAST:
        return "contrast"
    if word in _NATIVE:
        return "native"
    return "about" if word in _ABOUT or word in _AFTER_T1 else None


def _channel(words: list[str], first: int) -> str | None:
    """The channel that words say together, of which ``first`` is the first sequence; None where they contradict."""
    marks: set[str] = set()
    for number, word in enumerate(words):
        if (told := _marks(word)) is not None:
            marks.update(told)
        elif word in _AFTER_T1:
            if number < first or "t1" not in marks:
                return None
            marks.add(_AFTER_T1[word])
        elif (kind := _known(word)) in ("contrast", "native"):
            marks.add(str(kind))
        elif kind is None:
            return None
    sequences = marks & {"t1", "t2", "flair", "ct"}
    if sequences == {"t1"}:
        # "no contrast" holds both words
        return "t1c" if "contrast" in marks and "native" not in marks else "t1n"
    if sequences in ({"flair"}, {"t2", "flair"}):
        return "t2f"
    return {"t2": "t2w", "ct": "ct"}.get("".join(sequences))


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
