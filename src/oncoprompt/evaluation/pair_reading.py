"""Reading the two label maps of a case in one numbering and on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError, in_shell
from oncoprompt.evaluation.pairing import Pair
from oncoprompt.evaluation.profiles import Profile
from oncoprompt.geometry import reordered
from oncoprompt.study import LabelMap, convert, read_label_map, schemas
from oncoprompt.study.schemas import UnnamedSchemaError


@dataclass(frozen=True, eq=False)
class ReadPair:
    """Label maps of a case in the profile's numbering; `problem` says why there is no prediction."""

    truth: LabelMap
    prediction: LabelMap | None
    problem: str | None = None

    def masks(self, profile: Profile) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.bool_]]]:
        """Masks (I, J, K) of every region of the profile in the truth and in the prediction, empty without one."""
        true = {region: np.isin(self.truth.labels, list(found)) for region, found in profile.regions.items()}
        if self.prediction is None:
            return true, {region: np.zeros_like(mask) for region, mask in true.items()}
        labels = self.prediction.labels
        return true, {region: np.isin(labels, list(found)) for region, found in profile.regions.items()}


def read_pair(pair: Pair, profile: Profile, schema: str | None = None) -> ReadPair:
    """Read a pair in the schema that each file names, else in `schema`, else in the profile's own.

    Raises InputError where the truth cannot be read.
    """
    truth = _read(pair.truth, profile, schema)
    if pair.prediction is None:
        return ReadPair(truth, None, pair.problem)
    try:
        prediction = _read(pair.prediction, profile, schema)
    except (InputError, OSError) as error:
        return ReadPair(truth, None, f"The prediction cannot be used: {in_shell(error)}")
    labels = reordered(prediction.labels, prediction.grid, truth.grid)
    if labels is None:
        told = truth.grid.difference(prediction.grid)
        return ReadPair(truth, None, f"The prediction lies on another grid than the truth: {told}.")
    return ReadPair(truth, LabelMap(np.asarray(labels, dtype=np.uint8), truth.grid, prediction.schema))


def _read(path: Path, profile: Profile, schema: str | None) -> LabelMap:
    own = schemas.get(profile.schema)
    try:
        found = read_label_map(path)
    except UnnamedSchemaError:
        try:
            found = read_label_map(path, schema or own)
        except InputError as error:
            hint = "" if schema else " If it is in another numbering, name it with --schema."
            raise InputError(f"'{path.name}': {in_shell(error)}{hint}") from error
    return LabelMap(convert(found.labels, found.schema, own), found.grid, own)
