"""Labelled cases simple enough to know everything about: a ball of brain with a tumour of boxes in it."""

from pathlib import Path

import numpy as np
import torch

from oncoprompt.geometry import Grid
from oncoprompt.study import Study, write_nifti
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import box_points, random_field

ENHANCING = 900.0
"""Intensity of the enhancing tumour, brighter than all else."""


def ball_case(
    name: str = "ball", parts: dict[int, tuple[float, ...]] | None = None, spacing_mm: float = 1.0, seed: int = 0
) -> LabelledCase:
    """T1c and FLAIR of a ball of brain; ``parts`` are boxes (R0, R1, A0, A1, S0, S1) in mm by label."""
    parts = {2: (10, 50, -20, 20, -10, 30), 1: (20, 40, -10, 10, 0, 20), 3: (20, 32, -10, 10, 0, 20)} | (parts or {})
    points = box_points(spacing_mm, torch.device("cpu"))
    brain = points.norm(dim=-1) < 70
    labels = torch.zeros(points.shape[:3], dtype=torch.uint8)
    for label, bounds in parts.items():
        low, high = torch.tensor(bounds[::2]), torch.tensor(bounds[1::2])
        labels[((points > low) & (points < high)).all(dim=-1)] = label
    generator = torch.Generator().manual_seed(seed)
    texture = random_field(20.0, (160.0, 192.0, 160.0), labels.shape, generator)[0]
    plain = 300 + 40 * texture
    t1c = torch.where(labels == 3, ENHANCING, plain)
    t2f = torch.where((labels > 0) & (labels < 4), 600.0, plain)
    return LabelledCase(name, ("t1c", "t2f"), torch.stack([t1c, t2f]) * brain, labels * brain, brain)


def write_ball(folder: Path, name: str, schema: str | None = "brats2024-gli", seed: int = 0) -> None:
    """A coarse ball on disk, as BraTS lays a case out."""
    case = ball_case(name, spacing_mm=4.0, seed=seed)
    shape = (40, 48, 40)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [2 - 80, 2 - 96, 2 - 80]
    images = case.images.permute(0, 3, 2, 1).numpy()
    study = Study({n: np.ascontiguousarray(i) for n, i in zip(case.channels, images, strict=True)}, Grid(shape, affine))
    (folder / name).mkdir(parents=True)
    for channel, volume in study.channels.items():
        write_nifti(folder / name / f"{name}-{channel}.nii.gz", volume, like=study)
    labels = np.ascontiguousarray(case.labels.permute(2, 1, 0).numpy())
    write_nifti(folder / name / f"{name}-seg.nii.gz", labels, like=study, schema=schema)
