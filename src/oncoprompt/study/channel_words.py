"""Which channel the words of a name say: `T1_post`, `AX_T2_FLAIR_reg`, `sub-01_ce-gadolinium_T1w`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

_CONTRAST, _NATIVE, _AFTER, _BEFORE, _NOT = "contrast", "native", "after", "before", "not"
_ABOUT, _INVERSION, _LETTER = "", "inversion", "letter"

_WORDS = MappingProxyType(
    {
        "t1": "t1",
        "t2": "t2",
        "flair": "flair fla darkfluid t2f t2fl",
        "ct": "ct",
        "t1 contrast": "ct1",
        _CONTRAST: (
            "ce gd gad gado gadolinium gadavist gadovist dotarem km contrast contrasted enhanced enh cm kontrast"
        ),
        _AFTER: "post",
        _BEFORE: "pre",
        _NATIVE: "native nativ plain noc nc okm unenhanced",
        _NOT: "no non not without wo ohne",
        _INVERSION: "ir tirm stir",
        _ABOUT: (
            "w weighted eighted mr mri ax axial tra trans transversal sag sagittal cor coronal 2d 3d iso isotropic 1mm "
            "brain brainextracted stripped skullstripped skullstrip extracted masked bet hd hdbet deskulled defaced "
            "n3 n4 bias biascorr biascorrected biasfieldcorr biasfieldcorrected corr corrected reg registered coreg "
            "coregistered rigid affine warped resampled resliced preproc preprocessed processed norm normalized "
            "normalised zscore denoised cropped orig original raw final mni mni152 sri24 space "
            "mprage mpr spgr fspgr bravo vibe flash tfe ffe tse fse se cube vista fs fatsat blade propeller"
        ),
        "diffusion": "adc dwi dti fa md trace tracew b0 b1000",
        "susceptibility": "swi swan star t2star t2starw t2s t2* t2*w flair* gre",
        "perfusion": "perf perfusion asl cbf cbv rcbv mtt dsc dce ktrans dynamic",
        "proton density": "pd pdw",
        "a map of relaxation times": "map maps mapping rho t1rho",
        "a difference of scans": "subtraction subtracted delta",
        "angiography": "tof mra mrv angio",
        "functional MRI": "bold fmri",
        "nuclear medicine": "pet spect fdg",
        "a label map": "seg dseg probseg segmentation mask brainmask label labels gtv",
    }
)
_MEANING = MappingProxyType({word: meaning for meaning, words in _WORDS.items() for word in words.split()})
_SEQUENCES = frozenset({"t1", "t2", "flair", "ct"})
_HOW = frozenset({_CONTRAST, _AFTER, _BEFORE, _NATIVE, _NOT, _ABOUT, _INVERSION})
_DENIED = frozenset({_CONTRAST, _LETTER + "c"})
_CHANNEL = MappingProxyType(
    {
        frozenset({"t1"}): "t1n",
        frozenset({"t2"}): "t2w",
        frozenset({"flair"}): "t2f",
        frozenset({"t2", "flair"}): "t2f",
        frozenset({"ct"}): "ct",
    }
)
_LETTERS = MappingProxyType({"c": _CONTRAST, "n": _NATIVE})

_LONGEST = max(map(len, _MEANING))
_ALONE = frozenset(
    word for word, meaning in _MEANING.items() if len(word) < 3 and meaning not in (_CONTRAST, _NOT, *_SEQUENCES)
) - {"w"}
"""Words too short to be found within others."""
_PHRASES = r"dark[-_.+\s]?fluid|skull[-_.+\s]?strip(?:ped)?|bias[-_.+\s]?field[-_.+\s]?corr(?:ected)?"
_TOKEN = re.compile(
    rf"(?<![a-z0-9])c\+|\+c(?![a-z0-9])|(?<![a-z0-9])c-$|(?<![a-z0-9])(?:{_PHRASES})(?![a-z0-9])|[^-_.+\s]+"
)
_BIDS = re.compile(r"sub-[a-z0-9]+_(?:[a-z]+-[a-z0-9+]+_)*")
_ENTITY = re.compile(r"(?:^|_)(ce|acq|rec|desc)-([a-z0-9+]+)(?![^_])")
_NO_AGENT = frozenset({"none", "no", "pre", "native", "nocontrast"})


@dataclass(frozen=True)
class Reading:
    """What a name says: the channel or, where it says none, the reason; `case` is what stands before its words."""

    channel: str | None
    reason: str
    case: str = ""


def read_name(name: str) -> Reading:
    """What the last words of a name say, with the words of BIDS entities.

    Letter case, order and separators (- _ . + and space) do not matter. A name that says two things says nothing.
    """
    lower = name.lower()
    bids = _BIDS.match(lower)
    tokens = list(_TOKEN.finditer(lower, bids.end() if bids else 0))
    first = len(tokens)
    while first and _meanings(tokens[first - 1].group()) is not None:
        first -= 1
    meanings = [meaning for token in tokens[first:] for meaning in _meanings(token.group()) or ()]
    start = tokens[first].start() if first < len(tokens) else len(name)
    meanings = [*_of_entities(lower[:start], bids is not None), *meanings]
    return _judged(meanings, name[:start].rstrip("-_. +"))


def read_whole_name(name: str) -> str | None:
    """The channel that all words of a bare name say, or None where one of them is of nothing known."""
    words = [_meanings(token.group()) for token in _TOKEN.finditer(name.lower())]
    if any(word is None for word in words):
        return None
    return _judged([meaning for word in words for meaning in word or ()], "").channel


def _of_entities(before: str, bids: bool) -> Iterator[str]:
    """What the entities before the words say of the channel: `ce-` in any name, the others in one of BIDS."""
    for key, value in _ENTITY.findall(before):
        if key == "ce":
            yield _NATIVE if value in _NO_AGENT else _CONTRAST
        elif bids:
            yield from (_meanings(value) or ())


def _meanings(token: str) -> tuple[str, ...] | None:
    """Meaning of each word joined in a token, such as `t1wpost`; None where a part of it means nothing."""
    bare = re.sub(r"[-_.\s]", "", token)
    if bare in ("c+", "+c"):
        return (_CONTRAST,)
    if token == "c-":
        return (_NATIVE,)
    if bare in _MEANING:
        return tuple(_MEANING[bare].split()) if bare == "ct1" else (_MEANING[bare],)
    if bare in _LETTERS:
        return (_LETTER + bare,)
    pieces = _pieces(bare)
    return None if pieces is None else tuple(meaning for piece in pieces for meaning in _of_piece(piece))


def _pieces(word: str) -> tuple[str, ...] | None:
    """The words joined in one, long ones first, or None where a part of it is none."""
    rests: list[tuple[str, ...] | None] = [*[None] * len(word), ()]
    for at in reversed(range(len(word))):
        for end in range(min(len(word), at + _LONGEST), at, -1):
            piece, rest = word[at:end], rests[end]
            letter = piece in _LETTERS and word[:at].endswith(("t1", "t1w"))
            if rest is not None and (letter or (piece in _MEANING and piece not in _ALONE)):
                rests[at] = (piece, *rest)
                break
    return rests[0]


def _of_piece(piece: str) -> tuple[str, ...]:
    if piece in _LETTERS:
        return (_LETTERS[piece],)
    return tuple(_MEANING[piece].split()) if piece == "ct1" else (_MEANING[piece],)


def _judged(meanings: Sequence[str], case: str) -> Reading:
    """The channel of meanings in their order, or the reason why they say none."""
    sequences = frozenset(meaning for meaning in meanings if meaning in _SEQUENCES)
    other = next((meaning for meaning in meanings if not _is_of_channels(meaning)), None)
    if other is not None:
        return Reading(None, f"{other} by its name, which is no channel here", case)
    if not sequences:
        return Reading(None, "its name ends in no channel", case)
    if sequences not in _CHANNEL:
        return Reading(None, f"its name says several channels ({', '.join(sorted(sequences))})", case)
    if sequences == {"t2"} and _INVERSION in meanings:
        return Reading(None, "its name says a T2 with inversion, which may be FLAIR or STIR", case)
    how, reason = _contrast(meanings)
    if reason:
        return Reading(None, reason, case)
    return Reading("t1c" if sequences == {"t1"} and how == _CONTRAST else _CHANNEL[sequences], "", case)


def _contrast(meanings: Sequence[str]) -> tuple[str, str]:
    """Native or contrast, or the reason why nothing is said; "no contrast" and "pre contrast" are native."""
    how: set[str] = set()
    seen_t1 = False
    for number, meaning in enumerate(meanings):
        before, after = meanings[number - 1] if number else "", meanings[number + 1 : number + 2]
        seen_t1 |= meaning == "t1"
        if meaning == _NOT and not _DENIED.intersection(after):
            return "", "its name says 'no' of nothing known"
        if meaning.startswith(_LETTER) and not seen_t1:
            return "", "a single letter in its name may be anything"
        if meaning in (_NATIVE, _BEFORE) or (before in (_NOT, _BEFORE) and meaning in _DENIED):
            how.add(_NATIVE)
        elif meaning in (_CONTRAST, _AFTER):
            how.add(_CONTRAST)
        elif meaning.startswith(_LETTER):
            how.add(_LETTERS[meaning.removeprefix(_LETTER)])
    if len(how) > 1:
        return "", "its name says both native and after contrast"
    return next(iter(how), ""), ""


def _is_of_channels(meaning: str) -> bool:
    return meaning in _SEQUENCES or meaning in _HOW or meaning.startswith(_LETTER)
