"""Pixels of one DICOM image as the values that they stand for.

Scans (CT, MR, PET, NM) have stored value x slope + intercept, whatever the photometric interpretation: MONOCHROME1 says
how to show them. Other grey images are pictures and have the brightness that is shown, so there MONOCHROME1 is turned
round within its stored bits. Colours become red, green and blue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from oncoprompt.errors import InputError
from oncoprompt.study.dicom.compressed import COMPRESSED, JPEG, decompressed
from oncoprompt.study.dicom.headers import Header, read_pixel_elements

AIR_HU = -1000.0
"""Value of padding in CT that would be brighter than air."""

_MEASURED = ("CT", "MR", "PT", "NM")
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_GREY = ("MONOCHROME1", "MONOCHROME2", "")
_PALETTE = "PALETTE COLOR"
_JPEG_2000_COLOURS = ("YBR_ICT", "YBR_RCT")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", *_JPEG_2000_COLOURS)
_INTEGER_BITS = (8, 16, 32)
_LARGE, _PLAUSIBLE_RATIO = 1 << 26, 1000


def is_measured(header: Header) -> bool:
    """Whether grey values are measurements (CT, MR, PET, NM) rather than a picture; so is an image of no modality."""
    return header.modality in ("", *_MEASURED)


def is_colour(header: Header) -> bool:
    """Whether an image is in colours."""
    return header.text("PhotometricInterpretation") == _PALETTE or header.whole("SamplesPerPixel", 1) == 3


def check_pixels(header: Header) -> None:
    """Raise InputError where the header says that the pixels are of a kind that is not read."""
    name = header.file.name
    if header.syntax not in (*_PLAIN, *COMPRESSED):
        called = f"as {header.syntax.name}" if header.syntax.name != header.syntax else "in an unknown way"
        raise InputError(
            f"'{name}' is stored {called}, which is not read. Decompress it first, or convert it to NIfTI."
        )
    samples, photometric = header.whole("SamplesPerPixel", 1), header.text("PhotometricInterpretation")
    kinds = {1: (*_GREY, _PALETTE), 3: _COLOURS}.get(samples, ())
    allocated, stored = header.whole("BitsAllocated"), header.whole("BitsStored", header.whole("BitsAllocated"))
    odd = photometric.startswith("YBR") and allocated != 8
    odd |= photometric in _JPEG_2000_COLOURS and header.syntax not in JPEG
    if photometric not in kinds or odd or (header.has("PhotometricInterpretation") and not photometric):
        raise InputError(
            f"'{name}' has pixels of kind '{photometric or '?'}' with {samples} values of {allocated} bits each, which "
            "is not read; give MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR_FULL."
        )
    high = header.whole("HighBit", stored - 1)
    if allocated not in (*_INTEGER_BITS, 64) or not 1 <= stored <= high + 1 <= allocated:
        raise InputError(
            f"'{name}' stores {stored} bits (highest {high}) in {allocated}, which is not read; give 8, 16 or 32 bits."
        )
    if header.whole("PixelRepresentation", 0) not in (0, 1):
        raise InputError(f"'{name}' has a damaged header: PixelRepresentation must be 0 or 1.")
    _check_held(header)
    _check_rescale(header)


def _check_held(header: Header) -> None:
    """Raise InputError where the file cannot hold as many pixels as it claims."""
    rows, columns, held = header.whole("Rows"), header.whole("Columns"), header.file.stat().st_size
    if rows < 1 or columns < 1:
        raise InputError(f"'{header.file.name}' has a damaged header: {rows} rows and {columns} columns.")
    if header.syntax in _PLAIN and header.syntax != DeflatedExplicitVRLittleEndian:
        most = held
    else:
        most = max(_LARGE, held * _PLAUSIBLE_RATIO)
    if rows * columns * header.whole("BitsAllocated") // 8 > most:
        raise InputError(
            f"'{header.file.name}' is cut off or its header is wrong: it claims {rows} x {columns} pixels, more than "
            f"its {held} bytes can hold. Copy it again."
        )


def _check_rescale(header: Header) -> None:
    name = header.file.name
    if header.has("ModalityLUTSequence"):
        raise InputError(
            f"'{name}' holds its values in a table (Modality LUT), which is not read; convert it to NIfTI."
        )
    if header.has("RescaleSlope") and not header.number("RescaleSlope"):
        raise InputError(
            f"'{name}' has a RescaleSlope of {header.text('RescaleSlope')[:16] or '?'}; its values are lost."
        )
    if header.has("RescaleIntercept") and header.number("RescaleIntercept") is None:
        raise InputError(f"'{name}' has a damaged header: RescaleIntercept is no number.")


def image_values(header: Header) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Values (rows, columns), or (rows, columns, 3) in colours, and where they are padding, None for nowhere.

    Raises InputError where the pixels are missing, damaged or fewer than the header says.
    """
    elements = read_pixel_elements(header.file)
    if is_colour(header):
        return _colours(header, elements).astype(np.float32), None
    words = _words(header, elements)
    padding = _padding(header, words)
    values = _stored(header, words) if words.dtype.kind in "iu" else words.astype(np.float64)
    if header.text("PhotometricInterpretation") == "MONOCHROME1" and not is_measured(header):
        values = _turned(header, values)
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    scaled = values * (1.0 if slope is None else slope) + (intercept or 0.0)
    with np.errstate(over="ignore"):
        return scaled.astype(np.float32), padding


