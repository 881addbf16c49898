"""The voxel grid of a scan: shape and affine in RAS+ millimetres."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import ArrayLike, NDArray

from oncoprompt.errors import InputError

SAME_VOXEL = 0.01
"""Voxels of two grids that lie no further apart, in voxels, are one: files round what they store."""

MAX_SHEAR_DEGREES = 0.1
"""Axes may leave the right angle by this much: rounding in headers, not shear."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and affine of a scan; voxel (i, j, k) has its centre at `affine @ (i, j, k, 1)` in RAS+ millimetres.

    Raises InputError where the shape is not three positive integers or the affine is not finite, is degenerate, or has
    axes further than `MAX_SHEAR_DEGREES` from the right angle.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _checked_shape(self.shape))
        object.__setattr__(self, "affine", _checked_affine(self.affine))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.shape == other.shape and bool(np.array_equal(self.affine, other.affine))

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each array axis, in millimetres."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres: |det(affine)| / 1000."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def axis_codes(self) -> tuple[str, str, str]:
        """Anatomical direction in which each array axis grows, for example ("L", "P", "S")."""
        i, j, k = aff2axcodes(self.affine)
        return str(i), str(j), str(k)

    def to_world(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """World millimetres (N, 3) of continuous voxel coordinates (N, 3); integers are voxel centres."""
        return np.asarray(np.asarray(voxels, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_voxels(self, world_mm: ArrayLike) -> NDArray[np.float64]:
        """Continuous voxel coordinates (N, 3) of world millimetres (N, 3)."""
        from_origin = np.asarray(world_mm, dtype=np.float64) - self.affine[:3, 3]
        return np.asarray(from_origin @ np.linalg.inv(self.affine[:3, :3]).T)

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """World millimetres (8, 3) of the centres of the corner voxels."""
        return self.to_world(list(product(*((0, n - 1) for n in self.shape))))

    def matches(self, other: Grid, tolerance: float | None = None) -> bool:
        """Whether both grids are one: one shape, and no two voxels further apart than a hundredth of a voxel.

        With `tolerance` (mm), voxels may lie so far apart.
        """
        if self.shape != other.shape:
            return False
        most = SAME_VOXEL * min(*self.spacing_mm, *other.spacing_mm) if tolerance is None else tolerance
        return self.distance_mm(other) <= most

    def distance_mm(self, other: Grid) -> float:
        """The largest distance between voxels of the same indices, which two of the corners have."""
        return float(np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max())

    def difference(self, other: Grid) -> str:
        """What another grid has different, and what would bring the two together, for messages."""
        if self.canonical().matches(other.canonical()):
            return (
                f"they hold the same voxels in another order (axes {''.join(self.axis_codes)} and "
                f"{''.join(other.axis_codes)}). Reorient one of them"
            )
        if self.shape != other.shape:
            return f"they have shapes {self.shape} and {other.shape}. Resample one onto the other"
        far = self.distance_mm(other)
        told = f"their voxels differ by up to {far:.4g} mm ({far / min(self.spacing_mm):.3g} voxels)"
        turned = np.abs(self.affine[:3, :3] - other.affine[:3, :3]).max() * max(self.shape)
        if turned < SAME_VOXEL * min(self.spacing_mm):
            shift = ", ".join(f"{x:.4g}" for x in other.affine[:3, 3] - self.affine[:3, 3])
            told = f"{told}, a shift by {shift} mm"
        return f"{told}. Register or resample one onto the other"

    def part(self, bounds: ArrayLike) -> Grid:
        """The voxels within half-open bounds (3, 2), which may reach beyond the grid, as a grid of their own."""
        low, high = np.asarray(bounds).T
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(low)
        i, j, k = (high - low).tolist()
        return Grid((i, j, k), affine)

    def reach(self, others: Sequence[Grid], before: int = 0, after: int = 1) -> NDArray[np.int64]:
        """Half-open bounds (3, 2) of the voxels that other grids reach, and so many more at either end; at least one.

        Bounds end where the grid does.
        """
        ends = [other.to_world(list(product(*((-0.5, n - 0.5) for n in other.shape)))) for other in others]
        corners = self.to_voxels(np.concatenate(ends))
        sizes = np.asarray(self.shape)
        low = np.clip(np.floor(corners.min(axis=0)).astype(np.int64) - before, 0, sizes - 1)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(np.int64) + after, low + 1, sizes)
        return np.stack([low, high], axis=1)

    def canonical(self) -> Grid:
        """The same voxels with axes permuted and flipped so that they lie closest to R, A, S."""
        orientation = io_orientation(self.affine)
        i, j, k = (self.shape[int(axis)] for axis in np.argsort(orientation[:, 0]))
        return Grid((i, j, k), self.affine @ inv_ornt_aff(orientation, self.shape))


def reordered(array: NDArray[np.generic], grid: Grid, target: Grid) -> NDArray[np.generic] | None:
    """An array (I, J, K, ...) on `grid` as `target` stores the same voxels, axes permuted and flipped.

    None where the two hold other voxels; nothing is interpolated.
    """
    if grid.matches(target):
        return array
    if not grid.canonical().matches(target.canonical()):
        return None
    change = ornt_transform(io_orientation(grid.affine), io_orientation(target.affine))
    return np.ascontiguousarray(apply_orientation(array, change))


def roi_grid(grid: Grid, box_voxels: ArrayLike, spacing_mm: ArrayLike, multiple: ArrayLike = 8) -> Grid:
    """Grid along the canonical axes of `grid` that covers a half-open voxel box (3, 2) on it.

    It is centred on the box; each dimension is the side of the box over `spacing_mm`, rounded up to a multiple of
    `multiple`. Both are one number or one for each canonical axis (R, A, S). The box may reach beyond the scan. Raises
    InputError for an inverted box or a spacing of zero or less.
    """
    box = np.asarray(box_voxels, dtype=np.float64)
    if box.shape != (3, 2) or not np.all(np.isfinite(box)) or np.any(box[:, 1] <= box[:, 0]):
        raise InputError(
            f"A region of interest needs a box [[i0, i1], [j0, j1], [k0, k1]] with i0 < i1; found {box.tolist()}."
        )
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), 3)
    multiples = np.broadcast_to(np.asarray(multiple), 3)
    if not (np.all(np.isfinite(spacing)) and np.all(spacing > 0)) or np.any(multiples < 1):
        raise InputError(
            f"Spacing and multiple must be positive; found {spacing.tolist()} mm and {multiples.tolist()}."
        )
    order = np.argsort(io_orientation(grid.affine)[:, 0])
    length_mm = ((box[:, 1] - box[:, 0]) * np.asarray(grid.spacing_mm))[order]
    # The small slack keeps 96.0000001 / 8 from becoming 13 blocks.
    blocks = np.maximum(1, np.ceil(length_mm / spacing / multiples - 1e-6)).astype(int)
    shape = blocks * multiples
    columns = grid.canonical().affine[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = columns / np.linalg.norm(columns, axis=0) * spacing
    affine[:3, 3] = grid.to_world(box.mean(axis=1) - 0.5) - affine[:3, :3] @ ((shape - 1) / 2.0)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _checked_shape(shape: object) -> tuple[int, int, int]:
    try:
        sizes = [operator.index(size) for size in shape]  # type: ignore[attr-defined]
    except TypeError:
        sizes = []
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError(f"A grid needs a shape of three positive integers; found {shape!r}.")
    return sizes[0], sizes[1], sizes[2]


def _checked_affine(affine: ArrayLike) -> NDArray[np.float64]:
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.all(np.abs(matrix) < 1e12):
        raise InputError(
            f"The affine must be 4x4 with finite, sensible numbers; found {matrix.tolist()}. Repair the header."
        )
    if not np.allclose(matrix[3], (0.0, 0.0, 0.0, 1.0)):
        raise InputError(f"The last row of the affine must be 0 0 0 1; found {matrix[3].tolist()}.")
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if (
        spacing.min() <= 1e-6
        or spacing.max() > 1e4
        or abs(np.linalg.det(matrix[:3, :3] / np.maximum(spacing, 1e-12))) < 1e-3
    ):
        raise InputError(
            f"The affine is degenerate (voxel spacing {spacing.tolist()} mm): voxels need a size and a volume. "
            "Repair the orientation in the header."
        )
    directions = matrix[:3, :3] / spacing
    worst = max(abs(90.0 - _angle_degrees(directions[:, a], directions[:, b])) for a, b in combinations(range(3), 2))
    if worst > MAX_SHEAR_DEGREES:
        raise InputError(
            f"The axes of the scan are sheared: the worst angle is {worst:.2f} degrees from a right angle, at most "
            f"{MAX_SHEAR_DEGREES} are allowed. Resample the scan to an orthogonal grid or repair its header."
        )
    matrix.setflags(write=False)
    return matrix


def _angle_degrees(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return math.degrees(math.acos(float(np.clip(a @ b, -1.0, 1.0))))
