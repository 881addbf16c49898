"""Reading one scan into an array on a grid; headers are judged before anything is decoded."""

from __future__ import annotations

import logging
import math
import os
import zlib
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study.channels import split_extension
from oncoprompt.study.dicom import Sizes, is_dicom, read_dicom
from oncoprompt.study.picture import is_picture_file, read_picture

MAX_VOXELS = 2**30
"""Largest volume read by default: 1024^3, four gigabytes as float32."""

MAX_DEFLATE_RATIO = 1100
"""Deflate cannot reach this ratio (1032 is its bound), so a header that needs it lies."""

_HEADER_BYTES = 540
_MAX_HEADER_END = 1 << 24
_LOG = logging.getLogger(__name__)


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
    """A scan from .nii, .nii.gz, .nrrd or .mha, a picture, a DICOM file or series, or the challenges' .npz.

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
    if parts is not None and parts[1] in (".nrrd", ".mha"):
        from oncoprompt.study.itk import read_itk  # SimpleITK is slow to import and seldom needed

        array, affine = read_itk(file, max_voxels, MAX_DEFLATE_RATIO)
        return Volume(array if raw else array.astype(np.float32), _grid(array.shape[:3], affine, file), None)
    if parts is None and is_dicom(file):
        image = read_dicom(file, max_voxels)
        grid = _grid(image.array.shape[:3], image.affine, file)
        return Volume(image.array, grid, None, image.channels, image.sizes)
    if is_picture_file(file):
        return _of_names(*read_picture(file), raw, "none")
    if file.name.lower().endswith(".npz"):
        from oncoprompt.study.npz import read_npz  # builds on this file

        return _of_names(*read_npz(file, max_voxels), raw)
    return _read_nifti(file, max_voxels, raw)


def _of_names(
    values: NDArray[np.generic], grid: Grid, names: tuple[str, ...], raw: bool, sizes: Sizes = "volume"
) -> Volume:
    return Volume(values if raw else values.astype(np.float32), grid, None, names, sizes)


def _read_nifti(file: Path, max_voxels: int, raw: bool) -> Volume:
    compressed = _is_gzip(file)
    header = _parse_header(_read_bytes(file, compressed, _HEADER_BYTES), file)
    shape = _shape(header, file)
    end = _check_size(header, shape, file, compressed, max_voxels)
    content = _read_bytes(file, compressed, end)
    if len(content) < end:
        raise InputError(
            f"'{file.name}' ends early: its header needs {end} bytes, it holds {len(content)}. Copy it again."
        )
    image_class = nib.Nifti2Image if isinstance(header, Nifti2Header) else nib.Nifti1Image
    try:
        # Values beyond float32 become infinite, which the study reports with its own message.
        with np.errstate(over="ignore", invalid="ignore"):
            image = image_class.from_bytes(content)
            array = np.asanyarray(image.dataobj) if raw else image.get_fdata("unchanged", np.float32)
    except (HeaderDataError, ValueError, OSError) as error:
        raise InputError(f"'{file.name}' has a damaged NIfTI header ({error}). Export it again.") from error
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        _LOG.warning("A scan has no orientation in its header (sform and qform code 0); left and right are assumed.")
    return Volume(array.reshape(shape), _grid(shape[:3], image.affine, file), image.header)


def _is_gzip(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _read_bytes(file: Path, compressed: bool, count: int) -> bytes:
    """At most `count` bytes of the content; a compressed file that ends there has its checksum verified."""
    try:
        with file.open("rb") as stream:
            if not compressed:
                return stream.read(count)
            with GzipFile(fileobj=stream) as inflated:
                content = inflated.read(count)
                if count > _HEADER_BYTES:
                    inflated.read(1)
                return content
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(
            f"'{file.name}' is damaged or truncated and cannot be decompressed ({error}). Copy it again."
        ) from error


def _parse_header(block: bytes, file: Path) -> Nifti1Header:
    magic1, magic2 = block[344:348], block[4:8]
    kind: Any = Nifti1Header if magic1 == b"n+1\0" else Nifti2Header if magic2 == b"n+2\0" else None
    if kind is None or len(block) < kind.template_dtype.itemsize:
        raise InputError(
            f"'{file.name}' is not a NIfTI file; give a scan as .nii, .nii.gz, .nrrd, .mha or DICOM, or a picture."
        )
    header: Nifti1Header = kind(block[: kind.template_dtype.itemsize], check=False)
    return header


def _shape(header: Nifti1Header, file: Path) -> tuple[int, ...]:
    """Shape without trailing axes of length one; three axes, or four for several volumes."""
    count = int(header["dim"][0])
    sizes = [int(size) for size in header["dim"][1 : 1 + count]] if 1 <= count <= 7 else []
    if len(sizes) < 3 or min(sizes) < 1:
        raise InputError(
            f"'{file.name}' has dimensions {sizes or count}; a scan needs at least three axes of positive length."
        )
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) > 4:
        raise InputError(
            f"'{file.name}' has {len(sizes)} axes {tuple(sizes)}; give one volume, or volumes on a fourth axis."
        )
    return tuple(sizes)


def _check_size(header: Nifti1Header, shape: tuple[int, ...], file: Path, compressed: bool, max_voxels: int) -> int:
    """Where the data end, in bytes of the uncompressed file; raises InputError where the file cannot hold them."""
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise InputError(f"'{file.name}' has an unknown data type in its header. Export it again.") from error
    if dtype.kind not in "iuf" or dtype.fields is not None:
        raise InputError(f"'{file.name}' holds {dtype.name} values; a scan needs real numbers, one a voxel.")
    if int(header["xyzt_units"]) & 7 in (1, 3):
        raise InputError(f"'{file.name}' measures in metres or micrometres; convert its header to millimetres.")
    voxels = math.prod(shape)
    if voxels > max_voxels:
        raise InputError(f"'{file.name}' claims {voxels} voxels, more than the limit of {max_voxels}; crop it.")
    offset = float(header["vox_offset"])
    if not (math.isfinite(offset) and 0 <= offset <= _MAX_HEADER_END):
        raise InputError(f"'{file.name}' places its data at byte {offset:g}; its header is damaged.")
    end = max(int(offset), header.template_dtype.itemsize) + voxels * dtype.itemsize
    held = file.stat().st_size
    if end > held * (MAX_DEFLATE_RATIO if compressed else 1):
        raise InputError(
            f"The header of '{file.name}' claims {voxels} voxels ({end} bytes), more than its {held} bytes can hold."
        )
    return int(end)


def _grid(shape: tuple[int, ...], affine: NDArray[np.float64], file: Path) -> Grid:
    try:
        return Grid((shape[0], shape[1], shape[2]), affine)
    except InputError as error:
        raise InputError(f"'{file.name}': {error}") from error