def pixel_bytes(header: Header) -> bytes:
    """The pixels as they lie in the file, to tell copies from different images."""
    elements = read_pixel_elements(header.file)
    return b"".join(_bytes(elements, name) for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def _bytes(elements: Dataset, keyword: str) -> bytes:
    value = elements.get(keyword)
    return bytes(value) if isinstance(value, bytes | bytearray) else b""


def _words(header: Header, elements: Dataset) -> NDArray[Any]:
    """Numbers (rows, columns) or (rows, columns, samples) as they are stored, with all bits."""
    if "FloatPixelData" in elements or "DoubleFloatPixelData" in elements:
        keyword, dtype = ("FloatPixelData", "f4") if "FloatPixelData" in elements else ("DoubleFloatPixelData", "f8")
        return _plain(header, _bytes(elements, keyword), np.dtype(dtype))
    if header.whole("BitsAllocated") not in _INTEGER_BITS:
        raise InputError(f"'{header.file.name}' has whole numbers of 64 bits, which are not read; give 8, 16 or 32.")
    if header.syntax not in _PLAIN:
        return decompressed(header, _bytes(elements, "PixelData"))
    content = _bytes(elements, "PixelData")
    element = elements.get_item("PixelData") if "PixelData" in elements else None
    if header.whole("BitsAllocated") == 8 and header.syntax == ExplicitVRBigEndian and element and element.VR == "OW":
        content = np.frombuffer(content[: len(content) // 2 * 2], ">u2").astype("<u2").tobytes()
    return _plain(header, content, np.dtype(f"u{header.whole('BitsAllocated') // 8}"))


def _plain(header: Header, content: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    rows, columns, samples = header.whole("Rows"), header.whole("Columns"), header.whole("SamplesPerPixel", 1)
    halved = header.text("PhotometricInterpretation") == "YBR_FULL_422"
    count = rows * columns * (2 if halved else samples)
    needed = count * dtype.itemsize
    if len(content) < needed:
        raise InputError(
            f"'{header.file.name}' is cut off: {rows} x {columns} pixels need {needed} bytes, and it holds "
            f"{len(content)}. Copy it again."
        )
    if len(content) >= 2 * needed:
        raise InputError(
            f"'{header.file.name}' holds {len(content)} bytes of pixels where its header needs {needed}; its header is "
            "wrong, or it holds several frames."
        )
    stored = dtype.newbyteorder(">") if header.syntax == ExplicitVRBigEndian else dtype.newbyteorder("<")
    words = np.frombuffer(content, stored, count).astype(dtype)
    if samples == 1:
        return words.reshape(rows, columns)
    if halved:
        return _whole_colours(words, rows, columns, header)
    if header.whole("PlanarConfiguration", 0) == 1:
        return np.moveaxis(words.reshape(samples, rows, columns), 0, -1)
    return words.reshape(rows, columns, samples)


def _whole_colours(words: NDArray[Any], rows: int, columns: int, header: Header) -> NDArray[Any]:
    """Luminance of each pixel with the colours that it shares with its neighbour."""
    if columns % 2:
        raise InputError(f"'{header.file.name}' is YBR_FULL_422 with an odd number of columns; export it again.")
    pairs = words.reshape(rows, columns // 2, 4)
    colours = np.repeat(pairs[..., 2:], 2, axis=1)
    return np.concatenate([pairs[..., :2].reshape(rows, columns, 1), colours], axis=-1)


def _stored(header: Header, words: NDArray[Any]) -> NDArray[np.float64]:
    """Values of the stored bits; bits above and below, once used for overlays, are left out."""
    bits = header.whole("BitsStored", header.whole("BitsAllocated"))
    low = header.whole("HighBit", bits - 1) + 1 - bits if header.syntax not in JPEG else 0
    values = (words.astype(np.int64) >> low) & ((1 << bits) - 1)
    if header.whole("PixelRepresentation", 0) == 1:
        values -= (values >> (bits - 1)) << bits
    return values.astype(np.float64)


def _turned(header: Header, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with dark and bright exchanged within the range of the stored bits."""
    bits = header.whole("BitsStored", header.whole("BitsAllocated"))
    ends = -1.0 if header.whole("PixelRepresentation", 0) == 1 else 2.0**bits - 1.0
    return ends - values


def _padding(header: Header, words: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where whole words, with all their bits, are the padding value or in its range."""
    if words.dtype.kind == "f":
        value = header.number("FloatPixelPaddingValue")
        return None if value is None else np.asarray(words == words.dtype.type(value))
    value, limit = header.number("PixelPaddingValue"), header.number("PixelPaddingRangeLimit")
    if value is None:
        return None
    bits = header.whole("BitsAllocated")
    signed = header.whole("PixelRepresentation", 0) == 1

    def as_word(number: Any) -> Any:
        # The value may be written signed where the pixels are not, and the other way round.
        word = number & ((1 << bits) - 1)
        return word - ((word >> (bits - 1)) << bits) if signed else word

    ends = sorted({as_word(int(end)) for end in (value, limit) if end is not None})
    plain = as_word(words.astype(np.int64))
    found: NDArray[np.bool_] = (plain >= ends[0]) & (plain <= ends[-1])
    return found if found.any() else None


def _colours(header: Header, elements: Dataset) -> NDArray[Any]:
    """Red, green and blue (rows, columns, 3)."""
    words = _words(header, elements)
    photometric = header.text("PhotometricInterpretation")
    if photometric == _PALETTE:
        try:
            looked_up = apply_color_lut(_stored(header, words).astype(np.int64), elements)
        except (AttributeError, ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"'{header.file.name}' has a damaged colour table. Export it again.") from error
        return looked_up >> 8 if looked_up.max() > np.iinfo(np.uint8).max else looked_up
    # SimpleITK gives red, green and blue of the JPEG kinds.
    if header.syntax not in JPEG and photometric != "RGB":
        return convert_color_space(words.astype(np.uint8), "YBR_FULL", "RGB")
    return words
