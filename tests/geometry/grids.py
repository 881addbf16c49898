"""Grids that scanners and archives produce: every axis order, oblique, left-handed, anisotropic."""

from itertools import permutations, product

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from oncoprompt.geometry import Grid

AXIS_ORDERS = [(order, signs) for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)]


def axis_matrix(order: tuple[int, ...], signs: tuple[float, ...]) -> NDArray[np.float64]:
    """Permutation with signs: array axis a grows along world axis order[a]."""
    matrix = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        matrix[world, axis] = sign
    return matrix


def grid_of(
    order: tuple[int, ...],
    signs: tuple[float, ...],
    shape: tuple[int, int, int] = (7, 9, 11),
    spacing: tuple[float, float, float] = (1.0, 0.8, 3.0),
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    origin: tuple[float, float, float] = (-31.5, 12.25, 7.0),
) -> Grid:
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", rotation, degrees=True).as_matrix()
    affine[:3, :3] = turned @ axis_matrix(order, signs) * np.asarray(spacing)
    affine[:3, 3] = origin
    return Grid(shape, affine)


def grids(max_size: int = 14, oblique: bool = True, min_size: int = 1) -> st.SearchStrategy[Grid]:
    """Any of the 48 axis orders (half of them left-handed), spacings from 0.3 to 6 mm, tilts up to 20 degrees."""
    size = st.integers(min_size, max_size)
    spacing = st.floats(0.3, 6.0)
    angle = st.one_of(st.just(0.0), st.floats(-20.0, 20.0)) if oblique else st.just(0.0)
    offset = st.floats(-300.0, 300.0)
    return st.builds(
        lambda axes, *rest: grid_of(*axes, *rest),
        st.sampled_from(AXIS_ORDERS),
        st.tuples(size, size, size),
        st.tuples(spacing, spacing, spacing),
        st.tuples(angle, angle, angle),
        st.tuples(offset, offset, offset),
    )
