"""Cases of the MedSAM challenges (CVPR 2024 and 2025): npz files with imgs, gts, boxes and spacing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, mask_bounds
from oncoprompt.study.channels import COLOURS
from oncoprompt.study.npz_file import read_arrays
from oncoprompt.study.output import write_output
from oncoprompt.study.slices import SliceStack
from oncoprompt.study.study import Study
from oncoprompt.study.volume import MAX_VOXELS

Edition = Literal["2024", "2025"]
_FIELDS_2025 = ("z_mid_x_min", "z_mid_y_min", "z_mid_x_max", "z_mid_y_max", "z_min", "z_max", "z_mid")


@dataclass(frozen=True)
class ChallengeBox:
    """Columns x0 to x1 and rows y0 to y1, as drawn on slice ``z``, and slices z0 to z1 of a target, all half-open."""

    x0: int
    y0: int
    x1: int
    y1: int
    z0: int = 0
    z1: int = 1
    z: int = 0


@dataclass(frozen=True, eq=False)
class ChallengeCase:
    """Slices [D, H, W] or, in colour, [D, H, W, 3] of 0 to 255, a label map [D, H, W], boxes, spacing (x, y, z) in mm.

    A picture is one slice. The orientation of a volume is not in its file: axes are read as leading to the patient's
    left (W), back (H) and head (D).
    """

    images: NDArray[np.generic]
    labels: NDArray[np.generic] | None = None
    boxes: tuple[ChallengeBox, ...] = ()
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def grid(self) -> Grid:
        """Grid of the study whose axes (I, J, K) are columns, rows and slices."""
        depth, height, width = self.images.shape[:3]
        x, y, z = self.spacing_mm
        return Grid((width, height, depth), np.diag([-x, -y, z, 1.0]))

    @classmethod
    def of_study(cls, study: Study, labels: NDArray[Any] | None = None, channel: str | None = None) -> ChallengeCase:
        """A study, whose values are 0 to 255 already, and a label map (I, J, K) on its grid.

        In colour where it has red, green and blue and no channel is named. Raises InputError for a label map of another
        shape and where one of several channels must be named.
        """
        stack = SliceStack.across(study.grid, "axial")
        if channel is None and set(study.channels) == set(COLOURS):
            images = np.stack([stack.slices(study.channels[colour]) for colour in COLOURS], axis=3)
        elif channel is None and len(study.channels) > 1:
            raise InputError(f"Name one channel of study '{study.name}'; found: {', '.join(study.channels)}.")
        else:
            images = stack.slices(study.channel(channel or next(iter(study.channels))))
        z, y, x = stack.spacing_mm
        return cls(images, None if labels is None else stack.slices(labels), (), (x, y, z))


def read_challenge(path: Path, max_voxels: int = MAX_VOXELS, images_alone: bool = False) -> ChallengeCase:
    """Read a case of either edition, safely: boxes that the 2025 edition has pickled are parsed, not run.

    Raises InputError for a file that is missing, damaged, of another kind, too large, or holds more than plain values.
    """
    arrays = read_arrays(path, ("imgs", "spacing") if images_alone else ("imgs", "spacing", "gts", "boxes"), max_voxels)
    if "imgs" not in arrays:
        raise InputError(f"'{path.name}' has no array 'imgs'; it is no case of the MedSAM challenges.")
    images = _real(arrays["imgs"], path, "imgs")
    if images.ndim == 2 or (images.ndim == 3 and images.shape[2] == len(COLOURS)):
        images = images[None]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != len(COLOURS)) or images.size == 0:
        raise InputError(
            f"'imgs' of '{path.name}' has shape {images.shape}; give [H, W], [D, H, W] or these in colour."
        )
    labels = _labels(arrays["gts"], images.shape[:3], path) if "gts" in arrays else None
    boxes = _read_boxes(arrays["boxes"], path) if "boxes" in arrays else ()
    return ChallengeCase(images, labels, boxes, _spacing(arrays, path))


def write_challenge(path: Path, case: ChallengeCase, edition: Edition = "2024") -> None:
    """Write imgs (uint8), gts, boxes (those around the labels where the case has none) and, for volumes, spacing.

    A picture becomes [H, W, 3]. Raises InputError for images outside 0 to 255 and where the file cannot be written.
    """
    low, high = float(case.images.min()), float(case.images.max())
    if low < 0 or high > 255 or high - low < 1:
        raise InputError(
            f"Images of a challenge case are 0 to 255; found {low:g} to {high:g}. Apply a window or percentiles first."
        )
    flat = case.images.shape[0] == 1
    images = np.rint(case.images).astype(np.uint8)
    if flat and images.ndim == 3:
        images = np.repeat(images[..., None], len(COLOURS), axis=3)
    content = {"imgs": images[0] if flat else images}
    boxes = case.boxes
    if case.labels is not None:
        content["gts"] = _numbers(case.labels)
        boxes = boxes or boxes_around(case.labels)
    if boxes:
        content["boxes"] = _stored_boxes(boxes, flat, edition)
    if not flat:
        content["spacing"] = np.asarray(case.spacing_mm)
    _write(path, content)


def write_predictions(path: Path, labels: NDArray[Any], grid: Grid) -> None:
    """Write the answer to a case from a label map (I, J, K): segs, where a target's number is its box's index + 1."""
    _write(path, {"segs": _numbers(SliceStack.across(grid, "axial").slices(labels))})


def boxes_around(labels: NDArray[np.generic]) -> tuple[ChallengeBox, ...]:
    """The tight box of each label of [D, H, W], in the order of their numbers, drawn on the middle of its slices."""
    boxes = []
    for label in np.unique(labels):
        if label:
            (z0, z1), (y0, y1), (x0, x1) = mask_bounds(labels == label).tolist()
            boxes.append(ChallengeBox(x0, y0, x1, y1, z0, z1, (z0 + z1 - 1) // 2))
    return tuple(boxes)


def _real(array: Any, path: Path, name: str) -> NDArray[Any]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise InputError(f"'{name}' of '{path.name}' must be an array of real numbers.")
    return array


def _labels(stored: Any, shape: tuple[int, ...], path: Path) -> NDArray[Any]:
    labels = _real(stored, path, "gts")
    labels = labels[None] if labels.ndim == 2 else labels
    if labels.shape != shape or labels.dtype.kind not in "bui":
        raise InputError(
            f"'gts' of '{path.name}' is {labels.dtype} {labels.shape}, 'imgs' {shape}; give whole numbers."
        )
    return labels


def _spacing(arrays: Mapping[str, Any], path: Path) -> tuple[float, float, float]:
    if "spacing" not in arrays:
        return 1.0, 1.0, 1.0
    values = _real(arrays["spacing"], path, "spacing").ravel()
    if values.shape != (3,) or not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError(f"'spacing' of '{path.name}' must be x, y, z in millimetres; found {values.tolist()}.")
    x, y, z = (float(value) for value in values)
    return x, y, z


def _read_boxes(stored: Any, path: Path) -> tuple[ChallengeBox, ...]:
    """Half-open boxes of either edition, whose files hold the index of the last pixel."""
    try:
        return tuple(_box(box) for box in (stored.tolist() if isinstance(stored, np.ndarray) else stored))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"'boxes' of '{path.name}' must be [N, 4], [N, 6] or dictionaries with {', '.join(_FIELDS_2025)}."
        ) from error


def _box(box: Any) -> ChallengeBox:
    if isinstance(box, Mapping):
        x0, y0, x1, y1, z0, z1, z = (int(box[name]) for name in _FIELDS_2025)
    elif len(box) == 4:
        (x0, y0, x1, y1), z0, z1, z = (int(value) for value in box), 0, 0, 0
    else:
        x0, y0, z0, x1, y1, z1 = (int(value) for value in box)
        z = (z0 + z1) // 2
    return ChallengeBox(x0, y0, x1 + 1, y1 + 1, z0, z1 + 1, z)


def _stored_boxes(boxes: Sequence[ChallengeBox], flat: bool, edition: Edition) -> NDArray[Any]:
    if flat:
        return np.array([[b.x0, b.y0, b.x1 - 1, b.y1 - 1] for b in boxes])
    if edition == "2024":
        return np.array([[b.x0, b.y0, b.z0, b.x1 - 1, b.y1 - 1, b.z1 - 1] for b in boxes])
    rows = [(b.x0, b.y0, b.x1 - 1, b.y1 - 1, b.z0, b.z1 - 1, b.z) for b in boxes]
    return np.array([dict(zip(_FIELDS_2025, row, strict=True)) for row in rows], dtype=object)


def _numbers(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels in the smallest type that holds them, a picture's as [H, W]."""
    small = labels.astype(np.uint8 if int(labels.max(initial=0)) < 256 else np.uint16)
    return small[0] if small.shape[0] == 1 else small


def _write(path: Path, content: Mapping[str, NDArray[Any]]) -> None:
    if path.suffix != ".npz":
        raise InputError(f"'{path.name}' must end in .npz.")
    if not path.parent.is_dir():
        raise InputError(f"Folder '{path.parent}' does not exist; make it first.")
    stream = io.BytesIO()
    arrays: dict[str, Any] = dict(content)
    np.savez_compressed(stream, **arrays)
    write_output(path, stream.getvalue())
