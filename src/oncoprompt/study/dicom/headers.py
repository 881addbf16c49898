"""What is needed of the header of one DICOM file, read with pydicom; hostile and damaged files become sentences."""

from __future__ import annotations

import io
import logging
import math
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from oncoprompt.errors import InputError

MAX_INFLATED = 1 << 27
"""Bytes to which a deflated file may expand."""

_TAGS = (
    "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "SeriesNumber", "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness",
    "SpacingBetweenSlices", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
)  # fmt: skip
_PALETTE = [
    f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")
]
_PIXELS = ["PixelData", "FloatPixelData", "DoubleFloatPixelData"]
_NOT_SCANS = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC")
_CODE = re.compile(r"[A-Za-z0-9_. /+\\-]{0,256}")
_PREAMBLE = 132
_GROUP_LENGTH_ELEMENT = 12
_DAMAGED = (
    ArithmeticError, AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError, MemoryError,
    OSError, RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Header:
    """The attributes of one file that say how to read its image; none of them names a patient.

    ``sop_class`` is the name of the kind of object, such as "CT Image Storage".
    """

    file: Path
    syntax: UID
    values: Mapping[str, Any]
    sop_class: str

    def text(self, keyword: str) -> str:
        """An attribute that is a code or UID, several values joined; empty where it is absent or nothing of this kind.

        A damaged length makes a value run on into those after it, and a patient's name could be among them.
        """
        return _code(self.values.get(keyword))

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """An attribute of so many finite numbers, or None where it is absent, empty or something else."""
        try:
            found = tuple(float(part) for part in _parts(self.values.get(keyword)))
        except (TypeError, ValueError):
            return None
        return found if len(found) == count and all(map(math.isfinite, found)) else None

    def number(self, keyword: str) -> float | None:
        """An attribute of one finite number, or None."""
        found = self.numbers(keyword, 1)
        return None if found is None else found[0]

    def whole(self, keyword: str, default: int | None = None) -> int:
        """An attribute of one whole number; raises InputError where it is something else, or absent without default."""
        found = self.number(keyword)
        if found is None and default is not None and not self.has(keyword):
            return default
        if found is None or found != int(found):
            raise InputError(f"'{self.file.name}' has a damaged header: {keyword} is missing or no whole number.")
        return int(found)

    @property
    def modality(self) -> str:
        """DICOM's code, such as "CT"; empty where the file does not say."""
        return self.text("Modality").upper()

    @property
    def is_image(self) -> bool:
        """Whether this is a scan or picture; segmentations, structures, reports and indices are none."""
        return self.modality not in _NOT_SCANS and (self.has("Rows") or "Image" in self.sop_class)

    @property
    def kind(self) -> str:
        """What the object is, for messages."""
        return self.modality or self.sop_class or "an object of unknown kind"

    def has(self, keyword: str) -> bool:
        """Whether the file has an attribute that is not empty."""
        return keyword in self.values


_UNREADABLE = object()


def read_header(file: Path) -> Header:
    """The header of one file; raises InputError where it cannot be read."""
    dataset, syntax = _parse(file, _TAGS, stop_before_pixels=True)
    values = {}
    for keyword in _TAGS:
        try:
            value = dataset.get(keyword)
        except _DAMAGED:
            value = _UNREADABLE
        if value is not None and not (isinstance(value, str | bytes | Sequence) and len(value) == 0):
            values[keyword] = value
    header = Header(file, syntax, values, UID(_code(values.get("SOPClassUID"))).name)
    if not header.has("Rows") and (not header.sop_class or header.is_image):
        raise damaged(file)
    return header


def _parts(value: Any) -> Sequence[Any]:
    """The values of an attribute, which may be one."""
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]


def _code(value: Any) -> str:
    joined = "\\".join(str(part).strip(" \0") for part in _parts(value) if part is not None)
    return joined if _CODE.fullmatch(joined) else ""


def read_pixel_elements(file: Path) -> Dataset:
    """The elements that hold pixels and their colours; raises InputError where the file cannot be read."""
    tags = [*_PALETTE, *_PIXELS, "BitsAllocated", "PixelRepresentation"]
    dataset, _ = _parse(file, tags, stop_before_pixels=False)
    try:
        # pydicom converts an element when it is looked at, so what cannot be converted shows here.
        return Dataset({element.tag: element for element in dataset})
    except _DAMAGED as error:
        raise damaged(file) from error


def is_image_file(file: Path) -> bool:
    """Whether a DICOM file is an image, or one that cannot be read."""
    try:
        with quiet():
            return read_header(file).is_image
    except InputError:
        return True


def damaged(file: Path) -> InputError:
    """The error for a file that is called or begins as DICOM and cannot be read."""
    if not file.exists():
        return InputError(f"'{file.name}' is a link to a file that is not there. Copy it again, or remove it.")
    if not os.access(file, os.R_OK):
        return InputError(f"'{file.name}' may not be read by this user; change its permissions.")
    state = "is empty (0 bytes)" if file.stat().st_size == 0 else "is damaged or cut off, or no DICOM file"
    return InputError(f"'{file.name}' {state} and cannot be read. Copy it again, or remove it.")


def _parse(file: Path, tags: Sequence[str], stop_before_pixels: bool) -> tuple[Dataset, UID]:
    try:
        with file.open("rb") as stream:
            syntax = _syntax(stream, file)
            if syntax == DeflatedExplicitVRLittleEndian:
                return _parse_deflated(stream, file, tags), syntax
            stream.seek(0)
            dataset = dcmread(stream, force=True, stop_before_pixels=stop_before_pixels, specific_tags=list(tags))
            return dataset, syntax or _bare_syntax(dataset)
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(f"'{file.name}' has sequences nested too deeply to be read; export it again.") from error
    except _DAMAGED as error:
        raise damaged(file) from error


def _syntax(stream: IO[bytes], file: Path) -> UID | None:
    """Transfer syntax of the file's meta header, None without one."""
    stream.seek(_PREAMBLE - 4)
    if stream.read(4) != b"DICM":
        return None
    found = read_file_meta_info(file).get("TransferSyntaxUID")
    return UID(str(found)) if found else None


def _bare_syntax(dataset: Dataset) -> UID:
    meta = getattr(dataset, "file_meta", None)
    found = None if meta is None else meta.get("TransferSyntaxUID")
    return UID(str(found)) if found else ImplicitVRLittleEndian


def _parse_deflated(stream: IO[bytes], file: Path, tags: Sequence[str]) -> Dataset:
    """A deflated file, inflated only as far as MAX_INFLATED."""
    length = int(read_file_meta_info(file)["FileMetaInformationGroupLength"].value)
    stream.seek(_PREAMBLE + _GROUP_LENGTH_ELEMENT + length)
    content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(MAX_INFLATED), MAX_INFLATED)
    if len(content) == MAX_INFLATED:
        raise InputError(
            f"'{file.name}' (Deflated Explicit VR Little Endian) expands to more than {MAX_INFLATED >> 20} MB, the "
            "limit for such files; export it without deflating."
        )
    return read_dataset(io.BytesIO(content), False, True, specific_tags=[Tag(keyword) for keyword in tags])


@contextmanager
def quiet() -> Iterator[None]:
    """While DICOM is read: no warnings of pydicom, which can hold what is in the headers."""
    log = logging.getLogger("pydicom")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
