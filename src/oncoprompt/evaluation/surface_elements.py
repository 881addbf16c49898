"""Surfaces between voxel centres with their areas, and the Hausdorff distance weighted by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from oncoprompt.evaluation.surface import nearest_mm

Point = tuple[float, float, float]

_CORNERS = tuple(product((0, 1), repeat=3))
_BITS = tuple(128 >> corner for corner in range(8))
"""Number that each corner of a 2 x 2 x 2 neighbourhood adds to its code; 0 is outside and 255 inside."""
_FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
"""Corners of the six faces of a neighbourhood, each in circular order."""


@dataclass(frozen=True, eq=False)
class SurfaceElements:
    """Pieces of the surface of a mask: places (N, 3) among the voxel corners and areas (N,) in mm2.

    There is one in the middle of each 2 x 2 x 2 neighbourhood that is partly inside: its area is that of the polygons
    which marching cubes draws through the middles of the neighbourhood's cut edges (Lorensen 1987; Nikolov 2021 weights
    surface distances so).
    """

    places: NDArray[np.int64]
    areas_mm2: NDArray[np.float64]
    spacing_mm: tuple[float, ...]

    @classmethod
    def of(cls, mask: NDArray[np.generic], spacing_mm: Sequence[float]) -> SurfaceElements:
        """Surface of a mask (I, J, K); the edge of the scan counts as outside.

        A map of component numbers is taken as the code of the 2024 challenges takes it: each number times each corner's
        bit, modulo 256.
        """
        inside = np.pad(mask.astype(np.uint8), 1)
        codes = np.zeros(tuple(n - 1 for n in inside.shape), dtype=np.uint8)
        for (i, j, k), bit in zip(_CORNERS, _BITS, strict=True):
            corner = inside[i : i + codes.shape[0], j : j + codes.shape[1], k : k + codes.shape[2]]
            codes += corner * np.uint8(bit)
        at = np.nonzero((codes != 0) & (codes != 255))
        i_mm, j_mm, k_mm = (float(s) for s in spacing_mm)
        areas = element_areas_mm2(i_mm, j_mm, k_mm)[codes[at]]
        return cls(np.stack(at, axis=-1), areas, (i_mm, j_mm, k_mm))

    def hausdorff95_mm(self, other: SurfaceElements) -> float:
        """The larger of the two directed 95th percentiles over area; 0 where both are empty, infinite where one is."""
        if not (len(self.areas_mm2) and len(other.areas_mm2)):
            return 0.0 if len(self.areas_mm2) == len(other.areas_mm2) else float("inf")
        return max(self._directed95_mm(other), other._directed95_mm(self))

    def _directed95_mm(self, other: SurfaceElements) -> float:
        distances = nearest_mm(self.places, other.places, self.spacing_mm)
        order = np.argsort(distances)
        share = np.cumsum(self.areas_mm2[order]) / self.areas_mm2.sum()
        return float(distances[order][min(int(np.searchsorted(share, 0.95)), len(order) - 1)])


@lru_cache(maxsize=64)
def element_areas_mm2(i_mm: float, j_mm: float, k_mm: float) -> NDArray[np.float64]:
    """Area in mm2 of the surface in each of the 256 neighbourhoods, the same for a mask and for what is outside it."""
    areas = np.array([sum(_area(polygon * (i_mm, j_mm, k_mm)) for polygon in polygons) for polygons in _polygons()])
    areas.flags.writeable = False
    return areas


def _area(polygon: NDArray[np.float64]) -> float:
    """Area of a polygon (N, 3), of its largest fan of triangles where it is not flat."""
    spokes = polygon - polygon[:, None]
    triangles = np.cross(spokes, np.roll(spokes, -1, axis=1)) / 2.0
    return float(np.linalg.norm(triangles, axis=-1).sum(axis=1).max())


@lru_cache(maxsize=1)
def _polygons() -> tuple[list[NDArray[np.float64]], ...]:
    """Polygons of each neighbourhood on a grid of unit spacing; the fewer corners of the two kinds stand apart."""
    fewer = (code if code.bit_count() <= 4 else 255 - code for code in range(256))
    return tuple([np.array(loop) for loop in _loops(code)] for code in fewer)


def _loops(code: int) -> list[list[Point]]:
    """Closed polygons through the middles of the cut edges; corners inside that share a face's diagonal stay apart."""
    inside = [bool(code & bit) for bit in _BITS]
    joined: dict[Point, list[Point]] = {}
    for face in _FACES:
        for a, b in _segments(face, inside):
            joined.setdefault(a, []).append(b)
            joined.setdefault(b, []).append(a)
    loops: list[list[Point]] = []
    while joined:
        loops.append([])
        point: Point | None = next(iter(joined))
        while point is not None:
            loops[-1].append(point)
            point = next((way for way in joined.pop(point) if way in joined), None)
    return loops


def _segments(face: tuple[int, ...], inside: list[bool]) -> list[tuple[Point, Point]]:
    """Lines across one face, each between the middles of two cut edges."""
    cut = [n for n in range(4) if inside[face[n]] != inside[face[n - 1]]]
    middles = [_middle(face[n], face[n - 1]) for n in cut]
    if len(cut) == 4:
        return [(middles[n], middles[(n + 1) % 4]) for n in range(4) if inside[face[n]]]
    return [(middles[0], middles[1])] if cut else []


def _middle(a: int, b: int) -> Point:
    (ai, aj, ak), (bi, bj, bk) = _CORNERS[a], _CORNERS[b]
    return (ai + bi) / 2, (aj + bj) / 2, (ak + bk) / 2
