"""Reading NIfTI: the header is judged before anything is decoded, and says where the scan lies in millimetres."""

from __future__ import annotations

import logging
import math
import zlib
from bz2 import BZ2File
from collections.abc import Iterable
from contextlib import AbstractContextManager
from gzip import GzipFile
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry.grid import MAX_SHEAR_DEGREES, Grid
from oncoprompt.study.channels import EXTENSIONS

_XFORM_CODES = 6
"""NIfTI's codes of a frame are 0 (none) to 5; a scanner's or a damaged one may be any number."""
MAX_DEFLATE_RATIO = 1100
"""Deflate cannot reach this ratio (1032 is its bound), so a header that needs it lies."""

_MAX_BZIP2_RATIO = 100_000
_HEADER_BYTES = 540
_MAX_HEADER_END = 1 << 24
_PAIR_MAGIC, _ONE_FILE_MAGIC, _PAIR_HEADER, _PAIR_OFFSET = b"ni1\0", b"n+1\0", 348, 352
_TO_MM = {1: 1000.0, 3: 0.001}
_UNITS = {1: "metres", 3: "micrometres"}
_NOT_SCANS = {
    1004: "a matrix in each voxel", 1005: "a tensor in each voxel", 1006: "a displacement field",
    1007: "a vector in each voxel", 1008: "points of a surface", 1009: "triangles of a surface",
    1010: "a quaternion in each voxel", 2003: "colours (RGB)", 2004: "colours (RGBA)",
}  # fmt: skip
_NEAR_WHOLE = 1e-3
_SAME_SPACING = 0.01
_LOG = logging.getLogger(__name__)


def read_nifti(file: Path, max_voxels: int, raw: bool) -> tuple[NDArray[Any], NDArray[np.float64], Nifti1Header]:
    """Array (I, J, K) or (I, J, K, N), RAS+ affine in mm and a header that agrees with it.

    `raw` keeps whole numbers as they are (label maps), else float32. Where sform and qform disagree, the one that fits
    the voxel sizes in the header is taken, with a warning. Raises InputError for a file that is damaged, truncated or
    larger than `max_voxels`, for values that are no real numbers, and where the header does not say where a voxel lies.
    """
    if file.suffix.lower() in (".hdr", ".img"):
        return _decoded(_joined_pair(file), file, max_voxels, raw)
    header = _parse_header(_read_bytes(file, _HEADER_BYTES), file)
    end = _checked_end(header, _shape(header, file), file, max_voxels, _most_bytes(file))
    return _decoded(_read_bytes(file, end), file, max_voxels, raw)


def _decoded(
    content: bytes, file: Path, max_voxels: int, raw: bool
) -> tuple[NDArray[Any], NDArray[np.float64], Nifti1Header]:
    header = _parse_header(content[:_HEADER_BYTES], file)
    shape = _shape(header, file)
    end = _checked_end(header, shape, file, max_voxels, None)
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
    except (HeaderDataError, ValueError, OSError, np.linalg.LinAlgError) as error:
        raise InputError(f"'{file.name}' has a damaged NIfTI header ({error}). Export it again.") from error
    if raw:
        array = _whole(array, header.get_data_dtype())
    affine, placed = _placed(header, file, shape)
    return array.reshape(shape), affine, placed


def _whole(array: NDArray[Any], stored: np.dtype[Any]) -> NDArray[Any]:
    """Labels that a scale factor has made almost whole, as whole numbers."""
    if array.dtype.kind != "f" or stored.kind not in "iu" or not np.isfinite(array).all():
        return array
    rounded = np.rint(array)
    return rounded.astype(np.int64) if np.abs(array - rounded).max(initial=0.0) <= _NEAR_WHOLE else array


