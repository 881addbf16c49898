"""DICOM files for tests, written with pydicom as scanners write them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

PATIENT = "Doe^Jane"
STORED = np.random.default_rng(1).integers(0, 4000, (4, 6, 8)).astype(np.uint16)
"""Stored values (slice, row, column) of twelve bits."""

INTERCEPT = -1024
STEP_MM = 2.5
Edit = Callable[[int, Dataset], None]


def image(pixels: NDArray[np.generic], number: int = 0, modality: str = "CT", **elements: object) -> Dataset:
    """One image of 12 bits in 16, or of all bits of its type, at its place along the z axis; elements overrule."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
    made.PatientName = made.PatientID = PATIENT
    made.Modality, made.SeriesInstanceUID, made.StudyInstanceUID = modality, "1.2.3.4", "1.2.3"
    made.SeriesNumber, made.InstanceNumber = 1, number + 1
    made.ImagePositionPatient, made.ImageOrientationPatient = [10, -20, 30 + STEP_MM * number], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.75, 0.5], STEP_MM
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = 12 if pixels.dtype == np.uint16 else made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    if pixels.ndim == 3:
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    elif modality == "CT":
        made.RescaleSlope, made.RescaleIntercept = 1, INTERCEPT
    made.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        if value is None:
            del made[keyword]
        else:
            setattr(made, keyword, value)
    return made


def write(path: Path, dataset: Dataset) -> Path:
    """Write one file as its transfer syntax says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    syntax = dataset.file_meta.TransferSyntaxUID
    if "PixelData" in dataset:
        wide = dataset.BitsAllocated > 8 or syntax == ImplicitVRLittleEndian
        dataset["PixelData"].VR = "OW" if wide and not syntax.is_compressed else "OB"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    little = syntax != ExplicitVRBigEndian
    dataset.save_as(path, enforce_file_format=True, little_endian=little, implicit_vr=syntax == ImplicitVRLittleEndian)
    return path


def series(
    folder: Path, edit: Edit | None = None, pixels: NDArray[np.generic] = STORED, **elements: object
) -> list[Path]:
    """A series of slices (slice, row, column), each edited by its number; file names sort against the slices."""
    files = []
    for number, stored in enumerate(pixels):
        dataset = image(stored, number, **elements)
        if edit is not None:
            edit(number, dataset)
        files.append(write(folder / f"{len(pixels) - number:03}.dcm", dataset))
    return files


def values_of(stored: NDArray[np.generic]) -> NDArray[np.float64]:
    """Hounsfield units (column, row, slice) of stored values (slice, row, column)."""
    return stored.astype(np.float64).transpose(2, 1, 0) + INTERCEPT
