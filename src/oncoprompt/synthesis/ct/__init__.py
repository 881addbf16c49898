"""Synthetic abdominal CT: people with lesions of liver, kidney or pancreas, for training without real scans."""

from oncoprompt.synthesis.ct.generate import SyntheticCt, synthesize_ct
from oncoprompt.synthesis.ct.lattice import Region
from oncoprompt.synthesis.ct.subject import LABELS, ORGANS, AbdomenSubject, CtPicture
from oncoprompt.synthesis.ct.window import WINDOWS, apply_window

__all__ = [
    "LABELS",
    "ORGANS",
    "WINDOWS",
    "AbdomenSubject",
    "CtPicture",
    "Region",
    "SyntheticCt",
    "apply_window",
    "synthesize_ct",
]
