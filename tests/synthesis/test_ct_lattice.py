"""Lattices and shapes: values between nodes, blocks, volumes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.synthesis.ct.lattice import Lattice, Region, sampled
from oncoprompt.synthesis.ct.shapes import ellipsoid, tube, union, with_volume

CPU = torch.device("cpu")


@settings(max_examples=40)
@given(
    origin=st.tuples(*[st.floats(-20, 20)] * 3),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 6)] * 3),
    slope=st.tuples(*[st.floats(-2, 2)] * 3),
)
def test_a_linear_function_is_exact_between_the_nodes_of_a_lattice(
    origin: tuple[float, float, float],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    slope: tuple[float, float, float],
) -> None:
    nodes = Region.spanning((-15, -12, -9), (14, 17, 11), 4.0)
    weights = torch.tensor(slope).view(3, 1, 1, 1)
    lattice = Lattice((nodes.points(CPU) * weights).sum(0), nodes)
    region = Region(origin, shape, spacing)
    found = lattice.on(region)
    points = region.points(CPU)
    low, high = (torch.tensor(corner).view(3, 1, 1, 1) for corner in lattice.bounds)
    # within rounding of a border a point may be counted in or out
    perhaps, surely = (((points >= low - slack) & (points <= high + slack)).all(0) for slack in (1e-4, -1e-4))
    if found is None:
        assert not bool(surely.any())
        return
    block, values = found
    covered = torch.zeros(shape, dtype=torch.bool)
    covered[block] = True
    assert not bool((surely & ~covered).any())
    assert not bool((covered & ~perhaps).any())
    assert torch.allclose(values, (points * weights).sum(0)[block], atol=1e-3)
    at = sampled([lattice], points[:, covered].T)[0]
    assert torch.allclose(at, values.flatten(), atol=1e-3)


def test_trimming_keeps_every_level_that_is_painted() -> None:
    nodes = Region.spanning((-40, -40, -40), (40, 40, 40), 2.0)
    lattice = Lattice(ellipsoid(nodes.points(CPU), (5, -4, 8), (12, 9, 7)), nodes)
    trimmed = lattice.trimmed()
    assert trimmed.values.numel() < 0.2 * lattice.values.numel()
    assert trimmed.volume_ml() == lattice.volume_ml() == pytest.approx(4 / 3 * math.pi * 12 * 9 * 7 / 1000, rel=0.06)


def test_the_level_of_a_tube_is_the_distance_to_its_surface() -> None:
    level = tube([(torch.tensor([[0.0, 0, 0], [40.0, 0, 0]]), [6.0, 6.0])], 1.0, margin_mm=4.0)
    at = torch.tensor([[20.0, 0, 0], [20.0, 6, 0], [20.0, 0, -3], [-6.0, 0, 0], [20.0, 9, 0]])
    assert sampled([level], at)[0].tolist() == pytest.approx([6, 0, 3, 0, -3], abs=0.05)


def test_a_union_is_never_smaller_than_its_parts_and_equals_them_apart() -> None:
    one, two = torch.tensor([1.0, 5.0, -9.0]), torch.tensor([1.0, -8.0, -1.0])
    joined = union(one, two, 4.0)
    assert joined.tolist() == pytest.approx([2.0, 5.0, -1.0])


@pytest.mark.parametrize("target_ml", [1.0, 5.0, 12.0])
def test_a_shape_is_shifted_to_its_target_volume_inside_what_is_allowed(target_ml: float) -> None:
    nodes = Region.spanning((-30, -30, -30), (30, 30, 30), 1.5)
    points = nodes.points(CPU)
    allowed = points[0]
    level = with_volume(ellipsoid(points, (0, 0, 0), (14, 14, 14)), allowed, target_ml, 1.5)
    assert Lattice(level, nodes).volume_ml() == pytest.approx(target_ml, rel=0.02)
    assert not bool((level[allowed <= 0] > 0).any())
