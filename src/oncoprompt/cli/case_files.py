"""The files of a labelled case, named as BraTS names them."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

_BYTES_IN_CASE = 12_000_000
"""Four compressed channels of a head in voxels of 1 mm, and a little less than they usually are."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from oncoprompt.study import Study


def check_room_for_cases(out: Path, number: int) -> None:
    """Raise `InputError` where the disk of a folder has no room for so many cases."""
    from oncoprompt.study.disk import check_room

    check_room(out, number * _BYTES_IN_CASE)


def check_cases(out: Path, names: Iterable[str], more: Iterable[Path] = (), inputs: Iterable[Path] = ()) -> None:
    """Raise `InputError` where writing cases of these names, or ``more`` files, would replace what is not ours."""
    from oncoprompt.study.output import check_outputs

    there = [file for name in names for file in sorted((out / name).glob(f"{name}-*"))]
    check_outputs([*there, *more], inputs)


def write_case(
    out: Path, name: str, study: Study, label_map: NDArray[np.uint8], schema: str, record: Mapping[str, Any]
) -> Path:
    """Write `<out>/<name>/<name>-<channel>.nii.gz`, `-seg.nii.gz` and `-record.json`; returns the folder.

    ``label_map`` (I, J, K) lies on the study's grid and is in ``schema``; ``record`` says how the case came about.
    """
    place = out / name
    # a new case appears whole or not at all
    folder = place if place.exists() else out / f".{name}.{secrets.token_hex(6)}.tmp"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write(folder, name, study, label_map, schema, record)
        if folder != place:
            folder.rename(place)
    finally:
        if folder != place:
            shutil.rmtree(folder, ignore_errors=True)
    return place


def _write(
    folder: Path, name: str, study: Study, label_map: NDArray[np.uint8], schema: str, record: Mapping[str, Any]
) -> None:
    from oncoprompt.report.summary import plain
    from oncoprompt.study import write_nifti
    from oncoprompt.study.output import write_output

    for channel, volume in study.channels.items():
        write_nifti(folder / f"{name}-{channel}.nii.gz", volume, like=study)
    write_nifti(folder / f"{name}-seg.nii.gz", label_map, like=study, schema=schema)
    write_output(folder / f"{name}-record.json", f"{json.dumps(plain(record), indent=2)}\n".encode())
