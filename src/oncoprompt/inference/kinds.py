"""The answer to several words: which kind of tumour lies where, on the scan's own grid."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cc3d
import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.study import LabelSchema, Study, write_nifti

if TYPE_CHECKING:
    from oncoprompt.geometry import Grid
    from oncoprompt.inference.segmentation import Provenance, Segmentation

SCHEMA = "kinds"
"""Name of the label schema of files: the number of a kind is that of its words, from 1."""


@dataclass(frozen=True, eq=False)
class KindSegmentation:
    """Kinds of tumour numbered from 1 in the order of their words, on the study's grid.

    ``answers`` hold what was found for each of the words alone. Where several find the same, the kind that is likelier
    there has it, then the first; so kinds do not overlap.
    """

    study: Study
    answers: Mapping[str, Segmentation]
    provenance: Provenance

    @property
    def grid(self) -> Grid:
        """The study's grid."""
        return self.study.grid

    @property
    def words(self) -> tuple[str, ...]:
        """What was asked for, in the order of the numbers."""
        return tuple(self.answers)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about the scan, the prompts and the answers, each once."""
        return tuple(dict.fromkeys(said for answer in self.answers.values() for said in answer.warnings))

    def label_map(self) -> NDArray[np.uint8]:
        """Numbers of the kinds (I, J, K), 0 for none."""
        return self._labels.copy()

    def mask(self, words: str) -> NDArray[np.bool_]:
        """Where a kind is, (I, J, K); raises InputError for words that were not asked for."""
        return np.asarray(self._labels == self._number(words))

    def volume_ml(self, words: str) -> float:
        """Volume of a kind in millilitres."""
        return float(np.count_nonzero(self.mask(words))) * self.grid.voxel_volume_ml

    def count(self, words: str) -> int:
        """Connected components (26 neighbours) of a kind."""
        return int(cc3d.connected_components(self.mask(words), connectivity=26, return_N=True)[1])

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the label map as NIfTI with the study's grid and header codes, whole or not at all.

        Raises InputError where a file is there that OncoPrompt did not write, or that was changed since, unless
        ``overwrite``.
        """
        values = tuple((words, number) for number, words in enumerate(self.words, start=1))
        write_nifti(path, self._labels, like=self.study, schema=LabelSchema(SCHEMA, values), overwrite=overwrite)

    @cached_property
    def _labels(self) -> NDArray[np.uint8]:
        labels = np.zeros(self.grid.shape, dtype=np.uint8)
        likeliest = np.zeros(self.grid.shape, dtype=np.float32)
        for number, answer in enumerate(self.answers.values(), start=1):
            window = answer.window
            values = answer.probabilities.values[0]
            wins = (values > answer.threshold) & (values > likeliest[window])
            labels[window][wins] = number
            likeliest[window][wins] = values[wins]
        return labels

    def _number(self, words: str) -> int:
        if words not in self.answers:
            raise InputError(f"'{words}' was not asked for. Asked for: {', '.join(self.words)}.")
        return self.words.index(words) + 1
