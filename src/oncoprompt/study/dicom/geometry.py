"""Where the pixels of slices lie and how large they are, from what the headers say and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.study.dicom.headers import Header
from oncoprompt.study.dicom.pixels import is_colour, is_measured

Sizes = Literal["volume", "area", "none"]
"""What the headers tell of sizes: of voxels, of pixels but not how thick a slice is, or nothing."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_PIXEL_SIZES = {
    "PixelSpacing": "",
    "ImagerPixelSpacing": "at the detector (ImagerPixelSpacing), where things look larger than they are",
    "NominalScannedPixelSpacing": "as scanned from film (NominalScannedPixelSpacing)",
}
_ORIENTATION_TOLERANCE = 1e-3
_UNIT_TOLERANCE = 1e-2
_UNEVEN = 0.02
_ONE_PLACE_MM = 1e-3
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Placed:
    """RAS+ affine of voxels (column, row, slice) in millimetres, and which sizes it tells truly."""

    affine: NDArray[np.float64]
    sizes: Sizes


def place_slice(header: Header) -> Placed:
    """One image: thickness from SliceThickness or SpacingBetweenSlices; where something is unknown a warning says so.

    Raises InputError for a scan without pixel spacing.
    """
    name = header.file.name
    pixel_mm = pixel_size_mm(header)
    if pixel_mm is None:
        _check_picture(header)
        _LOG.warning("'%s' does not state the size of its pixels: sizes are told in pixels, not in mm or ml.", name)
        return Placed(_LPS_TO_RAS.copy(), "none")
    thickness = next(
        filter(None, (_positive(header, "SliceThickness"), _positive(header, "SpacingBetweenSlices"))), None
    )
    if thickness is None:
        _LOG.warning("'%s' does not state its slice thickness: an area can be told, a volume in ml cannot.", name)
    orientation = _orientation(header)
    position = header.numbers("ImagePositionPatient", 3)
    if is_measured(header) and not is_colour(header) and (orientation is None or position is None):
        _LOG.warning("'%s' does not state where and how it lies; an axial slice is assumed.", name)
    right, down = _directions(orientation or _AXIAL)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([right * pixel_mm[1], down * pixel_mm[0], np.cross(right, down) * (thickness or 1.0)], 1)
    affine[:3, 3] = position or (0.0, 0.0, 0.0)
    return Placed(np.asarray(_LPS_TO_RAS @ affine), "area" if thickness is None else "volume")


def in_order(headers: Sequence[Header]) -> list[Header]:
    """Slices sorted along their normal; raises InputError where one does not say where it lies or is turned."""
    for header in headers:
        if header.numbers("ImagePositionPatient", 3) is None or _orientation(header) is None:
            raise InputError(
                f"'{header.file.name}' does not say where it lies (ImagePositionPatient, ImageOrientationPatient), and "
                f"there are {len(headers)} images in its series. Give a complete series, or one file alone."
            )
    turns = np.asarray([_orientation(header) for header in headers])
    away = np.abs(turns - np.median(turns, axis=0)).max(axis=1)
    worst = int(np.argmax(away))
    if away[worst] > _ORIENTATION_TOLERANCE:
        raise InputError(f"'{headers[worst].file.name}' is turned against the other slices; give one stack of slices.")
    distances = _distances(headers)
    return [headers[index] for index in np.argsort(distances, kind="stable")]


def at_one_place(headers: Sequence[Header]) -> list[list[Header]]:
    """Groups of sorted slices that share a place, in order."""
    distances = _distances(headers)
    groups = [[headers[0]]]
    for header, step in zip(headers[1:], np.diff(distances), strict=True):
        if step < _ONE_PLACE_MM:
            groups[-1].append(header)
        else:
            groups.append([header])
    return groups


def place_stack(headers: Sequence[Header]) -> Placed:
    """Sorted slices, as far apart as their positions are.

    Raises InputError for missing slices (named with their place), uneven ones, and slices without pixel spacing.
    """
    pixel_mm = pixel_size_mm(headers[0])
    if pixel_mm is None:
        raise _no_spacing(headers[0])
    for header in headers:
        other = pixel_size_mm(header, warn=False)
        if other is None or not np.allclose(other, pixel_mm, rtol=_ORIENTATION_TOLERANCE):
            raise InputError(
                f"'{header.file.name}' has pixels of {_told(other)} mm, '{headers[0].file.name}' of {_told(pixel_mm)} "
                "mm. Give one stack of slices."
            )
    right, down = _directions(_orientation(headers[0]) or _AXIAL)
    positions = _positions(headers)
    _check_even(headers, positions @ np.cross(right, down))
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    _check_straight(headers, positions, step, min(pixel_mm))
    stated = _positive(headers[0], "SpacingBetweenSlices")
    apart = float(step @ np.cross(right, down))
    if stated is not None and abs(stated - apart) > _UNEVEN * apart:
        _LOG.warning(
            "The slices of '%s' and its series lie %.4g mm apart, though SpacingBetweenSlices says %.4g; their "
            "positions are used.",
            headers[0].file.name,
            apart,
            stated,
        )
    affine = np.eye(4)
    affine[:3, :3] = np.stack([right * pixel_mm[1], down * pixel_mm[0], step], 1)
    affine[:3, 3] = positions[0]
    return Placed(np.asarray(_LPS_TO_RAS @ affine), "volume")


