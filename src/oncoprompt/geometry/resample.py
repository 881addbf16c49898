"""Resampling of arrays from one grid to another, with anti-aliasing where the target is coarser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from oncoprompt.errors import InputError
from oncoprompt.geometry.grid import Grid

if TYPE_CHECKING:
    import torch

ANTI_ALIAS_ABOVE = 1.3
"""Target step over source step from which linear interpolation averages over the step."""

PARALLEL_WITHIN = 1e-3
"""Drift in source voxels over the whole target up to which grids count as parallel: rounding of headers."""

_POINTS_A_CHUNK = 1 << 21


def resample(array: NDArray[Any], source: Grid, target: Grid, order: int = 1, fill: float = 0.0) -> NDArray[Any]:
    """Values of `array` (I, J, K) on `source` at the voxel centres of `target`.

    Order 1 is linear and returns float32; per axis, steps larger than `ANTI_ALIAS_ABOVE` source voxels are averaged
    with a triangle (parallel axes) or a Gaussian of the same variance (oblique axes). Order 0 is nearest neighbour and
    keeps the type. Points further than half a voxel outside the scan become `fill`. The result never shares memory with
    `array`, whose values must be finite for order 1. Raises InputError where `array` does not fit `source`.
    """
    if array.shape != source.shape:
        raise InputError(f"The array has shape {array.shape} but its grid has {source.shape}.")
    if order not in (0, 1):
        raise InputError(f"The order of interpolation must be 0 (nearest) or 1 (linear); found {order}.")
    matrix = np.linalg.inv(source.affine) @ target.affine
    steps = _parallel_axes(matrix, target)
    if steps is None:
        return _oblique(array, matrix, target, order, fill)
    axes = [
        _AxisMap(step.coordinates(matrix, target), abs(float(matrix[a, step.target_axis])), array.shape[a])
        for a, step in enumerate(steps)
    ]
    result = _nearest(array, axes) if order == 0 else _linear(array, axes)
    result = _with_fill(result, [axis.inside for axis in axes], fill)
    # Result axes follow the source; the target's axis t is the source's axis that maps to it.
    return np.ascontiguousarray(result.transpose(np.argsort([step.target_axis for step in steps])))


@dataclass(frozen=True)
class _Parallel:
    """A source axis that runs along one target axis."""

    source_axis: int
    target_axis: int

    def coordinates(self, matrix: NDArray[np.float64], target: Grid) -> NDArray[np.float64]:
        index = np.arange(target.shape[self.target_axis], dtype=np.float64)
        return np.asarray(matrix[self.source_axis, self.target_axis] * index + matrix[self.source_axis, 3])


def _parallel_axes(matrix: NDArray[np.float64], target: Grid) -> list[_Parallel] | None:
    """The target axis each source axis runs along, or None where the grids are oblique to one another."""
    main = np.argmax(np.abs(matrix[:3, :3]), axis=1)
    if sorted(main.tolist()) != [0, 1, 2]:
        return None
    rest = np.abs(matrix[:3, :3]).copy()
    rest[np.arange(3), main] = 0.0
    if np.any(rest @ np.asarray(target.shape, dtype=np.float64) > PARALLEL_WITHIN):
        return None
    return [_Parallel(axis, int(main[axis])) for axis in range(3)]


@dataclass(frozen=True)
class _AxisMap:
    """Continuous source coordinates of the target's steps along one source axis."""

    coordinates: NDArray[np.float64]
    step: float
    size: int

    @property
    def inside(self) -> NDArray[np.bool_]:
        return np.asarray((self.coordinates >= -0.5 - 1e-6) & (self.coordinates <= self.size - 0.5 + 1e-6))

    def nearest(self) -> NDArray[np.intp]:
        return np.clip(np.floor(self.coordinates + 0.5 + 1e-6), 0, self.size - 1).astype(np.intp)

    def weights(self) -> tuple[NDArray[np.float32], int, int]:
        """Triangle weights (T, S) over source voxels first to last, normalised at the borders."""
        width = self.step if self.step > ANTI_ALIAS_ABOVE else 1.0
        centres = np.clip(self.coordinates, 0, self.size - 1)
        # Coordinates within rounding of a voxel centre are that voxel: flips and crops stay exact.
        near = np.round(centres)
        centres = np.where(np.abs(centres - near) < 1e-6, near, centres)
        first = max(0, int(np.floor(centres.min() - width)))
        last = min(self.size, int(np.ceil(centres.max() + width)) + 1)
        weights = np.maximum(0.0, 1.0 - np.abs(np.arange(first, last)[None] - centres[:, None]) / width)
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), first, last


