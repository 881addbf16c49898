"""Scans on disk for the tests of the study layer."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

LPS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])


def noise(shape: tuple[int, ...] = (6, 7, 8), seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(1, 1000, shape).astype(np.int16)


def save(
    path: Path,
    array: NDArray[np.generic] | None = None,
    affine: NDArray[np.float64] = LPS,
    codes: tuple[int, int] = (1, 2),
    kind: type = nib.Nifti1Image,
) -> Path:
    """A NIfTI with the given sform and qform codes, in millimetres."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = kind(noise() if array is None else array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=codes[0])
    image.set_qform(affine, code=codes[1])
    nib.save(image, path)
    return path


def patched(path: Path, source: Path, offset: int, content: bytes) -> Path:
    """A copy of an uncompressed NIfTI with bytes of its header replaced; compressed where the name says so."""
    data = bytearray(source.read_bytes())
    data[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))
    return path
