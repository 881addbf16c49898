"""Labelled cases of organs with tumours: what full-size TAGS learns from, on the grids that the scans came on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from oncoprompt.cohort import Case
from oncoprompt.cohort.organ_masks import organ_masks
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.geometry.resample import resample
from oncoprompt.methods.tags.intensities import BRAIN, MRI_ORDER, Intensities, channel_for, intensities_for
from oncoprompt.methods.tags.phrases import KINDS, KNOWN_WORDS
from oncoprompt.study import Study
from oncoprompt.study.foreground import foreground_mask
from oncoprompt.study.volume import read_volume
from oncoprompt.training.cohort_items import labelled_cases

AnatomySource = Literal["files", "labels"]


@dataclass(frozen=True)
class OrganCohort:
    """A data set of tumours that words describe: an organ, or a kind of brain tumour; the rest as in `[data]`.

    `fold` is that of a split which lists several.
    """

    words: str
    cohort: str
    layout: str | None = None
    schema: str | None = None
    split: str | None = None
    part: str = "train"
    fold: int = 0

    def __post_init__(self) -> None:
        """Check the words; raises InputError."""
        if self.words not in KNOWN_WORDS:
            raise InputError(
                f"Training configuration: '{self.words}' is no organ or kind of tumour. Known: "
                f"{', '.join(KNOWN_WORDS)}."
            )

    @property
    def organ(self) -> str:
        """The organ that holds the tumours."""
        return BRAIN if self.words in KINDS else self.words


@dataclass(frozen=True)
class CaseSource:
    """A case on disk and the words for its tumour; `alone`: its scan shares its folder with no other case's."""

    case: Case
    words: str
    organ: str
    alone: bool


@dataclass(frozen=True, eq=False)
class OrganCase:
    """Channels (I, J, K) as they came, with what shows them to the network, and masks of tumour and organ.

    About 200 MB for a CT of 512 x 512 x 300 voxels.
    """

    name: str
    words: str
    grid: Grid
    channels: dict[str, tuple[NDArray[Any], Intensities]]
    tumour: NDArray[np.bool_]
    anatomy: NDArray[np.bool_]


def case_sources(cohort: OrganCohort) -> list[CaseSource]:
    """The labelled cases of a data set or of a part of it; raises InputError where there are none."""
    cases = labelled_cases(cohort.cohort, cohort.layout, cohort.schema, cohort.split, cohort.part, cohort.fold)
    scans = Counter(folder for case in cases for folder in {file.parent for file in case.files()})
    return [CaseSource(case, cohort.words, cohort.organ, scans[case.files()[0].parent] == 1) for case in cases]


def read_organ_case(source: CaseSource, anatomy: AnatomySource) -> OrganCase:
    """Read a case; `anatomy` says where the mask of its organ comes from.

    "labels": every label of a schema with an organ; "files": masks beside the scan, see `organ_masks`. The brain's is
    its foreground, with the tumour. Raises InputError where grids differ or a mask is missing.
    """
    case = source.case
    study, label_map = case.study(), case.labels()
    if not study.grid.matches(label_map.grid):
        told = study.grid.difference(label_map.grid)
        raise InputError(f"Case '{case.name}': scan and label map lie on different grids: {told}.")
    tumour = label_map.region_masks()["WT"]
    if source.organ == BRAIN:
        channel = channel_for(study, BRAIN)
        inside = foreground_mask(study.channels[channel], channel) | tumour
    elif anatomy == "labels":
        if label_map.schema.value("ORGAN") is None:
            raise InputError(
                f"Case '{case.name}': label schema {label_map.schema.describe()} has no organ. Set "
                "data.options.anatomy to 'files' and give masks of the organ."
            )
        inside = label_map.labels > 0
    else:
        inside = _organ_of_files(source, study.grid)
    return OrganCase(case.name, source.words, study.grid, _channels(study, source.organ), tumour, inside)


def _channels(study: Study, organ: str) -> dict[str, tuple[NDArray[Any], Intensities]]:
    """Those that the network may see: all MRI of a brain, else the one that is looked at."""
    names = [name for name in MRI_ORDER if name in study.channels] if organ == BRAIN else []
    names = names or [channel_for(study, organ)]
    return {name: (_packed(study.channels[name]), intensities_for(study, name, organ)) for name in names}


def _packed(values: NDArray[np.float32]) -> NDArray[Any]:
    """Whole numbers, as CT has them, in half the memory."""
    whole = values.astype(np.int16, casting="unsafe") if np.abs(values).max() < 2**15 else None
    return whole if whole is not None and np.array_equal(whole, values) else values


def _organ_of_files(source: CaseSource, grid: Grid) -> NDArray[np.bool_]:
    image = source.case.files()[0]
    files = organ_masks(image, source.organ, source.alone)
    if not files:
        name = f"{source.organ}.nii.gz" if source.alone else f"<scan>_{source.organ}.nii.gz"
        raise InputError(
            f"Case '{source.case.name}' has no mask of the {source.organ} beside {image.name}: {name}. Make one, or "
            "set data.options.anatomy to 'labels'."
        )
    return np.asarray(np.logical_or.reduce([_mask(file, grid) for file in files]))


def _mask(file: Path, grid: Grid) -> NDArray[np.bool_]:
    volume = read_volume(file, raw=True)
    if volume.array.ndim != 3:
        raise InputError(f"'{file.name}' holds {volume.array.shape[3]} volumes; a mask has one.")
    mask = np.asarray(volume.array > 0)
    if volume.grid.matches(grid):
        return mask
    return np.asarray(resample(mask.astype(np.uint8), volume.grid, grid, order=0) > 0)
