"""Unlabelled real cases: read without any label map, and looked at where the network itself sees a tumour."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt.adaptation.self_training import VolumeLimits
from oncoprompt.errors import InputError
from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.interface import Method, RegionProbabilities
from oncoprompt.prompts import Box
from oncoprompt.study import LabelMap, Study, schemas
from oncoprompt.synthesis.case import SCHEMA, LabelledCase

_MM = (1.0, 1.0, 1.0)
_log = logging.getLogger(__name__)


def read_unlabelled(folder: Path) -> list[LabelledCase]:
    """The cases of a folder (one sub-folder of scans each) with labels that are all zero; label maps are not opened.

    Cases that cannot be read are passed over with a warning. Raises `InputError` where none is left.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder}' of unlabelled cases. Give one that holds a folder a case.")
    cases = []
    for path in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        try:
            study = Study.read(path)
            nothing = LabelMap(np.zeros(study.grid.shape, dtype=np.uint8), study.grid, schemas.get(SCHEMA))
            cases.append(LabelledCase.of_study(study, nothing))
        except (InputError, OSError) as error:
            _log.warning("Unlabelled case '%s' is left out: %s", path.name, error)
    if not cases:
        raise InputError(f"Folder '{folder}' holds no case that can be read; each case is a sub-folder with its scans.")
    return cases


def pseudo_labelled(
    cases: Sequence[LabelledCase], method: Method, limits: VolumeLimits | None = None
) -> list[LabelledCase]:
    """The cases with what the method sees in the whole brain, then closer in a box about that; no prompt is needed.

    A whole tumour of a volume outside the limits is refused with a warning: the labels of that case stay zero.
    """
    limits = limits or VolumeLimits()
    out = []
    for case in cases:
        labels = _seen(case, method, limits)
        if labels is None:
            _log.warning("Case '%s': the tumour found has no plausible volume; it is not labelled.", case.name)
            labels = np.zeros(tuple(case.labels.shape), dtype=np.uint8)
        out.append(replace(case, labels=torch.from_numpy(labels)))
    return out


def _seen(case: LabelledCase, method: Method, limits: VolumeLimits) -> NDArray[np.uint8] | None:
    """Labels [K, J, I] from two looks, or None where either finds no plausible tumour."""
    study = case.study()
    found = _regions(method.decode(method.encode(study, None), [], study), study)
    if not limits.plausible(torch.from_numpy(found[0]), _MM):
        return None
    bounds = mask_bounds(found[0])
    box = Box.from_voxels(bounds, study.grid)
    found = _regions(method.decode(method.encode(study, bounds), [box], study), study)
    if not limits.plausible(torch.from_numpy(found[0]), _MM):
        return None
    whole, core, enhancing = found
    labels = np.where(enhancing, 3, np.where(core, 1, np.where(whole, 2, 0))).astype(np.uint8)
    return np.ascontiguousarray(labels.transpose(2, 1, 0))


def _regions(probabilities: RegionProbabilities, study: Study) -> NDArray[np.bool_]:
    """Masks [3, I, J, K] on the study's grid."""
    out = np.zeros((3, *study.grid.shape), dtype=bool)
    window = tuple(
        slice(low, low + n) for low, n in zip(probabilities.offset, probabilities.values.shape[1:], strict=True)
    )
    out[(slice(None), *window)] = probabilities.values > 0.5
    return out