def _nearest(array: NDArray[Any], axes: list[_AxisMap]) -> NDArray[Any]:
    return array[np.ix_(*(axis.nearest() for axis in axes))]


def _linear(array: NDArray[Any], axes: list[_AxisMap]) -> NDArray[Any]:
    """Three small matrix products, the axis that shrinks most first."""
    # Imported where it is used: reading a study and refusing a bad option must not wait for torch.
    import torch

    weights, firsts, lasts = zip(*(axis.weights() for axis in axes), strict=True)
    crop = tuple(slice(first, last) for first, last in zip(firsts, lasts, strict=True))
    result = torch.from_numpy(np.array(array[crop], dtype=np.float32, order="C"))
    for axis in sorted(range(3), key=lambda a: weights[a].shape[0] / weights[a].shape[1]):
        result = _apply(torch.from_numpy(weights[axis]), result, axis)
    return np.asarray(result.numpy())


def _apply(weights: torch.Tensor, values: torch.Tensor, axis: int) -> torch.Tensor:
    import torch

    size, columns = weights.shape
    if size == columns and torch.equal(weights, torch.eye(size)):
        return values
    if size == columns and torch.equal(weights, torch.eye(size).flip(0)):
        return values.flip(axis)
    if axis == 0:
        return (weights @ values.reshape(columns, -1)).reshape(size, *values.shape[1:])
    if axis == 2:
        return values @ weights.T
    return torch.matmul(weights, values)


def _with_fill(values: NDArray[Any], inside: list[NDArray[np.bool_]], fill: float) -> NDArray[Any]:
    for axis, keep in enumerate(inside):
        if not keep.all():
            np.moveaxis(values, axis, 0)[~keep] = fill
    return values


def _oblique(array: NDArray[Any], matrix: NDArray[np.float64], target: Grid, order: int, fill: float) -> NDArray[Any]:
    """General affine case, in chunks along the first target axis."""
    volume = array if order == 0 else _smoothed(array, matrix)
    result = np.empty(target.shape, dtype=volume.dtype)
    sizes = np.asarray(array.shape, dtype=np.float64)
    rows = max(1, _POINTS_A_CHUNK // (target.shape[1] * target.shape[2]))
    j, k = (np.arange(target.shape[axis], dtype=np.float64) for axis in (1, 2))
    plane = matrix[:3, 1] * j[:, None, None] + matrix[:3, 2] * k[None, :, None] + matrix[:3, 3]
    for start in range(0, target.shape[0], rows):
        i = np.arange(start, min(start + rows, target.shape[0]), dtype=np.float64)
        points = plane[None] + matrix[:3, 0] * i[:, None, None, None]
        values = _gather(volume, points) if order == 0 else _sample(volume, points)
        inside = np.all((points >= -0.5 - 1e-6) & (points <= sizes - 0.5 + 1e-6), axis=-1)
        values[~inside] = fill
        result[start : start + len(i)] = values
    return result


def _smoothed(array: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[Any]:
    volume = np.array(array, dtype=np.float32, order="C")
    for axis, step in enumerate(np.linalg.norm(matrix[:3, :3], axis=1)):
        if step > ANTI_ALIAS_ABOVE and volume.shape[axis] > 1:
            # A triangle of half width s has variance s^2 / 6; linear interpolation itself brings 1 / 6.
            sigma = float(np.sqrt((step**2 - 1.0) / 6.0))
            volume = gaussian_filter1d(volume, sigma, axis=axis, mode="nearest", truncate=3.0)
    return volume


def _gather(volume: NDArray[Any], points: NDArray[np.float64]) -> NDArray[Any]:
    index = np.floor(points + 0.5 + 1e-6).astype(np.intp)
    i, j, k = (np.clip(index[..., axis], 0, volume.shape[axis] - 1) for axis in range(3))
    return volume[i, j, k]


def _sample(volume: NDArray[Any], points: NDArray[np.float64]) -> NDArray[Any]:
    import torch
    from torch.nn.functional import grid_sample

    scale = 2.0 / np.maximum(np.asarray(volume.shape, dtype=np.float64) - 1.0, 1.0)
    normalised = torch.from_numpy((points * scale - 1.0)[..., ::-1].astype(np.float32))
    values = torch.from_numpy(volume)[None, None]
    sampled = grid_sample(values, normalised[None], mode="bilinear", padding_mode="border", align_corners=True)
    return np.asarray(sampled[0, 0].numpy())
