"""Reading a data set from disk, whichever of the known layouts it has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from oncoprompt.cohort.abdomen import is_kits, is_lits, read_kits, read_lits
from oncoprompt.cohort.bids import is_bids, read_bids
from oncoprompt.cohort.cohort import Cohort
from oncoprompt.cohort.decathlon import read_decathlon
from oncoprompt.cohort.folders import read_folders
from oncoprompt.cohort.json_file import read_table
from oncoprompt.cohort.manifest import read_manifest
from oncoprompt.cohort.nnunet import read_nnunet
from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema, schemas

_READERS: MappingProxyType[str, Callable[[Path, LabelSchema | None], Cohort]] = MappingProxyType(
    {
        "brats2021": read_folders,
        "brats2023": read_folders,
        "folders": read_folders,
        "nnunet": read_nnunet,
        "decathlon": read_decathlon,
        "bids": read_bids,
        "kits21": read_kits,
        "lits": read_lits,
        "manifest": read_manifest,
    }
)

LAYOUTS = tuple(_READERS)
"""Names of the layouts."""

_MANIFESTS = ("manifest.csv", "manifest.json")


def read_cohort(
    source: str | os.PathLike[str], layout: str | None = None, schema: LabelSchema | str | None = None
) -> Cohort:
    """The cases of a folder or of a manifest, in `layout` or in the layout that its content shows.

    `schema` is that of every label map, or None for what the names, the data set or the files say. No image is read.
    Raises InputError where nothing is found, saying what was and which layouts are known, and for an unknown or another
    `layout`.
    """
    path = Path(source)
    if not path.exists():
        raise InputError(f"There is no file or folder '{path}'.")
    if layout is not None and layout not in LAYOUTS:
        raise InputError(f"There is no layout '{layout}'. Known: {', '.join(LAYOUTS)}.")
    known = schemas.get(schema) if isinstance(schema, str) else schema
    chosen = layout or _recognised(path)
    if chosen == "manifest":
        path = _manifest(path)
    elif not path.is_dir():
        raise InputError(f"'{path}' is a file; give the folder of the data set, or a manifest in .csv or .json.")
    elif chosen in ("nnunet", "decathlon") and not (path / "dataset.json").is_file():
        raise InputError(f"'{path}' has no dataset.json, which layout {chosen} needs.")
    try:
        cohort = _READERS[chosen](path, known)
    except InputError as error:
        raise InputError(f"{error} Read as layout {chosen}; known: {', '.join(LAYOUTS)}.") from error
    if layout is not None and layout not in ("folders", cohort.layout):
        raise InputError(f"The cases of '{path}' are named as in layout {cohort.layout}, not {layout}.")
    return cohort


def _recognised(path: Path) -> str:
    if path.is_file() or any((path / name).is_file() for name in _MANIFESTS):
        return "manifest"
    if (path / "dataset.json").is_file():
        description = read_table(path / "dataset.json")
        if "channel_names" in description:
            return "nnunet"
        if "training" in description:
            return "decathlon"
        raise InputError(
            f"'{path / 'dataset.json'}' has neither channel_names (nnU-Net) nor training (Medical Decathlon); "
            f"found: {', '.join(description) or 'nothing'}."
        )
    for layout, recognises in (("bids", is_bids), ("kits21", is_kits), ("lits", is_lits)):
        if recognises(path):
            return layout
    return "folders"


def _manifest(path: Path) -> Path:
    if path.is_dir():
        found = [path / name for name in _MANIFESTS if (path / name).is_file()]
        if len(found) != 1:
            raise InputError(f"'{path}' holds {len(found)} manifests; give one file {' or '.join(_MANIFESTS)}.")
        return found[0]
    if path.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"'{path}' is a file; give the folder of the data set, or a manifest in .csv or .json.")
    return path
