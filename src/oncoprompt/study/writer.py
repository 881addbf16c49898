"""Writing arrays as NIfTI on the grid of the scan they came from, all or nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study.output import overwriting, write_output
from oncoprompt.study.schemas import LabelSchema, get
from oncoprompt.study.study import Study

SCHEMA_PREFIX = "oncoprompt schema="
"""What the NIfTI description holds before the name of the label schema."""

_ORIENTATION = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
_INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


def write_nifti(
    path: str | os.PathLike[str],
    array: NDArray[np.generic],
    like: Study | Grid,
    schema: LabelSchema | str | None = None,
    overwrite: bool = False,
) -> None:
    """Write (I, J, K) to .nii or .nii.gz with the shape, affine, sform and qform codes and units of `like`.

    Integers keep their type, bool becomes uint8, float16 and float64 become float32 (NIfTI has no half floats); there
    is no scale slope. The file appears whole or not at all, and replaces none that is not ours unless ``overwrite``.
    `schema` is named in the description field, and the values are checked against it. Raises InputError for another
    shape, type or extension, NaN, or a folder that is not there.
    """
    target = Path(path)
    if not target.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"'{target.name}' must end in .nii or .nii.gz.")
    if not target.parent.is_dir():
        raise InputError(f"Folder '{target.parent}' does not exist; make it first.")
    grid = like.grid if isinstance(like, Study) else like
    if array.shape != grid.shape:
        raise InputError(f"The array to write has shape {array.shape}, but the scan has {grid.shape}.")
    label_schema = get(schema) if isinstance(schema, str) else schema
    values = label_schema.check(array) if label_schema is not None else _storable(array)
    header = _header_like(like.header if isinstance(like, Study) else None, grid)
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header["pixdim"][4:] = 1.0
    if label_schema is not None:
        header["descrip"] = f"{SCHEMA_PREFIX}{label_schema.name}".encode()
    image_class: Any = nib.Nifti2Image if isinstance(header, Nifti2Header) else nib.Nifti1Image
    # An affine of None leaves the orientation fields as they are, to the bit.
    content = image_class(values, None, header=header).to_bytes()
    with overwriting(overwrite):
        write_output(target, content)


def _storable(array: NDArray[np.generic]) -> NDArray[np.generic]:
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        values = array.astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError("The array to write holds NaN or infinite values.")
        return values
    if array.dtype.name not in _INTEGERS:
        raise InputError(
            f"Arrays of type {array.dtype} are not written; use uint8 for labels, float32 for probabilities."
        )
    return array


def _header_like(reference: Nifti1Header | None, grid: Grid) -> Nifti1Header:
    """A fresh header with the reference's orientation only: descriptions and extensions may name a patient."""
    if reference is None:
        header = Nifti1Header()
        header.set_sform(grid.affine, code=1)
        header.set_qform(grid.affine, code=1)
        header.set_xyzt_units("mm")
        return header
    header = Nifti2Header() if isinstance(reference, Nifti2Header) else Nifti1Header()
    for field in _ORIENTATION:
        header[field] = reference[field]
    header["dim"][0] = 3
    header["pixdim"][:4] = reference["pixdim"][:4]
    return header
