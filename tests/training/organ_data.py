"""Small data sets of organs with tumours, laid out as KiTS21, LiTS and the Decathlon's pancreas, and a SAM for them."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from methods.medsam.original_sam import original_sam

SIZES_MM = (48.0, 44.0, 52.0)
"""Extent of a scan along R, A, S."""
SAM = {"side": 256, "width": 24, "depth": 4, "heads": 2, "whole": (0, 1, 2, 3), "window": 14, "features": 16, "mlp": 8}
"""SAM ViT-B at the size of `TagsConfig.small`."""


def write_sam(path: Path) -> Path:
    """A SAM that knows nothing."""
    torch.save(original_sam(5, SAM).state_dict(), path)
    return path


def body(spacing_mm: tuple[float, float, float], number: int, tumour: bool = True) -> tuple[NDArray[Any], NDArray[Any]]:
    """CT (R, A, S) int16 of an organ of about 100 HU with a dark tumour of radius 8 mm, and labels 1 and 2."""
    shape = [round(size / step) for size, step in zip(SIZES_MM, spacing_mm, strict=True)]
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * spacing_mm
    middle = np.array(SIZES_MM) / 2 + (number, 0, -number)
    organ = (((places - middle) / (18, 14, 20)) ** 2).sum(-1) < 1
    lesion = np.linalg.norm(places - middle - (4, 2, 6), axis=-1) < 8
    rng = np.random.default_rng(number)
    image = np.where(organ, 100, -60) + np.where(lesion & tumour, -70, 0) + rng.normal(0, 8, shape)
    return image.astype(np.int16), np.where(lesion & tumour, 2, organ).astype(np.uint8)


def save(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """An array as NIfTI, its folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def write_kits(root: Path, count: int = 2, masks: bool = True) -> Path:
    """Axes of the files S, A, R, as KiTS has them, slices 2 mm apart, and a mask of the kidneys in two files."""
    for number in range(count):
        image, labels = body((1.2, 1.2, 2.0), number)
        folder = root / f"case_{number:05}"
        affine = np.array([[0, 0, -1.2, 9], [0, -1.2, 0, 5], [-2.0, 0, 0, 3], [0, 0, 0, 1]])
        turned = [np.ascontiguousarray(array.transpose(2, 1, 0)[::-1, ::-1, ::-1]) for array in (image, labels)]
        save(folder / "imaging.nii.gz", turned[0], affine)
        save(folder / "aggregated_MAJ_seg.nii.gz", turned[1], affine)
        if masks:
            save(folder / "kidney_left.nii.gz", (turned[1] > 0).astype(np.uint8), affine)
            save(folder / "kidney_right.nii.gz", np.zeros_like(turned[1]), affine)
    return root


def write_lits(root: Path, count: int = 2) -> Path:
    """Uncompressed files side by side, with the mask of each liver named after its scan."""
    affine = np.diag([-1.0, -1.0, 1.5, 1.0])
    for number in range(count):
        image, labels = body((1.0, 1.0, 1.5), number, tumour=number != 1)
        flipped = [np.ascontiguousarray(array[::-1, ::-1]) for array in (image, labels)]
        save(root / f"volume-{number}.nii", flipped[0], affine)
        save(root / f"segmentation-{number}.nii", flipped[1], affine)
        save(root / f"volume-{number}_liver.nii.gz", (flipped[1] > 0).astype(np.uint8), affine)
    return root


def write_pancreas(root: Path, count: int = 2) -> Path:
    """The Decathlon's Task07, without masks of the organ."""
    names = [f"pancreas_{number:03}" for number in range(count)]
    for number, name in enumerate(names):
        image, labels = body((1.0, 1.0, 2.0), number)
        save(root / "imagesTr" / f"{name}.nii.gz", image, np.diag([1.0, 1.0, 2.0, 1.0]))
        save(root / "labelsTr" / f"{name}.nii.gz", labels, np.diag([1.0, 1.0, 2.0, 1.0]))
    content = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "training": [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names],
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(content))
    return root