def _placed(header: Nifti1Header, file: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], Nifti1Header]:
    """The affine in mm that the header gives, and a copy of the header that says the same."""
    placed = header.copy()
    # what nibabel would refuse when the header is written again
    placed["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    for name in ("sform_code", "qform_code"):
        if int(header[name]) not in range(_XFORM_CODES):
            placed[name] = 1 if header[name] > 0 else 0
    affine = _chosen(placed, file)
    scale = _TO_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    if scale != 1.0:
        unit = _UNITS[int(header["xyzt_units"]) & 7]
        _LOG.warning("'%s' measures in %s; read in millimetres.", file.name, unit)
        affine = np.diag([scale, scale, scale, 1.0]) @ affine
    codes = int(placed["sform_code"]), int(placed["qform_code"])
    if scale != 1.0 or (codes != (0, 0) and not np.allclose(placed.get_best_affine(), affine, atol=1e-6)):
        placed.set_sform(affine, code=max(*codes, 1))
        if _is_rigid(affine):
            placed.set_qform(affine, code=max(codes[1], 1))
        placed.set_xyzt_units("mm")
    return affine, placed


def _chosen(header: Nifti1Header, file: Path) -> NDArray[np.float64]:
    """The frame that is taken, in the header's units; raises InputError where there is none."""
    sform, qform = _sform(header), _qform(header)
    sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if sform is not None and qform is not None:
        if _agree(sform, qform) or not (_is_rigid(sform) or _is_rigid(qform)):
            return sform
        sform_fits = _is_rigid(sform) and (not _is_rigid(qform) or _fits(sform, qform, sizes))
        _LOG.warning(
            "'%s': sform (voxels of %s mm) and qform (%s mm) in its header disagree; the %s is taken, which is a frame "
            "of its voxel sizes (%s).",
            file.name, _told(sform), _told(qform), "sform" if sform_fits else "qform", _told(np.diag([*sizes, 1.0])),
        )  # fmt: skip
        return sform if sform_fits else qform
    if sform is not None:
        return sform
    if qform is not None:
        if header["sform_code"] > 0:
            _LOG.warning("'%s': the sform in its header is no frame of a scan; the qform is taken.", file.name)
        return qform
    if header["sform_code"] > 0 or header["qform_code"] > 0:
        raise InputError(
            f"'{file.name}': The affine is degenerate: neither sform nor qform gives voxels a size and a place. Repair "
            "its header."
        )
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise InputError(
            f"'{file.name}' does not say how large its voxels are (pixdim {sizes.tolist()}). Repair its header."
        )
    _LOG.warning("A scan has no orientation in its header (sform and qform code 0); left and right are assumed.")
    return np.asarray(header.get_base_affine(), dtype=np.float64)


def _sform(header: Nifti1Header) -> NDArray[np.float64] | None:
    """The affine of the sform where it is set and has a volume."""
    if header["sform_code"] <= 0:
        return None
    affine = np.asarray(header.get_sform(), dtype=np.float64)
    return affine if _has_volume(affine) else None


def _qform(header: Nifti1Header) -> NDArray[np.float64] | None:
    """The affine of the qform where it is set and has a volume."""
    if header["qform_code"] <= 0:
        return None
    try:
        affine = np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):
        return None
    return affine if _has_volume(affine) else None


def _has_volume(affine: NDArray[np.float64]) -> bool:
    if not (np.isfinite(affine).all() and np.abs(affine).max() < 1e12):
        return False
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(spacing.min() > 1e-6) and abs(float(np.linalg.det(affine[:3, :3] / spacing))) > 1e-3


def _is_rigid(affine: NDArray[np.float64] | None) -> bool:
    """Whether the axes of a frame stand at right angles."""
    if affine is None:
        return False
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() <= math.sin(math.radians(MAX_SHEAR_DEGREES)))


