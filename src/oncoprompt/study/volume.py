"""Reading one scan into an array on a grid, whatever its format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study.channels import split_extension
from oncoprompt.study.dicom import Sizes, is_dicom, read_dicom
from oncoprompt.study.mgh import read_mgh
from oncoprompt.study.nifti import MAX_DEFLATE_RATIO, grid_of, read_nifti
from oncoprompt.study.picture import is_picture_file, read_picture

MAX_VOXELS = 2**30
"""Largest volume read by default: 1024^3, four gigabytes as float32."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Array (I, J, K) or (I, J, K, N) float32 on its grid, with the NIfTI header where there was one.

    ``names`` are the channels that the file itself tells, as the colours of a picture. ``sizes`` says whether the grid
    tells volumes in ml, only areas (one slice of unknown thickness), or nothing (pictures).
    """

    array: NDArray[Any]
    grid: Grid
    header: Nifti1Header | None
    names: tuple[str, ...] = ()
    sizes: Sizes = "volume"


def read_volume(path: str | os.PathLike[str], max_voxels: int = MAX_VOXELS, raw: bool = False) -> Volume:
    """A scan in one of `channels.EXTENSIONS`, a picture, a DICOM file or series, or the challenges' .npz.

    `raw` keeps the stored type (label maps), else float32.

    Raises InputError for a file that is missing, of another format, damaged, truncated, larger than `max_voxels`, or
    whose header claims more than it holds, has no usable type, or no orthogonal axes.
    """
    file = Path(path)
    if not file.exists():
        raise InputError(f"File or folder '{file}' does not exist.")
    if not file.is_file() and not is_dicom(file):
        raise InputError(f"'{file}' is not a file.")
    if not os.access(file, os.R_OK):
        raise InputError(f"'{file}' may not be read by this user; change its permissions.")
    parts = split_extension(file.name)
    ending = None if parts is None else parts[1]
    if ending in (".nrrd", ".nhdr", ".mha", ".mhd"):
        from oncoprompt.study.itk import read_itk  # SimpleITK is slow to import and seldom needed

        array, affine = read_itk(file, max_voxels, MAX_DEFLATE_RATIO)
        return Volume(array if raw else array.astype(np.float32), grid_of(array.shape, affine, file), None)
    if ending in (".mgz", ".mgh"):
        array, affine = read_mgh(file, max_voxels, MAX_DEFLATE_RATIO)
        return Volume(array if raw else array.astype(np.float32), grid_of(array.shape, affine, file), None)
    if ending is None and is_dicom(file):
        image = read_dicom(file, max_voxels)
        grid = grid_of(image.array.shape, image.affine, file)
        return Volume(image.array, grid, None, image.channels, image.sizes)
    if is_picture_file(file):
        return _of_names(*read_picture(file), raw, "none")
    if file.name.lower().endswith(".npz"):
        from oncoprompt.study.npz import read_npz  # builds on this file

        return _of_names(*read_npz(file, max_voxels), raw)
    array, affine, header = read_nifti(file, max_voxels, raw)
    return Volume(array, grid_of(array.shape, affine, file), header)


def _of_names(
    values: NDArray[np.generic], grid: Grid, names: tuple[str, ...], raw: bool, sizes: Sizes = "volume"
) -> Volume:
    return Volume(values if raw else values.astype(np.float32), grid, None, names, sizes)
