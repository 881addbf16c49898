"""From files to one image on its grid."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.study.channels import COLOURS, GREY
from oncoprompt.study.dicom.files import INDEX
from oncoprompt.study.dicom.geometry import Placed, Sizes, at_one_place, in_order, place_slice, place_stack
from oncoprompt.study.dicom.headers import Header, quiet
from oncoprompt.study.dicom.pixels import AIR_HU, check_pixels, image_values, is_colour, pixel_bytes
from oncoprompt.study.dicom.series import header_of, named, series_in

_SEVERAL_CONTRASTS = "MR"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class DicomImage:
    """Array (I, J, K) or, in colours, (I, J, K, 3) float32 with its RAS+ affine; ``modality`` is DICOM's, "CT".

    ``sizes`` says whether the affine tells volumes, areas alone, or nothing in millimetres.
    """

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    modality: str
    sizes: Sizes = "volume"

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, as far as the file tells them: colours, else the modality but for MR's contrasts."""
        if self.array.ndim == 4:
            return COLOURS
        if self.sizes == "none":
            return (GREY,)
        return () if self.modality in ("", _SEVERAL_CONTRASTS) else (self.modality.lower(),)


def read_dicom(path: Path, max_voxels: int) -> DicomImage:
    """The image of one file, or of the one series in a folder, in the units of its rescale slope and intercept.

    Array axes are columns, rows and slices. Files that are not used are named in a warning. Raises InputError for
    several series (listed), several frames in a file, files that cannot be read, slices that are missing, differ, lie
    at one place or are turned against each other, scans that do not state their pixel spacing, and more than
    ``max_voxels``.
    """
    with quiet():
        return _read(path, max_voxels)


def _read(path: Path, max_voxels: int) -> DicomImage:
    headers = series_in(path) if path.is_dir() else [_single(path)]
    for header in headers:
        _check_single_frame(header)
        check_pixels(header)
    _check_alike(headers)
    first = headers[0]
    voxels = first.whole("Rows") * first.whole("Columns") * len(headers)
    if voxels > max_voxels:
        raise InputError(f"'{path.name}' claims {voxels} voxels, more than {max_voxels}.")
    headers = _without_copies([headers]) if len(headers) > 1 else headers
    if len(headers) > 1:
        headers = _without_copies(at_one_place(in_order(headers)), by_place=True)
    placed = place_slice(headers[0]) if len(headers) == 1 else place_stack(headers)
    return _image(headers, placed)


def _single(file: Path) -> Header:
    if file.name.upper() == INDEX:
        raise InputError(f"'{file.name}' lists other files and holds no image; give the folder of the images.")
    return header_of(file)


def _check_single_frame(header: Header) -> None:
    name = header.file.name
    frames = header.whole("NumberOfFrames", 1)
    if frames > 1 or header.has("PerFrameFunctionalGroupsSequence") or "Enhanced" in header.sop_class:
        held = "several frames in one file" if frames > 1 else "an enhanced image, made for several frames in one file"
        raise InputError(f"'{name}' holds {held}; convert it to NIfTI first.")
    if not header.is_image:
        raise InputError(f"'{name}' is no scan or picture ({header.kind}).")
    if "MOSAIC" in header.text("ImageType").upper():
        raise InputError(f"'{name}' is a mosaic, which holds many slices in one picture; convert it to NIfTI first.")


def _check_alike(headers: Sequence[Header]) -> None:
    """Raise InputError naming the slice that differs from most in size or kind."""
    kinds = {header.file: _kind(header) for header in headers}
    usual, count = Counter(kinds.values()).most_common(1)[0]
    if count == len(headers):
        return
    odd = [header.file.name for header in headers if kinds[header.file] != usual]
    other = next(kind for kind in kinds.values() if kind != usual)
    raise InputError(
        f"The slices differ: {named(odd)} {'has' if len(odd) == 1 else 'have'} {other}, the other {count} have "
        f"{usual}. Give slices of one size and kind."
    )


def _kind(header: Header) -> str:
    colours = " in colours" if is_colour(header) else ""
    return f"{header.whole('Rows')} x {header.whole('Columns')} pixels{colours} ({header.modality or 'no modality'})"


def _without_copies(groups: Sequence[Sequence[Header]], by_place: bool = False) -> list[Header]:
    """Headers without identical copies, which are named; raises InputError for different images that claim to be one.

    Images are one by their SOPInstanceUID, or, in groups of one place, by that place.
    """
    kept, dropped = [], []
    for group in groups:
        held: dict[str, Header] = {}
        for header in group:
            key = "" if by_place else header.text("SOPInstanceUID") or header.file.as_posix()
            if key not in held:
                held[key] = header
                kept.append(header)
            elif cmp(header.file, held[key].file, shallow=False) or _content(header) == _content(held[key]):
                dropped.append(f"{header.file.name} (as {held[key].file.name})")
            else:
                raise _different(held[key], header, by_place, sum(len(found) > 1 for found in groups))
    if dropped:
        _LOG.warning("%d files are copies of others and are not used: %s.", len(dropped), named(dropped))
    return kept


def _different(first: Header, second: Header, by_place: bool, places: int) -> InputError:
    pair = f"'{first.file.name}' and '{second.file.name}'"
    if not by_place:
        return InputError(f"{pair} have one SOPInstanceUID but differ; remove the one that is wrong.")
    more = f" (so at {places} places)" if places > 1 else ""
    return InputError(
        f"{pair} are different images at one place{more}: several images at one place, such as a time series or "
        "echoes, are not read as one; give one volume."
    )


def _content(header: Header) -> tuple[object, ...]:
    """What makes two files the same image."""
    stated = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")
    return pixel_bytes(header), *(header.text(keyword) for keyword in stated)


def _image(headers: Sequence[Header], placed: Placed) -> DicomImage:
    first = headers[0]
    colours = (3,) if is_colour(first) else ()
    array = np.empty((len(headers), first.whole("Rows"), first.whole("Columns"), *colours), np.float32)
    padding: list[tuple[int, NDArray[np.bool_]]] = []
    for index, header in enumerate(headers):
        array[index], padded = image_values(header)
        if padded is not None:
            padding.append((index, padded))
    if padding:
        _darken(array, padding, first)
    if first.modality == "CT" and not colours and first.number("RescaleIntercept") is None:
        _LOG.warning("'%s' states no RescaleIntercept; its values are taken as Hounsfield units.", first.file.name)
    ordered = np.ascontiguousarray(array.transpose((2, 1, 0, 3)[: array.ndim]))
    return DicomImage(ordered, placed.affine, first.modality, placed.sizes)


def _darken(array: NDArray[np.float32], padding: Sequence[tuple[int, NDArray[np.bool_]]], first: Header) -> None:
    """Lower padding to air (CT) or to the lowest value that was measured; what is darker still stays."""
    inside = np.ones(array.shape, dtype=bool)
    for index, padded in padding:
        inside[index] = ~padded
    lowest = AIR_HU if first.modality == "CT" else float(array.min(where=inside, initial=np.inf))
    bright = ~inside & (array > lowest)
    if bright.any() and np.isfinite(lowest):
        array[bright] = lowest
        _LOG.warning(
            "%d voxels of '%s' and its series are padding outside the scan (PixelPaddingValue); they are set to %g.",
            int(bright.sum()),
            first.file.name,
            lowest,
        )
