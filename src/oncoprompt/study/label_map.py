"""A label map with the schema that says what its numbers mean."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study.schemas import LabelSchema, get, refuse_to_guess
from oncoprompt.study.volume import read_volume
from oncoprompt.study.writer import SCHEMA_PREFIX


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Labels (I, J, K) uint8 on a grid, in a named schema."""

    labels: NDArray[np.uint8]
    grid: Grid
    schema: LabelSchema

    def region_masks(self) -> dict[str, NDArray[np.bool_]]:
        """Boolean masks of WT, TC and ET."""
        return self.schema.region_masks(self.labels)


def read_label_map(path: str | os.PathLike[str], schema: LabelSchema | str | None = None) -> LabelMap:
    """Read a label map in `schema`, or in the schema its file names.

    Raises InputError where neither names one (a number such as 4 has three meanings), where both do and differ, and for
    values outside the schema.
    """
    volume = read_volume(path, raw=True)
    if volume.array.ndim != 3:
        raise InputError(f"'{Path(path).name}' holds {volume.array.shape[3]} volumes; a label map has one.")
    stored = _stored_schema(volume.header)
    asked = get(schema) if isinstance(schema, str) else schema
    if asked is not None and stored is not None and asked != stored:
        raise InputError(
            f"'{Path(path).name}' says it is in schema {stored.describe()}, not {asked.name}. Leave the "
            f"schema out (--schema in the shell), or name {stored.name}."
        )
    chosen = asked or stored
    if chosen is None:
        raise refuse_to_guess(volume.array)
    return LabelMap(np.ascontiguousarray(chosen.check(volume.array)), volume.grid, chosen)


def _stored_schema(header: Nifti1Header | None) -> LabelSchema | None:
    if header is None:
        return None
    description = bytes(header["descrip"].item()).decode("latin-1")
    return get(description.removeprefix(SCHEMA_PREFIX)) if description.startswith(SCHEMA_PREFIX) else None
