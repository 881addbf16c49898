"""Fields: deformations do not fold, and a growing sphere pushes as the theory of elasticity says."""

import pytest
import torch

from oncoprompt.synthesis import Subject
from oncoprompt.synthesis.anatomy import MAP_SPACING_MM
from oncoprompt.synthesis.fields import (
    box_points,
    box_shape,
    jacobian_determinant,
    poisson_displacement,
    random_field,
    sample,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("radius", [2, 4, 9, 12])
def test_displacement_round_a_growing_sphere_is_the_analytic_one(radius: int) -> None:
    strain, ball = 0.4, 6
    axes = torch.meshgrid(*(torch.arange(80, dtype=torch.float32) - 39.5 for _ in range(3)), indexing="ij")
    k, j, i = axes
    distance = torch.sqrt(k**2 + j**2 + i**2)
    u = poisson_displacement(strain * (distance <= ball).float(), spacing_mm=1.0)
    outward = (u[0] * i + u[1] * j + u[2] * k) / distance
    shell = (distance - radius).abs() < 0.5
    theory = strain * radius / 3 if radius <= ball else strain * ball**3 / (3 * radius**2)
    assert float(outward[shell].mean()) == pytest.approx(theory, rel=0.05)


def test_sampling_a_field_at_its_own_voxel_centres_returns_it() -> None:
    field = torch.randn((2, *box_shape(8.0)), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(sample(field, box_points(8.0, CPU)), field, atol=1e-5)


def test_box_points_run_from_right_to_left_of_the_array_in_r_a_s_order() -> None:
    points = box_points(8.0, CPU)
    assert points[0, 0, 0].tolist() == pytest.approx([-76.0, -92.0, -76.0])
    assert (points[0, 0, 1] - points[0, 0, 0]).tolist() == pytest.approx([8.0, 0.0, 0.0])
    assert (points[1, 0, 0] - points[0, 0, 0]).tolist() == pytest.approx([0.0, 0.0, 8.0])


def test_random_field_is_the_same_for_the_same_seed_and_other_for_another() -> None:
    one, two, other = (
        random_field(20, (80, 80, 80), (20, 20, 20), torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("family", ["healthy", "meningioma", "high-grade glioma"])
@pytest.mark.parametrize("seed", range(3))
def test_no_anatomy_folds_with_or_without_a_mass(seed: int, family: str) -> None:
    anatomy = Subject.random(seed, family).anatomy
    determinant = jacobian_determinant(anatomy.atlas_points.permute(1, 2, 3, 0), MAP_SPACING_MM)
    # a left-right flip turns the sign of the whole map, never of a part of it
    assert float((determinant * determinant.mean().sign()).min()) > 0
