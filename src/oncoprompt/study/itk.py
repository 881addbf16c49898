"""Reading NRRD and MetaImage through SimpleITK, from LPS to RAS+."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from SimpleITK import GetArrayFromImage, ImageFileReader

from oncoprompt.errors import InputError

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEAD_BYTES = 1 << 16


def read_itk(file: Path, max_voxels: int, max_ratio: int) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Array (I, J, K) and RAS+ affine of a .nrrd or .mha file.

    Raises InputError for headers that point to other files, claim more than the file holds, or describe anything but
    one volume with one number a voxel.
    """
    with file.open("rb") as stream:
        head = stream.read(_HEAD_BYTES).lower()
    if b"\ndata file:" in head or b"\ndatafile:" in head:
        raise InputError(f"'{file.name}' points to another file for its data; give a self-contained file.")
    if file.suffix.lower() == ".mha" and b"elementdatafile = local" not in head:
        raise InputError(f"'{file.name}' does not hold its own data; give a self-contained file.")
    open_reader: Any = ImageFileReader  # SimpleITK has no annotations
    reader = open_reader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"'{file.name}' has a header that cannot be read. Export it again.") from error
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    if len(size) != 3 or components != 1:
        raise InputError(f"'{file.name}' has size {size} with {components} values a voxel; give one volume.")
    voxels = math.prod(size)
    if voxels > max_voxels or voxels > file.stat().st_size * max_ratio:
        raise InputError(f"The header of '{file.name}' claims {voxels} voxels, more than it can hold or than is read.")
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"'{file.name}' is damaged or truncated. Copy it again.") from error
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.asarray(GetArrayFromImage(image)).transpose(2, 1, 0), _LPS_TO_RAS @ affine