def _agree(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether two frames have voxels of one size; they may lie in different spaces, as scanner and template do."""
    one, other = (np.linalg.norm(affine[:3, :3], axis=0) for affine in (first, second))
    return bool(np.allclose(one, other, rtol=_SAME_SPACING)) and _is_rigid(first)


def _fits(one: NDArray[np.float64], other: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    """Whether the voxels of one frame fit the sizes in the header at least as well as those of the other."""
    first, second = (float(np.abs(np.linalg.norm(a[:3, :3], axis=0) - sizes).max()) for a in (one, other))
    return first <= second


def _told(affine: NDArray[np.float64]) -> str:
    return " x ".join(f"{size:.4g}" for size in np.linalg.norm(affine[:3, :3], axis=0))


def _opened(file: Path) -> AbstractContextManager[BinaryIO]:
    """A stream of a file's content, by what it begins with and not by its name."""
    start = _start(file)
    if start.startswith(b"\x1f\x8b"):
        return GzipFile(file, "rb")  # type: ignore[return-value]
    return BZ2File(file, "rb") if start.startswith(b"BZh") else file.open("rb")  # type: ignore[return-value]


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(3)


def _most_bytes(file: Path) -> int:
    """More than a file of its size and compression can hold."""
    start, size = _start(file), file.stat().st_size
    ratio = MAX_DEFLATE_RATIO if start.startswith(b"\x1f\x8b") else _MAX_BZIP2_RATIO if start == b"BZh" else 1
    return size * ratio


def _read_bytes(file: Path, count: int) -> bytes:
    """At most `count` bytes of the content; a compressed file that ends there has its checksum verified."""
    try:
        with _opened(file) as stream:
            content = stream.read(count)
            if count > _HEADER_BYTES:
                stream.read(1)
            return content
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(
            f"'{file.name}' is damaged or truncated and cannot be decompressed ({error}). Copy it again."
        ) from error


def _joined_pair(file: Path) -> bytes:
    """A NIfTI in two files, .hdr and .img, as the content of one."""
    header_file, data_file = (partner(file, ending) for ending in (".hdr", ".img"))
    if header_file is None or data_file is None:
        missing = ".hdr" if header_file is None else ".img"
        raise InputError(f"'{file.name}' is one half of a scan: '{file.stem}{missing}' is not beside it. Copy both.")
    head = _read_bytes(header_file, _PAIR_HEADER)
    if head[344:348] != _PAIR_MAGIC:
        raise InputError(
            f"'{header_file.name}' is Analyze 7.5, or no header of a scan. Analyze does not say where left and right "
            "are; export the scan as NIfTI (.nii.gz)."
        )
    header: Any = Nifti1Header(head, check=False)
    skipped = max(0, int(header["vox_offset"])) if math.isfinite(float(header["vox_offset"])) else 0
    header["vox_offset"], header["magic"] = _PAIR_OFFSET, _ONE_FILE_MAGIC
    with _opened(data_file) as stream:
        data = stream.read(min(_most_bytes(data_file), 1 << 33))[skipped:]
    return bytes(header.binaryblock) + bytes(_PAIR_OFFSET - _PAIR_HEADER) + data


def partner(file: Path, ending: str) -> Path | None:
    """The file of the same stem with another ending, in either case of letters."""
    beside = (file.with_suffix(other) for other in (ending, ending.upper()))
    return next((path for path in beside if path.is_file()), None)


def scan_files(paths: Iterable[Path]) -> list[Path]:
    """Files by name, without hidden ones and folders; of a pair .hdr and .img the header alone, which reads both."""
    return sorted(
        path
        for path in paths
        if not path.name.startswith(".")
        and not path.is_dir()
        and (path.suffix.lower() != ".img" or partner(path, ".hdr") is None)
    )


def _parse_header(block: bytes, file: Path) -> Nifti1Header:
    magic1, magic2 = block[344:348], block[4:8]
    kind: Any = Nifti1Header if magic1 == _ONE_FILE_MAGIC else Nifti2Header if magic2 == b"n+2\0" else None
    if kind is None or len(block) < kind.template_dtype.itemsize:
        raise InputError(
            f"'{file.name}' is not a NIfTI file; give a scan in {', '.join(EXTENSIONS)} or DICOM, or a picture."
        )
    header: Nifti1Header = kind(block[: kind.template_dtype.itemsize], check=False)
    return header


def _shape(header: Nifti1Header, file: Path) -> tuple[int, ...]:
    """Shape without axes of length one after the third; three axes, or four for several volumes."""
    count = int(header["dim"][0])
    sizes = [int(size) for size in header["dim"][1 : 1 + count]] if 1 <= count <= 7 else []
    if len(sizes) < 3 or min(sizes) < 1:
        raise InputError(
            f"'{file.name}' has dimensions {sizes or count}; a scan needs at least three axes of positive length."
        )
    sizes = sizes[:3] + [size for size in sizes[3:] if size != 1]
    if len(sizes) > 4:
        raise InputError(
            f"'{file.name}' has {len(sizes)} axes {tuple(sizes)}; give one volume, or volumes on a fourth axis."
        )
    return tuple(sizes)


def _checked_end(
    header: Nifti1Header, shape: tuple[int, ...], file: Path, max_voxels: int, most_bytes: int | None
) -> int:
    """Where the data end, in bytes of the uncompressed file; raises InputError for what is no scan or cannot be."""
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise InputError(f"'{file.name}' has an unknown data type in its header. Export it again.") from error
    kind = _NOT_SCANS.get(int(header["intent_code"]))
    if dtype.fields is not None or dtype.kind == "V":
        kind = "colours (RGB values)"
    elif dtype.kind == "c":
        kind = f"complex numbers ({dtype.name})"
    elif dtype.kind not in "iuf":
        kind = f"{dtype.name} values"
    if kind is not None:
        raise InputError(f"'{file.name}' holds {kind}; a scan or label map has one real number a voxel. Export it so.")
    voxels = math.prod(shape)
    if voxels > max_voxels:
        raise InputError(f"'{file.name}' claims {voxels} voxels, more than the limit of {max_voxels}; crop it.")
    offset = float(header["vox_offset"])
    if not (math.isfinite(offset) and 0 <= offset <= _MAX_HEADER_END):
        raise InputError(f"'{file.name}' places its data at byte {offset:g}; its header is damaged.")
    end = max(int(offset), header.template_dtype.itemsize) + voxels * dtype.itemsize
    if most_bytes is not None and end > most_bytes:
        raise InputError(
            f"The header of '{file.name}' claims {voxels} voxels ({end} bytes), more than its {file.stat().st_size} "
            "bytes can hold."
        )
    return int(end)


def grid_of(shape: tuple[int, ...], affine: NDArray[np.float64], file: Path) -> Grid:
    """The grid of a file; raises InputError with its name."""
    try:
        return Grid((shape[0], shape[1], shape[2]), affine)
    except InputError as error:
        raise InputError(f"'{file.name}': {error}") from error
