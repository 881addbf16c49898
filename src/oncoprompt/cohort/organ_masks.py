"""Masks of organs that lie beside a scan, as a program that segments organs leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oncoprompt.study.channels import EXTENSIONS, split_extension

_SIDES = ("left", "right")


def organ_masks(image: Path, organ: str, alone: bool = True) -> tuple[Path, ...]:
    """The files whose union is the mask of an organ of a scan, or none.

    `<organ>.nii.gz` or, for a paired organ, `<organ>_left` and `<organ>_right` lie in the folder of a scan that is
    `alone` there; beside several scans each file starts with the name of its scan, `<scan>_<organ>.nii.gz`.
    """
    parts = split_extension(image.name)
    stem = parts[0] if parts is not None else image.stem
    for prefix in (f"{stem}_", *([""] if alone else [])):
        whole = _existing(image, [f"{prefix}{organ}"])
        if found := whole or _existing(image, [f"{prefix}{organ}_{side}" for side in _SIDES]):
            return found
    return ()


def _existing(image: Path, stems: Sequence[str]) -> tuple[Path, ...]:
    """The first file of each stem; a missing kidney is no reason to leave the other out."""
    found = []
    for stem in stems:
        paths = [path for ending in EXTENSIONS if (path := image.with_name(stem + ending)).is_file()]
        found += paths[:1]
    return tuple(found)
