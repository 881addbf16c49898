"""Anatomies from label maps of whole heads in FreeSurfer's numbering, as published to train SynthSeg."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from oncoprompt.errors import InputError
from oncoprompt.geometry import resample
from oncoprompt.study.volume import read_volume
from oncoprompt.synthesis.atlas import HEAD_TISSUES, TISSUES, Atlas, depth_of, distance_to
from oncoprompt.synthesis.case import head_grid_round

_SOFTNESS_MM = 0.6
_SULCUS_MM = 6.0
_SCALP_MM = 7.0
_ORBIT_MM = 16.0
_FOLD_MM = 6.0

_CORTEX = ((3, *range(1000, 1036)), (42, *range(2000, 2036)))
_CEREBELLUM = (7, 8, 46, 47)
_VENTRICLES = (4, 5, 14, 15, 31, 43, 44, 63, 72, 136, 137, 163, 164)
_EYE = 506
_OPTIC_NERVE = 530
_SOFT_TISSUE = 507

_BRAIN: Mapping[tuple[int, ...], Mapping[str, float]] = {
    (*_CORTEX[0], *_CORTEX[1], 17, 18, 53, 54): {"cortical grey": 1.0},
    (8, 47): {"cortical grey": 0.8, "white": 0.2},
    (2, 41, 7, 46, 25, 57, 77, 78, 79, 85, *range(251, 256)): {"white": 1.0},
    (11, 12, 26, 50, 51, 58, 80): {"deep grey": 1.0},
    (10, 49): {"deep grey": 0.7, "white": 0.3},
    (13, 52, 28, 60): {"deep grey": 0.5, "white": 0.5},
    (16,): {"deep grey": 0.3, "white": 0.7},
    (*_VENTRICLES, 30, 62): {"csf": 1.0},
}
# above 500: the classes that SAMSEG's atlas of the whole head has round the brain
_HEAD: Mapping[tuple[int, ...], Mapping[str, float]] = {
    (24, 520): {"csf": 1.0},
    (512, _OPTIC_NERVE): {"white": 1.0},
    (502, 514): {"blood": 1.0},
    (_EYE,): {"eye fluid": 1.0},
    (_SOFT_TISSUE, 258): {"muscle": 0.85, "fat": 0.15},
    (508,): {"muscle": 1.0},
    (509,): {"muscle": 0.6, "eye fluid": 0.4},
    (511,): {"muscle": 0.5, "fat": 0.3},
    (515, 165): {"bone": 1.0},
    (516,): {"bone": 0.3, "fat": 0.7},
    (501, 517): {},
}
_KNOWN = frozenset({0}.union(*_BRAIN, *_HEAD))
_FAT = 4000
"""Our own label: soft tissue told to be fat by where it is."""


def read_labels(path: str | os.PathLike[str]) -> NDArray[np.uint16]:
    """FreeSurfer labels ``[K, J, I]`` on the head box at 1 mm with the brain in its middle.

    Raises InputError for a file that is no label map of a head: intensities, unknown labels, no white matter.
    """
    file = Path(path)
    volume = read_volume(file, raw=True)
    array = volume.array
    if array.ndim != 3:
        raise InputError(f"'{file.name}' holds {array.shape[3]} volumes; a label map of a head has one.")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or bool((array != np.rint(array)).any()):
            raise InputError(f"'{file.name}' holds intensities, not labels; give label maps in FreeSurfer's numbering.")
        array = array.astype(np.int32)
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high < _FAT:
        labels = array.astype(np.uint16)
        found = np.flatnonzero(np.bincount(labels.ravel(order="K"))).tolist()
    else:
        found = [low, high]
    unknown = [value for value in found if value not in _KNOWN]
    if unknown:
        listed = ", ".join(map(str, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        raise InputError(
            f"'{file.name}' has labels that FreeSurfer's numbering of the head does not have: {listed}. Give label "
            "maps such as mri_synthseg writes (2 and 41 white matter, 3 and 42 cortex, 24 CSF)."
        )
    if not {2, 41}.issubset(found):
        raise InputError(f"'{file.name}' has no cerebral white matter (labels 2 and 41); it is no label map of a head.")
    target = head_grid_round(volume.grid, _is(labels, _all(_BRAIN)))
    return np.ascontiguousarray(resample(labels, volume.grid, target, order=0).transpose(2, 1, 0))


def label_atlas(path: str | os.PathLike[str], device: torch.device) -> Atlas:
    """The atlas of one label map, named after its file; errors as of `read_labels`."""
    name = Path(path).name.split(".")[0]
    return atlas_of_labels(name, read_labels(path), device)


def atlas_of_labels(name: str, labels: NDArray[np.uint16], device: torch.device) -> Atlas:
    """The atlas of FreeSurfer labels ``[K, J, I]`` on the head box: soft tissues, brain mask, ventricles and dura."""
    inside = brain_of(labels)
    tissues = _shares(_with_fat(labels), inside)
    ventricle = _soften(_is(labels, _VENTRICLES).astype(np.float32))
    return Atlas.of_maps(name, tissues, depth_of(inside), distance_to(_folds(labels)), ventricle, device)


def brain_of(labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Brain and ventricles with the fluid of sulci and cisterns up to 12 mm wide, without bone and scalp."""
    brain = _is(labels, _all(_BRAIN))
    wide = distance_to(brain, 7) <= _SULCUS_MM
    closed = distance_to(~wide) > _SULCUS_MM
    soft = brain | (closed & _is(labels, (0, 24, 502, 514, 520)))
    largest: NDArray[np.bool_] = cc3d.largest_k(soft.astype(np.uint8), k=1, connectivity=6) > 0
    return largest


