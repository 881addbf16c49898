"""Reading FreeSurfer's MGH and MGZ."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from oncoprompt.errors import InputError

_HEADER_BYTES = 284
_TYPES = ("uint8", "int16", "int32", "float32")


def read_mgh(file: Path, max_voxels: int, max_ratio: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Array (I, J, K) or (I, J, K, N) and RAS+ affine of FreeSurfer's .mgh or .mgz; raises InputError for damage."""
    try:
        with file.open("rb") as stream:
            compressed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(file, "rb") if compressed else file.open("rb") as stream:
            header = MGHHeader(stream.read(_HEADER_BYTES), check=False)
        shape = header.get_data_shape()
        dtype = header.get_data_dtype()
        end = _HEADER_BYTES + math.prod(shape) * dtype.itemsize
        if dtype.name not in _TYPES or math.prod(shape) > max_voxels:
            raise InputError(f"'{file.name}' claims {math.prod(shape)} voxels of type {dtype.name}; crop it.")
        if end > file.stat().st_size * (max_ratio if compressed else 1):
            raise InputError(f"The header of '{file.name}' claims more than the file can hold. Copy it again.")
        image: Any = nib.MGHImage.from_filename(str(file))
        array = np.asanyarray(image.dataobj)
    except (MGHError, HeaderDataError, KeyError, ValueError, OSError, EOFError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"'{file.name}' is damaged, or no MGH file ({error}). Export it again.") from error
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return array, np.asarray(image.affine, dtype=np.float64)
