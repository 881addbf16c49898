"""Small label maps on disk: two cubes of enhancing tumour, of which a prediction finds both, one or none."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import Grid
from oncoprompt.study import write_nifti

GRID = Grid((20, 16, 12), np.diag([-1.0, 1.0, 2.0, 1.0]))
LARGE, SMALL = (slice(2, 8), slice(2, 8), slice(2, 7)), (slice(12, 16), slice(8, 13), slice(3, 7))


def labels(*cubes: tuple[slice, slice, slice], value: int = 3) -> NDArray[np.uint8]:
    """Label map (20, 16, 12) with these cubes."""
    made = np.zeros(GRID.shape, np.uint8)
    for cube in cubes:
        made[cube] = value
    return made


BOTH, ONE, NONE = labels(LARGE, SMALL), labels(LARGE), labels()


def write(folder: Path, grid: Grid = GRID, schema: str | None = None, **cases: NDArray[np.generic]) -> Path:
    """A folder with `<case>-seg.nii.gz` of each case."""
    folder.mkdir(parents=True, exist_ok=True)
    for case, made in cases.items():
        write_nifti(folder / f"{case}-seg.nii.gz", made, grid, schema)
    return folder
