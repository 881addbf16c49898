"""Growth: a front stays in tissue and stops at its volume, and levels can be moved to a volume."""

import pytest
import torch

from oncoprompt.synthesis.growth import grow, signed_distance, volume_shift

SHAPE = (36, 36, 36)


def ball(radius: float) -> torch.Tensor:
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) - 17.5 for n in SHAPE), indexing="ij")
    return torch.stack(axes).norm(dim=0) < radius


@pytest.mark.parametrize("target", [300.0, 3000.0])
def test_a_tumour_in_even_tissue_grows_to_its_volume_as_a_ball(target: float) -> None:
    density = grow(torch.ones(SHAPE), torch.ones(SHAPE), 0.8 * ball(2.0), target, front_mm=2.0, h=2.0)
    grown = density > 0.6
    assert target <= float(grown.sum()) <= 1.35 * target
    radius = (float(grown.sum()) * 3 / (4 * torch.pi)) ** (1 / 3)
    assert bool(grown[ball(radius - 1.5)].all())
    assert not bool(grown[~ball(radius + 1.5)].any())


def test_a_tumour_does_not_enter_what_is_not_tissue() -> None:
    tissue = torch.ones(SHAPE)
    tissue[:, :, 20:] = 0.0
    density = grow(tissue, torch.ones(SHAPE), 0.8 * ball(2.0), 1500.0, front_mm=2.0, h=2.0)
    assert float(density[:, :, 20:].max()) == 0.0
    assert float((density > 0.6).sum()) >= 1500


def test_growth_ends_where_there_is_no_room_for_its_volume() -> None:
    density = grow(ball(4.0).float(), torch.ones(SHAPE), 0.8 * ball(2.0), 1e6, front_mm=2.0, h=2.0)
    assert float((density > 0.6).sum()) == float(ball(4.0).sum())


@pytest.mark.parametrize("target", [1, 100, 5000])
def test_a_shifted_level_has_the_target_volume(target: int) -> None:
    level = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    assert int((level > volume_shift(level, target, most=9.0)).sum()) == target


def test_a_shift_is_not_more_than_allowed() -> None:
    level = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    assert volume_shift(level, 1, most=0.5) == 0.5
    assert volume_shift(level, level.numel() - 1, most=0.5) == -0.5


def test_signed_distance_is_half_a_voxel_on_both_sides_of_a_surface() -> None:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[:, :, :18] = True
    distance = signed_distance(mask, 2.0)
    assert distance[5, 5, 15:21].tolist() == pytest.approx([5.0, 3.0, 1.0, -1.0, -3.0, -5.0])
