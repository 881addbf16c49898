"""Labelled pictures in two folders: images/ and masks/ of the same names, or MedSAM's imgs/ and gts/ in .npy."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.intensities import rescale
from oncoprompt.study.picture import ENDINGS, read_picture
from oncoprompt.training.slice_stack import LabelledSlices, SliceCase

_LOSSY = (".jpg", ".jpeg")
_HALF = 127


def picture_cases(folder: Path, preset: str = "auto") -> list[SliceCase]:
    """Pictures of images/ with the mask of the same stem in masks/, whose grey levels are the numbers of targets.

    A JPEG mask, which has lost its exact levels, is one target above 127. Raises InputError where a picture has no
    mask, or nothing is found.
    """
    masks = {path.stem: path for path in _files(folder / "masks", ENDINGS)}
    return [
        SliceCase(path.stem, partial(_read_picture, path, _partner(path, masks), preset))
        for path in _files(folder / "images", ENDINGS)
    ]


def npy_cases(folder: Path, preset: str = "auto") -> list[SliceCase]:
    """Slices as MedSAM stores them: imgs/NAME.npy [H, W, 3] or [H, W] on 0..1 or 0..255, gts/NAME.npy [H, W].

    Raises InputError as `picture_cases` does.
    """
    masks = {path.stem: path for path in _files(folder / "gts", (".npy",))}
    return [
        SliceCase(path.stem, partial(_read_npy, path, _partner(path, masks), preset))
        for path in _files(folder / "imgs", (".npy",))
    ]


def grey_levels(image: NDArray[Any], channel: str, preset: str) -> NDArray[np.uint8]:
    """An image of any shape on 0..255, as `intensities.rescale` has it for the channel, in whole numbers."""
    return np.rint(np.clip(rescale(image, channel, preset)[0], 0.0, 255.0)).astype(np.uint8)


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    found = sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() in endings) if folder.is_dir() else []
    if not found:
        raise InputError(f"Folder '{folder}' is missing or holds no file that ends in {', '.join(endings)}.")
    return found


def _partner(path: Path, masks: dict[str, Path]) -> Path:
    if path.stem not in masks:
        raise InputError(f"'{path.name}' has no mask of the same name. Add one, or move the picture elsewhere.")
    return masks[path.stem]


def _read_picture(path: Path, mask: Path, preset: str) -> LabelledSlices:
    labels = _rows(read_picture(mask)[0], mask)
    if labels.ndim == 4:
        raise InputError(f"Mask '{mask.name}' is in colour; save it in grey, a number for each target.")
    labels = labels > _HALF if mask.suffix.lower() in _LOSSY else labels
    return LabelledSlices(path.stem, grey_levels(_rows(read_picture(path)[0], path), "grey", preset), labels)


def _rows(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """(width, height, 1) or (width, height, 1, 3) as [1, H, W] or [1, H, W, 3]."""
    if pixels.dtype.kind not in "buif":
        raise InputError(f"'{path.name}' has pixels of type {pixels.dtype}; save it in grey or RGB.")
    return pixels.swapaxes(0, 2)


def _read_npy(path: Path, mask: Path, preset: str) -> LabelledSlices:
    image, labels = (_load(file) for file in (path, mask))
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError(f"'{path.name}' has shape {image.shape}; a slice is [H, W] or [H, W, 3].")
    # MedSAM's own slices are min-max normalised
    scaled = image * 255.0 if image.dtype.kind == "f" and image.min() >= 0.0 and image.max() <= 1.0 else image
    return LabelledSlices(path.stem, grey_levels(scaled[None], "grey", preset), labels[None])


def _load(path: Path) -> NDArray[Any]:
    try:
        array = np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"'{path.name}' cannot be read as an array of numbers ({error}). Copy it again.") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"'{path.name}' holds {array.dtype}; it must be an array of numbers.")
    return array
