"""Heads whose correspondence is known: one texture in an ellipsoid, seen through random flows."""

import torch
from torch import Tensor

from oncoprompt.mixing.anchor import SPACING_MM, Anchor
from oncoprompt.mixing.velocity_field import VELOCITY_SPACING_MM, VelocityField, flow_displacement
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import box_field, box_points, jacobian_determinant, sample

CPU = torch.device("cpu")
LESION_MM = (20.0, 10.0, 10.0)
TEXTURE = box_field(14.0, SPACING_MM, torch.Generator().manual_seed(1000))


def random_field(seed: int, amplitude_mm: float = 5.0, source: str = "a", knot_mm: float = 32.0) -> VelocityField:
    noise = box_field(knot_mm, VELOCITY_SPACING_MM, torch.Generator().manual_seed(seed), 3)
    return VelocityField(source, f"b{seed}", (noise * amplitude_mm).half())


def moved(points_mm: Tensor, displacement_mm: Tensor) -> Tensor:
    return points_mm + sample(displacement_mm, points_mm).permute(1, 2, 3, 0)


def determinant(displacement_mm: Tensor) -> Tensor:
    return jacobian_determinant(moved(box_points(4.0, CPU), displacement_mm), 4.0)


def ball(points_mm: Tensor, centre_mm: tuple[float, float, float], radius_mm: float) -> Tensor:
    return (points_mm - torch.tensor(centre_mm)).norm(dim=-1) < radius_mm


def texture_head(name: str, seed: int | None = None, lesion_radius_mm: float = 0.0) -> Anchor:
    """The head seen through the flow of `random_field(seed)`; a lesion is bright, around LESION_MM."""
    points = box_points(SPACING_MM, CPU)
    where = points if seed is None else moved(points, flow_displacement(random_field(seed).velocity.float()))
    depth = 1 - (where / torch.tensor([66.0, 82.0, 66.0])).norm(dim=-1)
    brain = (depth * 20 + 0.5).clamp(0, 1)
    grain = sample(TEXTURE, where)[0]
    tissues = torch.stack([brain, brain * (grain * 4 + 0.5).clamp(0, 1)])
    images = torch.stack([grain, -grain]) * brain
    healthy = torch.ones_like(brain)
    if lesion_radius_mm:
        images[:, ball(points, LESION_MM, lesion_radius_mm)] = 4.0
        healthy[ball(points, LESION_MM, lesion_radius_mm + 6.0)] = 0.0
    return Anchor(name, ("t1n", "t2w"), images, tissues, healthy)


def ball_case(name: str = "a", radius_mm: float = 18.0) -> LabelledCase:
    """A head at 1 mm with one channel and a ball of oedema around enhancing tumour."""
    points = box_points(1.0, CPU)
    brain = (points / torch.tensor([66.0, 82.0, 66.0])).norm(dim=-1) < 1
    labels = ball(points, LESION_MM, radius_mm).to(torch.uint8) * 2
    labels[ball(points, LESION_MM, radius_mm / 2)] = 3
    images = (points[None, ..., 0] + 200.0) * brain
    return LabelledCase(name, ("t1c",), images, labels, brain)
