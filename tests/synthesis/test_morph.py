"""Shapes as signed distances: labels come back, regions stay nested, morphs run from one shape to the other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.synthesis.morph import grown, morph, restricted, shape_labels, shape_levels


def lesion(oedema: float, ring: float, necrosis: float, centre: float = 0.0) -> torch.Tensor:
    axis = torch.arange(-20.0, 21.0)
    k, j, i = torch.meshgrid(axis, axis, axis, indexing="ij")
    radius = (k**2 + j**2 + (i - centre) ** 2).sqrt()
    labels = torch.where(radius < oedema, 2, 0)
    labels = torch.where(radius < ring, 3, labels)
    return torch.where(radius < necrosis, 1, labels).to(torch.uint8)


def test_labels_come_back_from_their_levels() -> None:
    labels = lesion(14, 9, 4)
    labels[20:24, 20:24, 20:24] = 4
    assert torch.equal(shape_labels(shape_levels(labels)), labels)


@pytest.mark.parametrize("label", [1, 2, 3, 4])
def test_labels_of_a_lesion_of_one_part_come_back(label: int) -> None:
    labels = (lesion(10, 0, 0) > 0).to(torch.uint8) * label
    assert torch.equal(shape_labels(shape_levels(labels)), labels)


def test_a_morph_starts_and_ends_at_the_two_shapes() -> None:
    one, two = lesion(14, 9, 4), lesion(9, 5, 0, centre=3.0)
    a, b = shape_levels(one), shape_levels(two)
    assert torch.equal(shape_labels(morph(a, b, 0.0)), one)
    assert torch.equal(shape_labels(morph(a, b, 1.0)), two)


def test_volumes_fall_monotonically_along_a_morph_to_a_smaller_lesion() -> None:
    a, b = shape_levels(lesion(15, 11, 5)), shape_levels(lesion(8, 4, 2, centre=2.0))
    sizes = [int((shape_labels(morph(a, b, t)) > 0).sum()) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 5


@settings(max_examples=20)
@given(
    oedema=st.floats(6, 14),
    ring=st.floats(2, 12),
    t=st.floats(0, 1),
    distance=st.floats(-2, 2),
    centre=st.floats(-4, 4),
)
def test_regions_stay_nested_however_shapes_are_grown_and_mixed(
    oedema: float, ring: float, t: float, distance: float, centre: float
) -> None:
    mixed = grown(morph(shape_levels(lesion(oedema, ring, 2)), shape_levels(lesion(12, 6, 3, centre)), t), distance)
    labels = shape_labels(mixed)
    whole, core = mixed[0] > 0, mixed[1] > 0
    assert bool((core <= whole).all())
    assert torch.equal(labels > 0, whole)
    assert torch.equal((labels == 1) | (labels == 3) | (labels == 4), core)


def test_a_grown_core_keeps_its_outermost_part_outermost() -> None:
    labels = shape_labels(grown(shape_levels(lesion(14, 9, 5)), 2.0))
    core = shape_labels(grown(shape_levels(lesion(14, 9, 5)), 0.0))
    new = ((labels == 1) | (labels == 3)) & (core == 2)
    assert set(labels[new].tolist()) == {3}


def test_a_part_the_source_lacks_falls_to_one_that_is_left() -> None:
    labels = shape_labels(restricted(shape_levels(lesion(14, 9, 5)), frozenset({3})))
    assert torch.equal(labels > 0, lesion(14, 9, 5) % 2 == 1)
    assert set(labels.unique().tolist()) == {0, 3}
