"""Lattices: interpolation axis by axis is the trilinear interpolation of torch, on any grid and at its edges."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oncoprompt.synthesis.fields import BOX_MM, box_points, sample
from oncoprompt.synthesis.lattice import Lattice, Planes

# reaches beyond the head box on every side
AXIS = st.lists(st.floats(-120, 120, width=32), min_size=1, max_size=5).map(lambda values: torch.tensor(values))
LATTICES = st.builds(Lattice, AXIS, AXIS, AXIS)
SHAPES = st.tuples(*[st.integers(2, 7)] * 3)


def noise(shape: tuple[int, int, int], channels: int = 2) -> Tensor:
    return torch.randn((channels, *shape), generator=torch.Generator().manual_seed(sum(shape)))


@settings(max_examples=60)
@given(LATTICES, SHAPES)
def test_a_field_of_voxels_is_interpolated_as_grid_sample_does(lattice: Lattice, shape: tuple[int, int, int]) -> None:
    field = noise(shape)
    torch.testing.assert_close(lattice.spread(field), sample(field, lattice.points()), atol=1e-4, rtol=0)


@settings(max_examples=60)
@given(LATTICES, SHAPES)
def test_knots_reach_from_wall_to_wall(lattice: Lattice, shape: tuple[int, int, int]) -> None:
    knots = noise(shape)
    where = lattice.points() / torch.tensor([extent / 2 for extent in BOX_MM])
    expected = F.grid_sample(knots[None], where[None], padding_mode="border", align_corners=True)[0]
    spread = Planes.of_knots(knots, lattice).rows(slice(None))
    torch.testing.assert_close(spread, expected, atol=1e-4, rtol=0)


@settings(max_examples=40)
@given(LATTICES, SHAPES, st.data())
def test_a_slab_of_planes_is_a_part_of_all_of_them(
    lattice: Lattice, shape: tuple[int, int, int], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(lattice.z)))
    rows = slice(first, data.draw(st.integers(first, len(lattice.z))))
    for planes in (Planes.of_field(noise(shape), lattice), Planes.of_knots(noise(shape), lattice)):
        torch.testing.assert_close(planes.rows(rows), planes.rows(slice(None))[:, rows], atol=1e-5, rtol=0)


@settings(max_examples=40)
@given(LATTICES, st.data())
def test_a_part_of_a_lattice_has_a_part_of_its_points(lattice: Lattice, data: st.DataObject) -> None:
    ranges = []
    for size in lattice.shape:
        first = data.draw(st.integers(0, size))
        ranges.append(slice(first, data.draw(st.integers(first, size))))
    k, j, i = ranges
    part = lattice.part(k, j, i)
    assert part.shape == (k.stop - k.start, j.stop - j.start, i.stop - i.start)
    assert torch.equal(part.points(), lattice.points()[k, j, i])
    assert part.spread(noise((3, 4, 5))).shape == (2, *part.shape)


@given(LATTICES)
@settings(max_examples=20)
def test_a_lattice_is_found_again_in_its_points(lattice: Lattice) -> None:
    found = Lattice.of_points(lattice.points())
    for axis in ("x", "y", "z"):
        assert torch.equal(getattr(found, axis), getattr(lattice, axis))


@pytest.mark.parametrize("spacing", [16.0, 8.0])
def test_a_field_on_its_own_voxel_centres_is_itself(spacing: float) -> None:
    points = box_points(spacing, torch.device("cpu"))
    field = noise(tuple(points.shape[:3]))
    torch.testing.assert_close(Lattice.of_points(points).spread(field), field, atol=1e-5, rtol=0)
