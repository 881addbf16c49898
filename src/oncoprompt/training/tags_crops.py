"""Cubes cut out of labelled cases as TAGS is shown them: placed, turned, scaled and mirrored in one interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import Grid
from oncoprompt.geometry.resample import resample
from oncoprompt.prompts import random_clicks
from oncoprompt.training.tags_cases import OrganCase

_SPREAD = 13.0 / 128.0
"""The crop's middle lies within this share of its side from the voxel it was drawn for: 128 out of 154 voxels."""
_TUMOUR_SHARE = 2.0 / 3.0
_TRIES = 200
_BEYOND = 4
_BODY_HU = -200.0


@dataclass(frozen=True)
class CropChange:
    """How a crop is seen: scale and turn of the anatomy, and what is done to the finished array (D, H, W).

    zoom: (R, A, S), above 1 the anatomy is larger; angle: radians about the axis of the slices; flips: along D, H, W;
    turns: quarter turns in the plane of the axes `turned`; shift: added to CT, in HU.
    """

    zoom: tuple[float, float, float] = (1.0, 1.0, 1.0)
    angle: float = 0.0
    flips: tuple[bool, bool, bool] = (False, False, False)
    turns: int = 0
    turned: tuple[int, int] = (1, 2)
    shift: float = 0.0

    @staticmethod
    def random(rng: np.random.Generator, in_plane: bool, turned: tuple[int, int]) -> CropChange:
        """As the released code draws it: `in_plane` scales and turns slices only, as it does for the pancreas."""
        shift = rng.uniform(-20.0, 20.0) if rng.random() < 0.5 else 0.0
        angle, zoom = 0.0, (1.0, 1.0, 1.0)
        if in_plane:
            angle = np.deg2rad(rng.uniform(-30.0, 30.0)) if rng.random() < 0.3 else 0.0
            if rng.random() < 0.3:
                scale = rng.uniform(0.9, 1.1)
                zoom = (scale, scale, 1.0)
        elif rng.random() < 0.8:
            zoom = (rng.uniform(0.85, 1.25),) * 3
        flips = rng.random(3) < 0.5
        turns = int(rng.integers(1, 4)) if rng.random() < 0.5 else 0
        return CropChange(
            zoom, float(angle), (bool(flips[0]), bool(flips[1]), bool(flips[2])), turns, turned, float(shift)
        )


@dataclass(frozen=True, eq=False)
class Crop:
    """A cube of a case [D, H, W]: what the network sees of a channel, and the masks of tumour and organ in 0 and 1."""

    image: NDArray[np.float32]
    tumour: NDArray[np.uint8]
    anatomy: NDArray[np.uint8]


def cut(case: OrganCase, channel: str, centre_mm: NDArray[np.float64], side: int, change: CropChange) -> Crop:
    """The cube of `side` voxels of 1 mm, along the axes of the scan closest to R, A, S, around a point of the world.

    Masks are interpolated and cut at a half, as images are; outside the scan is what the intensities fill with.
    """
    values, intensities = case.channels[channel]
    grid = crop_grid(case.grid, centre_mm, side, change)
    window, source = _around(case.grid, grid)
    raw = resample(values[window], source, grid, fill=intensities.fill)
    image = intensities.standardise(raw + change.shift if channel == "ct" else raw)
    masks = [resample(mask[window].astype(np.uint8), source, grid) > 0.5 for mask in (case.tumour, case.anatomy)]
    tumour, anatomy = (_placed(mask.astype(np.uint8), change) for mask in masks)
    return Crop(_placed(image, change), tumour, anatomy)


def crop_grid(grid: Grid, centre_mm: NDArray[np.float64], side: int, change: CropChange) -> Grid:
    """The cube on the canonical axes of a scan, turned and scaled, before it is mirrored."""
    columns = grid.canonical().affine[:3, :3]
    c, s = np.cos(change.angle), np.sin(change.angle)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = columns / np.linalg.norm(columns, axis=0) @ turn / np.asarray(change.zoom)
    affine[:3, 3] = centre_mm - affine[:3, :3] @ np.full(3, (side - 1) / 2.0)
    return Grid((side, side, side), affine)


def random_centre(case: OrganCase, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A point of the world for a crop's middle: near one of the tumour in two of three draws, else near another voxel.

    The crop then stays within the scan where the scan is large enough.
    """
    tumour = case.tumour.any() and rng.random() < _TUMOUR_SHARE
    voxel = random_clicks(case.tumour, 1, rng)[0] if tumour else _elsewhere(case, rng)
    spread = rng.uniform(-_SPREAD, _SPREAD, 3) * side
    canonical = case.grid.canonical()
    lengths = np.asarray(canonical.shape) * canonical.spacing_mm
    place = (canonical.to_voxels(case.grid.to_world(voxel[None]))[0] + 0.5) * canonical.spacing_mm + spread
    place = np.where(lengths > side, np.clip(place, side / 2, np.maximum(lengths - side / 2, side / 2)), lengths / 2)
    middle: NDArray[np.float64] = canonical.to_world((place / canonical.spacing_mm - 0.5)[None])[0]
    return middle


def tumour_centre(case: OrganCase, rng: np.random.Generator) -> NDArray[np.float64]:
    """A voxel of the tumour in world millimetres, of the scan's middle where there is none."""
    voxel = random_clicks(case.tumour, 1, rng)[0] if case.tumour.any() else (np.array(case.grid.shape) - 1) / 2
    middle: NDArray[np.float64] = case.grid.to_world(np.asarray(voxel)[None])[0]
    return middle


def _elsewhere(case: OrganCase, rng: np.random.Generator) -> NDArray[np.int64]:
    """A voxel outside the tumour, of the body if some draws hit it."""
    values, _ = next(iter(case.channels.values()))
    floor = _BODY_HU if "ct" in case.channels else float(values.min())
    draws = rng.integers(0, case.grid.shape, (_TRIES, 3))
    outside = draws[~case.tumour[tuple(draws.T)]]
    body = outside[values[tuple(outside.T)] > floor]
    return np.asarray((body if len(body) else outside if len(outside) else draws)[0])


def _around(grid: Grid, target: Grid) -> tuple[tuple[slice, slice, slice], Grid]:
    """The part of a scan that a crop needs, and its grid: smoothing the rest would be a waste."""
    bounds = grid.reach([target], _BEYOND, _BEYOND)
    i, j, k = (slice(low, high) for low, high in bounds.tolist())
    return (i, j, k), grid.part(bounds)


def _placed(array: NDArray[Any], change: CropChange) -> NDArray[Any]:
    """An array (R, A, S) as [D, H, W], mirrored and turned."""
    placed = np.flip(array.transpose(2, 1, 0), tuple(axis for axis in range(3) if change.flips[axis]))
    return np.ascontiguousarray(np.rot90(placed, change.turns, change.turned))
