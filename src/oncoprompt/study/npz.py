"""The images of a case of the MedSAM challenges as channels on a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import Grid
from oncoprompt.study.challenge import read_challenge
from oncoprompt.study.channels import COLOURS, GREY


def read_npz(path: Path, max_voxels: int) -> tuple[NDArray[np.generic], Grid, tuple[str, ...]]:
    """``imgs`` as "grey" (I, J, K), or in colour as "red", "green", "blue" (I, J, K, 3), and its grid.

    Raises InputError as `read_challenge` does.
    """
    case = read_challenge(path, max_voxels, images_alone=True)
    images = case.images
    coloured = images.ndim == 4
    if coloured and (images == images[..., :1]).all():
        images, coloured = images[..., 0], False
    return images.swapaxes(0, 2), case.grid, COLOURS if coloured else (GREY,)
