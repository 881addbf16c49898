"""Reading a DICOM file or a folder that holds one series; nothing of a patient's identity is kept or told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.study.channels import COLOURS, split_extension

_ENDINGS = (".dcm", ".dicom", ".ima")
_MAGIC_AT, _MAGIC = 128, b"DICM"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MODALITY, _SERIES_NUMBER, _POSITION, _ORIENTATION = "0008|0060", "0020|0011", "0020|0032", "0020|0037"
_NOT_SCANS = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC")
_ORIENTATION_TOLERANCE = 1e-3
_UNEVEN = 0.02
_SEVERAL_CONTRASTS = "MR"


@dataclass(frozen=True, eq=False)
class DicomImage:
    """Array (I, J, K) or, in colours, (I, J, K, 3) float32 with its RAS+ affine; ``modality`` is DICOM's, "CT"."""

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    modality: str

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, as far as the file tells them: colours, else the modality but for MR's contrasts."""
        if self.array.ndim == 4:
            return COLOURS
        return () if self.modality in ("", _SEVERAL_CONTRASTS) else (self.modality.lower(),)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content or ending, or a folder holds such files and no scan of another format."""
    if path.is_dir():
        files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
        return not any(split_extension(file.name) for file in files) and any(is_dicom(file) for file in files)
    if path.name.lower().endswith(_ENDINGS):
        return path.is_file()
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC


def read_dicom(path: Path, max_voxels: int) -> DicomImage:
    """The image of one file, or of the one series in a folder, in the units of its rescale slope and intercept.

    Array axes are columns, rows and slices. Raises InputError for several series (listed), several frames in a file,
    slices that are missing, double or turned against each other, damage, and more than ``max_voxels``.
    """
    with _without_warnings():
        files = _one_series(path) if path.is_dir() else [str(path)]
        first = _header(files[0])
        if first is None:
            raise InputError(f"'{path.name}' is no DICOM image that can be read. Copy it again.")
        size, components = first.GetSize(), first.GetNumberOfComponents()
        if len(size) > 3 or (len(size) == 3 and size[2] > 1):
            raise InputError(f"'{path.name}' holds several frames in one file; convert it to NIfTI first.")
        if math.prod(size) * len(files) > max_voxels:
            raise InputError(f"'{path.name}' claims {math.prod(size) * len(files)} voxels, more than {max_voxels}.")
        reader = _reader(files, components)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise InputError(f"'{path.name}' is damaged, or its slices differ in size. Copy it again.") from error
        return DicomImage(_array(image), _affine(image, reader, len(files), path), _told(first, _MODALITY))


def _reader(files: Sequence[str], components: int) -> Any:
    from SimpleITK import ImageSeriesReader, sitkFloat32, sitkVectorFloat32  # slow to import and seldom needed

    make: Any = ImageSeriesReader  # SimpleITK has no annotations
    reader = make()
    reader.SetFileNames(files)
    reader.MetaDataDictionaryArrayUpdateOn()
    reader.SetOutputPixelType(sitkFloat32 if components == 1 else sitkVectorFloat32)
    return reader


def _array(image: Any) -> NDArray[np.float32]:
    from SimpleITK import GetArrayFromImage

    array = np.asarray(GetArrayFromImage(image), dtype=np.float32)
    return np.ascontiguousarray(array.transpose((2, 1, 0, 3)[: array.ndim]))


def _one_series(folder: Path) -> list[str]:
    """Files of the only image series, sorted along its normal."""
    from SimpleITK import ImageSeriesReader

    finder: Any = ImageSeriesReader
    series = []
    for uid in finder.GetGDCMSeriesIDs(str(folder)):
        files = list(finder.GetGDCMSeriesFileNames(str(folder), uid))
        header = _header(files[0])
        if header is not None and _told(header, _MODALITY) not in _NOT_SCANS:
            series.append((files, header))
    if len(series) > 1:
        listed = "; ".join(
            f"series {_told(header, _SERIES_NUMBER) or '?'} ({_told(header, _MODALITY)}, {len(files)} files, such as "
            f"{Path(files[0]).name})"
            for files, header in series
        )
        raise InputError(f"Folder '{folder.name}' holds {len(series)} series: {listed}. Put each in its own folder.")
    if not series:
        raise InputError(f"Folder '{folder.name}' holds DICOM files, but none of them is an image that can be read.")
    return series[0][0]


def _header(file: str) -> Any:
    """A reader that knows the file's header, None where it is no image."""
    from SimpleITK import ImageFileReader

    make: Any = ImageFileReader
    reader = make()
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return reader


def _affine(image: Any, reader: Any, count: int, path: Path) -> NDArray[np.float64]:
    affine = np.eye(4)
    directions = np.reshape(image.GetDirection(), (3, 3))
    affine[:3, :3] = directions * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    if count > 1:
        _check_orientation(reader, count, path)
        positions = np.asarray([_numbers(reader, index, _POSITION, 3, path) for index in range(count)])
        affine[:3, 2] = _step(positions, directions[:, 2], path)
        affine[:3, 3] = positions[0]
    return np.asarray(_LPS_TO_RAS @ affine)


def _check_orientation(reader: Any, count: int, path: Path) -> None:
    all_of = np.asarray([_numbers(reader, index, _ORIENTATION, 6, path) for index in range(count)])
    if np.abs(all_of - all_of[0]).max() > _ORIENTATION_TOLERANCE:
        raise InputError(f"The slices of '{path.name}' are turned against each other; give one stack of slices.")


def _step(positions: NDArray[np.float64], normal: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """The way (3,) from slice to slice of even stacks."""
    distances = np.diff(positions @ normal)
    usual = float(np.median(distances))
    if np.abs(distances).min() < _UNEVEN * abs(usual) or usual == 0.0:
        raise InputError(f"'{path.name}' holds several images at one place, such as a time series; give one volume.")
    uneven = np.flatnonzero(np.abs(distances - usual) > _UNEVEN * abs(usual))
    if uneven.size:
        raise InputError(
            f"The slices of '{path.name}' are {abs(usual):.4g} mm apart, but {abs(float(distances[uneven[0]])):.4g} mm "
            f"after slice {uneven[0] + 1}. A slice is missing; copy the series again, or resample it."
        )
    return np.asarray((positions[-1] - positions[0]) / (len(positions) - 1))


def _numbers(reader: Any, index: int, key: str, count: int, path: Path) -> list[float]:
    try:
        found = [float(part) for part in reader.GetMetaData(index, key).split("\\")]
    except (RuntimeError, ValueError):
        found = []
    if len(found) != count:
        raise InputError(f"Slice {index + 1} of '{path.name}' does not say where it lies; give a complete series.")
    return found


def _told(header: Any, key: str) -> str:
    return str(header.GetMetaData(key)).strip() if header.HasMetaDataKey(key) else ""


@contextmanager
def _without_warnings() -> Iterator[None]:
    """ITK writes warnings on standard error, some with what is in the headers."""
    from SimpleITK import ProcessObject

    process: Any = ProcessObject
    before = process.GetGlobalWarningDisplay()
    process.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        process.SetGlobalWarningDisplay(before)