def pixel_size_mm(header: Header, warn: bool = True) -> tuple[float, float] | None:
    """Distance between rows and between columns, None where the file does not state it."""
    for keyword, meaning in _PIXEL_SIZES.items():
        found = header.numbers(keyword, 2)
        if found is not None and min(found) > 0:
            if meaning and warn:
                _LOG.warning("'%s' has no PixelSpacing; the size of its pixels is that %s.", header.file.name, meaning)
            return found[0], found[1]
    return None


def _check_picture(header: Header) -> None:
    """Raise InputError for a scan, whose voxels need sizes."""
    if is_measured(header) and not is_colour(header):
        raise _no_spacing(header)
    ratio = header.numbers("PixelAspectRatio", 2)
    if ratio is not None and ratio[0] != ratio[1]:
        _LOG.warning(
            "The pixels of '%s' are not square (%g high to %g wide); they are taken as stored.",
            header.file.name,
            *ratio,
        )


def _no_spacing(header: Header) -> InputError:
    return InputError(
        f"'{header.file.name}' does not state the size of its pixels (PixelSpacing is missing or zero), so nothing in "
        "it can be measured. Export it again with its spacing."
    )


def _check_even(headers: Sequence[Header], distances: NDArray[np.float64]) -> None:
    steps = np.diff(distances)
    usual = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - usual) > _UNEVEN * usual)
    if not uneven.size:
        return
    after = int(uneven[0])
    first, second = headers[after].file.name, headers[after + 1].file.name
    span = f"from {distances[after]:.4g} to {distances[after + 1]:.4g} mm"
    where = f"{steps[after]:.4g} mm between '{first}' and '{second}' ({span})"
    missing = round(float(steps[after]) / usual) - 1
    if missing < 1 or abs(steps[after] - (missing + 1) * usual) > _UNEVEN * usual * (missing + 1):
        raise InputError(
            f"The slices are {usual:.4g} mm apart, but {where}. Slices that are spaced unevenly are not read; resample "
            "the series."
        )
    lost = "A slice is" if missing == 1 else f"{missing} slices are"
    raise InputError(
        f"The slices are {usual:.4g} mm apart, but {where}. {lost} missing there; copy the series again, or "
        "resample it."
    )


def _check_straight(
    headers: Sequence[Header], positions: NDArray[np.float64], step: NDArray[np.float64], pixel_mm: float
) -> None:
    along = positions[0] + np.arange(len(positions))[:, None] * step
    aside = np.linalg.norm(positions - along, axis=1)
    worst = int(np.argmax(aside))
    if aside[worst] > max(0.5 * pixel_mm, _UNEVEN * float(np.linalg.norm(step))):
        raise InputError(
            f"'{headers[worst].file.name}' lies {aside[worst]:.4g} mm beside the line of the other slices; give one "
            "stack of slices."
        )


def _distances(headers: Sequence[Header]) -> NDArray[np.float64]:
    right, down = _directions(_orientation(headers[0]) or _AXIAL)
    return np.asarray(_positions(headers) @ np.cross(right, down))


def _positions(headers: Sequence[Header]) -> NDArray[np.float64]:
    return np.asarray([header.numbers("ImagePositionPatient", 3) for header in headers], dtype=np.float64)


def _directions(orientation: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors in which columns and rows are counted, in DICOM's axes."""
    right, down = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    return right / np.linalg.norm(right), down / np.linalg.norm(down)


def _orientation(header: Header) -> tuple[float, ...] | None:
    """The direction cosines, None where the file states none; raises InputError where they are not two axes."""
    found = header.numbers("ImageOrientationPatient", 6)
    if found is None:
        return None
    right, down = np.asarray(found[:3]), np.asarray(found[3:])
    lengths = np.asarray([np.linalg.norm(right), np.linalg.norm(down)])
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(right @ down) > _UNIT_TOLERANCE:
        raise InputError(
            f"'{header.file.name}' has an ImageOrientationPatient that is not two axes at right angles; its header is "
            "damaged."
        )
    return found


def _positive(header: Header, keyword: str) -> float | None:
    """An absolute length in mm, None where it is absent or zero; some scanners write spacings with a sign."""
    found = header.number(keyword)
    return None if found is None or found == 0 else abs(found)


def _told(pixel_mm: Sequence[float] | None) -> str:
    return "unknown size, not" if pixel_mm is None else " x ".join(f"{size:.4g}" for size in pixel_mm)
