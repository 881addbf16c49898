"""Reading NRRD and MetaImage through SimpleITK, from LPS to RAS+."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from SimpleITK import GetArrayFromImage, ImageFileReader

from oncoprompt.errors import InputError

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEAD_BYTES = 1 << 16
_POINTER = re.compile(rb"^(?:elementdatafile *=|data ?file *:)([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


def read_itk(file: Path, max_voxels: int, max_ratio: int) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Array (I, J, K) and RAS+ affine of a .nrrd, .nhdr, .mha or .mhd file.

    Raises InputError for headers that point out of their folder, claim more than the file holds, or describe anything
    but one volume with one number a voxel.
    """
    with file.open("rb") as stream:
        data_file = _data_file(file, stream.read(_HEAD_BYTES))
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
    if voxels > max_voxels or voxels > data_file.stat().st_size * max_ratio:
        raise InputError(f"The header of '{file.name}' claims {voxels} voxels, more than it can hold or than is read.")
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"'{file.name}' is damaged or truncated. Copy it again.") from error
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.asarray(GetArrayFromImage(image)).transpose(2, 1, 0), _LPS_TO_RAS @ affine


def _data_file(file: Path, head: bytes) -> Path:
    """The file with the voxels: of .nhdr and .mhd one beside it, of .nrrd and .mha the file itself."""
    match = _POINTER.search(head)
    named = match[1].decode("latin-1").strip() if match is not None else "LOCAL"
    detached = file.suffix.lower() in (".nhdr", ".mhd")
    if file.suffix.lower() == ".mha" and (match is None or named.upper() != "LOCAL"):
        raise InputError(f"'{file.name}' does not hold its own data; give a self-contained file.")
    if named.upper() == "LOCAL":
        return file
    beside = file.with_name(named) if detached and named == Path(named).name else None
    if beside is None or beside.resolve().parent != file.resolve().parent or not beside.is_file():
        raise InputError(
            f"'{file.name}' points to another file for its data ('{named}'). Give a self-contained file, or for .nhdr "
            "and .mhd one whose data lie beside it."
        )
    return beside
