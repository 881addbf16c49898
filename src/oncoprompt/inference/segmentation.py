"""The answer: nested region probabilities on the scan's grid, labels, lesions, volumes and where it all came from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import cc3d
import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.prompts import Box
from oncoprompt.study import REGIONS, Study, schemas, write_nifti
from oncoprompt.study.regions import check_told, usual_schema

if TYPE_CHECKING:
    from oncoprompt.geometry import Grid
    from oncoprompt.inference.calibration import Calibration
    from oncoprompt.methods.interface import Prompt, RegionProbabilities


@dataclass(frozen=True)
class Lesion:
    """One connected component of the whole tumour; ``regions`` holds the millilitres of each region in it."""

    id: int
    voxels: int
    volume_ml: float
    centre_mm: tuple[float, float, float]
    regions: dict[str, float]


@dataclass(frozen=True)
class Provenance:
    """Which model with which weights answered which prompts, and how long each step took (seconds)."""

    model: str
    weights_sha256: str
    prompts: tuple[Prompt, ...]
    version: str
    timings_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Segmentation:
    """Probabilities of WT, TC and ET on the study's grid, ET inside TC inside WT voxel by voxel.

    ``probabilities`` are the network's own; ``probability`` gives the calibrated ones where the weights have a
    calibration. ``warnings`` are sentences about the scan and the boxes.
    """

    study: Study
    probabilities: RegionProbabilities
    provenance: Provenance
    threshold: float = 0.5
    calibration: Calibration | None = None
    warnings: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The study's grid."""
        return self.study.grid

    def probability(self, region: str) -> NDArray[np.float32]:
        """Probability (I, J, K) of a region, "WT", "TC" or "ET": calibrated, or the network's own.

        Calibration moves no probability across 0.5, so the mask stays as it is.
        """
        out = np.zeros(self.grid.shape, dtype=np.float32)
        out[self.window] = self._calibrated[_index(region)]
        return out

    def mask(self, region: str) -> NDArray[np.bool_]:
        """Where a region is more likely than not, (I, J, K)."""
        out = np.zeros(self.grid.shape, dtype=bool)
        out[self.window] = self.probabilities.values[_index(region)] > self.threshold
        return out

    def label_map(self, schema: str) -> NDArray[np.uint8]:
        """Labels (I, J, K) in a named schema, such as "brats2023"; "tumour" for CT.

        Raises InputError for a schema that is not known, or whose parts of a tumour the scan does not tell.
        """
        named = schemas.get(schema)
        check_told(named, self.study.channels)
        values = self.probabilities.values > self.threshold
        out = np.zeros(self.grid.shape, dtype=np.uint8)
        out[self.window] = named.from_regions(dict(zip(REGIONS, values, strict=True)))
        return out

    def volume_ml(self, region: str) -> float:
        """Volume of a region in millilitres."""
        inside = np.count_nonzero(self.probabilities.values[_index(region)] > self.threshold)
        return float(inside) * self.grid.voxel_volume_ml

    def volume_interval_ml(self, region: str) -> tuple[float, float] | None:
        """Lowest and highest volume (ml) of a region to expect, from the errors on held-out studies with one box.

        None where the weights have no calibration, and where no box was drawn.
        """
        index = _index(region)
        if self.calibration is None or not any(isinstance(prompt, Box) for prompt in self.provenance.prompts):
            return None
        return self.calibration.volumes[REGIONS[index]].interval_ml(self.volume_ml(region))

    @property
    def interval_share(self) -> float | None:
        """The share of studies whose true volume lies in `volume_interval_ml`; None without calibration."""
        return None if self.calibration is None else self.calibration.volumes[REGIONS[0]].share

    @property
    def calibrated(self) -> bool:
        """Whether the weights have a calibration."""
        return self.calibration is not None

    def count(self, region: str) -> int:
        """Connected components (26 neighbours) of a region."""
        inside = self.probabilities.values[_index(region)] > self.threshold
        return int(cc3d.connected_components(inside, connectivity=26, return_N=True)[1])

    @cached_property
    def lesions(self) -> list[Lesion]:
        """Connected components (26 neighbours) of the whole tumour, largest first."""
        values = self.probabilities.values > self.threshold
        parts, count = cc3d.connected_components(values[0], connectivity=26, return_N=True)
        if count == 0:
            return []
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        inside = [np.bincount(parts.ravel(), weights=value.ravel(), minlength=count + 1) for value in values]
        centres = cc3d.statistics(parts)["centroids"]
        found = []
        for number, part in enumerate(np.argsort(-sizes[1:], kind="stable") + 1, start=1):
            centre = self.grid.to_world(centres[part] + np.asarray(self.probabilities.offset))
            ml = {name: float(v[part]) * self.grid.voxel_volume_ml for name, v in zip(REGIONS, inside, strict=True)}
            position = (float(centre[0]), float(centre[1]), float(centre[2]))
            found.append(Lesion(number, int(sizes[part]), ml["WT"], position, ml))
        return found

    def save(self, path: str | os.PathLike[str], schema: str | None = None, overwrite: bool = False) -> None:
        """Write the label map as NIfTI with the study's grid and header codes; the schema's name goes along.

        Without a name it is brats2023, for CT "tumour". Raises InputError where a file is there that OncoPrompt did not
        write, or that was changed since, unless ``overwrite``.
        """
        schema = schema or usual_schema(self.study.channels)
        write_nifti(path, self.label_map(schema), like=self.study, schema=schema, overwrite=overwrite)

    @cached_property
    def _calibrated(self) -> NDArray[np.float32]:
        values = self.probabilities.values
        return values if self.calibration is None else self.calibration.probabilities(values)

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Where the probabilities lie on the grid; they are 0 elsewhere."""
        i, j, k = self.probabilities.offset
        a, b, c = self.probabilities.values.shape[1:]
        return slice(i, i + a), slice(j, j + b), slice(k, k + c)


def _index(region: str) -> int:
    if region not in REGIONS:
        raise InputError(f"There is no region '{region}'. Known: {', '.join(REGIONS)}.")
    return REGIONS.index(region)
