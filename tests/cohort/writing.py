"""Small data sets on disk for the tests of the cohort layer."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (8, 9, 7)
AFFINE = np.array([[-1.0, 0, 0, 3], [0, -1.0, 0, 5], [0, 0, 2.0, -7], [0, 0, 0, 1]])
FOUR = ("t1n", "t1c", "t2w", "t2f")


def save(path: Path, array: NDArray[Any], affine: NDArray[np.float64] = AFFINE) -> Path:
    """An array as NIfTI, its folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def image(*seed: int | str) -> NDArray[np.int16]:
    """Noise (8, 9, 7) that is another for each seed."""
    return np.random.default_rng([byte for part in seed for byte in str(part).encode()]).integers(
        1, 1000, SHAPE, dtype=np.int16
    )


def labels(*values: int) -> NDArray[np.uint8]:
    """A label map (8, 9, 7) with one plane of each value and background."""
    array = np.zeros(SHAPE, dtype=np.uint8)
    for plane, value in enumerate(values, 1):
        array[2:5, 3:6, plane] = value
    return array


def brats_case(
    root: Path,
    name: str,
    values: Iterable[int] | None = (1, 2, 3),
    channels: Iterable[str] = FOUR,
    separator: str = "-",
    label_end: str = "seg",
) -> Path:
    """A folder named as the case with `<case><separator><channel>.nii.gz` and a label map unless `values` is None."""
    folder = root / name
    for channel in channels:
        save(folder / f"{name}{separator}{channel}.nii.gz", image(name, channel))
    if values is not None:
        save(folder / f"{name}{separator}{label_end}.nii.gz", labels(*values))
    return folder


def nnunet(root: Path, description: dict[str, Any] | None = None, cases: Iterable[str] = ("a_1", "b")) -> Path:
    """An nnU-Net v2 raw data set of two channels, with one case to predict."""
    content = {
        "channel_names": {"0": "T1ce", "1": "FLAIR"},
        "labels": {"background": 0, "NETC": 1, "SNFH": 2, "ET": 3},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content | (description or {})))
    for case in cases:
        for number in (0, 1):
            save(root / "imagesTr" / f"{case}_000{number}.nii.gz", image(case, number))
        save(root / "labelsTr" / f"{case}.nii.gz", labels(1, 2, 3))
    for number in (0, 1):
        save(root / "imagesTs" / f"c_000{number}.nii.gz", image("c", number))
    return root


def decathlon(root: Path) -> Path:
    """A Medical Decathlon task as that of the brain tumours: four volumes a file."""
    content = {
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
        "training": [{"image": f"./imagesTr/B_{n}.nii.gz", "label": f"./labelsTr/B_{n}.nii.gz"} for n in (1, 2)],
        "test": ["./imagesTs/B_3.nii.gz"],
    }
    for folder, number in (("imagesTr", 1), ("imagesTr", 2), ("imagesTs", 3)):
        volumes = np.stack([image(number, volume) for volume in range(4)], axis=3)
        save(root / folder / f"B_{number}.nii.gz", volumes)
        save(root / folder / f"._B_{number}.nii.gz", volumes)
    for number in (1, 2):
        save(root / "labelsTr" / f"B_{number}.nii.gz", labels(1, 2, 3))
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def bids(root: Path, subjects: Iterable[str] = ("sub-01_ses-1", "sub-01_ses-2", "sub-02")) -> Path:
    """A BIDS data set with label maps in derivatives and a table of what they mean."""
    (root / "derivatives" / "experts").mkdir(parents=True)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    for name in subjects:
        anat = Path(*name.split("_"), "anat")
        for suffix in ("T1w", "ce-gadolinium_T1w", "T2w", "FLAIR"):
            save(root / anat / f"{name}_{suffix}.nii.gz", image(name, suffix))
        save(root / anat / f"{name}_desc-brain_mask.nii.gz", labels(1))
        save(root / "derivatives" / "experts" / anat / f"{name}_desc-tumour_dseg.nii.gz", labels(1, 2, 3))
    table = "index\tname\tabbreviation\n0\tBackground\tBG\n1\tnecrosis\tNCR\n2\toedema\tED\n3\tenhancing\tET\n"
    (root / "derivatives" / "experts" / "dseg.tsv").write_text(table)
    return root