def _shares(labels: NDArray[np.uint16], inside: NDArray[np.bool_]) -> list[NDArray[np.float32]]:
    """Soft shares ``[K, J, I]`` of each of TISSUES and HEAD_TISSUES, of what the labels are made of."""
    names = (*TISSUES, *HEAD_TISSUES)
    table = np.zeros((len(names), _FAT + 1), np.float32)
    for values, mix in (*_BRAIN.items(), *_HEAD.items(), ((_FAT,), {"fat": 1.0})):
        for tissue, share in mix.items():
            table[names.index(tissue), list(values)] = share
    # unlabelled gaps inside the brain hold fluid
    filled = np.where(inside & (labels == 0), 24, labels)
    rows = table if bool((filled > 500).any()) else table[: len(TISSUES)]
    return [_soften(row[filled]) for row in rows]


def _with_fat(labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Soft tissue under the skin and round the eyes is fat; the rest stays mostly muscle."""
    soft = labels == _SOFT_TISSUE
    if not soft.any():
        return labels
    air = np.isin(labels, (0, 501, 517))
    outside = cc3d.largest_k(air.astype(np.uint8), k=1, connectivity=6) > 0
    fat = soft & ((distance_to(outside) < _SCALP_MM) | (distance_to(_is(labels, (_EYE, _OPTIC_NERVE)), 17) < _ORBIT_MM))
    return np.where(fat, np.uint16(_FAT), labels)


def _folds(labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """The sheets half way between the two cerebral cortices, and between them and the cerebellum: falx, tentorium."""
    left, right = (distance_to(_is(labels, values), 8) for values in _CORTEX)
    cerebellum = distance_to(_is(labels, _CEREBELLUM), 8)
    apart = _is(labels, (0, 24, 514, 520, *_CORTEX[0], *_CORTEX[1], 8, 47))
    falx = (np.abs(left - right) <= 1) & (np.maximum(left, right) <= _FOLD_MM)
    cortex = np.minimum(left, right)
    tentorium = (np.abs(cortex - cerebellum) <= 1) & (np.maximum(cortex, cerebellum) <= _FOLD_MM)
    folds: NDArray[np.bool_] = apart & (falx | tentorium)
    return folds


def _soften(values: NDArray[np.float32]) -> NDArray[np.float32]:
    for axis in range(3):
        values = gaussian_filter1d(values, _SOFTNESS_MM, axis=axis, mode="nearest", truncate=1.7)
    return values


def _all(table: Mapping[tuple[int, ...], object]) -> tuple[int, ...]:
    return tuple(value for values in table for value in values)


def _is(labels: NDArray[np.uint16], values: Iterable[int]) -> NDArray[np.bool_]:
    table = np.zeros(int(labels.max(initial=0)) + 1, np.bool_)
    table[[value for value in values if value < len(table)]] = True
    return table[labels]
