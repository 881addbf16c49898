"""Decoding the compressed pixels of one image: RLE by pydicom, the JPEG kinds by SimpleITK."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from oncoprompt.errors import InputError
from oncoprompt.study.dicom.headers import Header

JPEG = (
    JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless,
    JPEG2000Lossless, JPEG2000,
)  # fmt: skip
"""Transfer syntaxes that SimpleITK decodes."""

COMPRESSED = (*JPEG, RLELossless)
"""Compressed transfer syntaxes that are read."""

_MARKER = 0xFF
_END_OF_IMAGE = b"\xff\xd9"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_FRAME_HEADERS = (*(0xC0 + kind for kind in range(16) if kind not in (4, 8, 12)), 0xF7)


def decompressed(header: Header, content: bytes) -> NDArray[Any]:
    """Stored values (rows, columns), or (rows, columns, 3), of the pixel data of one compressed image.

    Raises InputError where it is cut off, of another size than the header says, or cannot be decoded.
    """
    _check_codestream(header, content)
    # SimpleITK would scale and turn round as the header says, so it is given the pixels alone.
    copy = _pixels_alone(header, content)
    try:
        array = pixel_array(copy, raw=True) if header.syntax == RLELossless else _by_itk(copy)
    except (RuntimeError, ValueError, AttributeError, IndexError, struct.error) as error:
        raise InputError(
            f"'{header.file.name}' holds {header.syntax.name} pixels that cannot be decoded. Copy it again, or "
            "decompress it first."
        ) from error
    shape: tuple[int, ...] = (header.whole("Rows"), header.whole("Columns"))
    shape += () if header.whole("SamplesPerPixel", 1) == 1 else (3,)
    if array.size != math.prod(shape):
        raise InputError(f"'{header.file.name}' decodes to {array.shape} pixels, its header says {shape}.")
    return array.reshape(shape)


def _by_itk(pixels: Dataset) -> NDArray[Any]:
    from SimpleITK import GetArrayFromImage, ImageFileReader  # slow to import and seldom needed

    make: Any = ImageFileReader  # SimpleITK has no annotations
    reader = make()
    with TemporaryDirectory() as folder, _without_itk_warnings():
        file = Path(folder, "pixels.dcm")
        pixels.save_as(file, enforce_file_format=True)
        reader.SetFileName(str(file))
        return np.asarray(GetArrayFromImage(reader.Execute()))


@contextmanager
def _without_itk_warnings() -> Iterator[None]:
    """ITK writes its warnings on standard error."""
    from SimpleITK import ProcessObject

    process: Any = ProcessObject
    before = process.GetGlobalWarningDisplay()
    process.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        process.SetGlobalWarningDisplay(before)


def _check_codestream(header: Header, content: bytes) -> None:
    """Raise InputError where the one frame is not whole or of another size; decoders say neither."""
    try:
        frame = get_frame(content, 0, number_of_frames=1)
    except (ValueError, EOFError, IndexError, struct.error) as error:
        raise _cut(header) from error
    if header.syntax not in JPEG:
        return
    if not frame.rstrip(b"\0").endswith(_END_OF_IMAGE):
        raise _cut(header)
    size, stated = _size_within(frame), (header.whole("Rows"), header.whole("Columns"))
    if size != stated:
        found = "no size" if size is None else f"{size[0]} x {size[1]} pixels"
        raise InputError(
            f"'{header.file.name}' is damaged: its {header.syntax.name} data state {found}, its header "
            f"{stated[0]} x {stated[1]}. Export it again."
        )


def _size_within(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 image states itself."""
    try:
        if frame.startswith(_JPEG_2000):
            columns, rows, left, top = struct.unpack_from(">4I", frame, len(_JPEG_2000) + 4)
            return rows - top, columns - left
        at = 2
        while frame[at] == _MARKER:
            kind = frame[at + 1]
            if kind in _FRAME_HEADERS:
                rows, columns = struct.unpack_from(">2H", frame, at + 5)
                return rows, columns
            # A marker may be filled up with more bytes of its first kind.
            at += 1 if kind == _MARKER else 2 + struct.unpack_from(">H", frame, at + 2)[0]
    except (IndexError, struct.error):
        pass
    return None


def _cut(header: Header) -> InputError:
    return InputError(f"'{header.file.name}' is cut off: its {header.syntax.name} pixels are not whole. Copy it again.")


def _pixels_alone(header: Header, content: bytes) -> Dataset:
    copy = Dataset()
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = header.syntax
    copy.SOPClassUID, copy.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    copy.SamplesPerPixel = header.whole("SamplesPerPixel", 1)
    colours = copy.SamplesPerPixel == 3
    copy.PhotometricInterpretation = header.text("PhotometricInterpretation") if colours else "MONOCHROME2"
    if colours:
        copy.PlanarConfiguration = header.whole("PlanarConfiguration", 0)
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        setattr(copy, keyword, header.whole(keyword))
    # RLE holds whole words, of which pydicom would cut the bits that are not stored; the JPEG kinds hold stored bits.
    whole = header.syntax == RLELossless
    copy.BitsStored = copy.BitsAllocated if whole else header.whole("BitsStored", copy.BitsAllocated)
    copy.HighBit = copy.BitsStored - 1 if whole else header.whole("HighBit", copy.BitsStored - 1)
    copy.PixelRepresentation = header.whole("PixelRepresentation", 0)
    copy.add_new("PixelData", "OB", content)
    copy["PixelData"].is_undefined_length = True
    return copy
