"""Velocity fields: identity at first, invertible, fitted to what is healthy, kept on disk."""

import itertools
from dataclasses import replace

import pytest
import torch

from mixing.heads import CPU, LESION_MM, ball, determinant, moved, random_field, texture_head
from oncoprompt.errors import InputError
from oncoprompt.mixing.anchor import Anchor, agreement
from oncoprompt.mixing.velocity_field import (
    VELOCITY_SPACING_MM,
    FitSettings,
    VelocityField,
    VelocityNetwork,
    fit_velocity_field,
    flow_displacement,
)
from oncoprompt.synthesis.case_folder import read_cases
from oncoprompt.synthesis.fields import box_points, box_shape, sample

SETTINGS = FitSettings(iterations=40, windows=64)


@pytest.fixture(scope="module")
def heads() -> tuple[Anchor, Anchor]:
    return texture_head("a"), texture_head("b", seed=1)


@pytest.fixture(scope="module")
def fitted(heads) -> VelocityField:
    return fit_velocity_field(*heads, SETTINGS)


def test_a_field_is_the_identity_before_it_is_fitted():
    network = VelocityNetwork(torch.Generator().manual_seed(0))
    velocity = network(box_points(VELOCITY_SPACING_MM, CPU)).permute(3, 0, 1, 2).detach()
    assert float(flow_displacement(velocity).abs().max()) < 1e-6


def test_the_flow_backwards_undoes_the_flow_forwards_to_a_fifth_of_a_voxel():
    field = random_field(1)
    points = box_points(4.0, CPU)
    there = moved(points, field.displacement())
    error = (moved(there, field.displacement(-1.0)) - points).norm(dim=-1)[4:-4, 4:-4, 4:-4]
    assert float((there - points).norm(dim=-1).mean()) > 3.0
    assert float(error.mean()) < 0.2


def test_half_the_time_twice_is_the_whole_way():
    field = random_field(2)
    points = box_points(8.0, CPU)
    half = field.displacement(0.5)
    error = (moved(moved(points, half), half) - moved(points, field.displacement())).norm(dim=-1)[2:-2, 2:-2, 2:-2]
    assert float(error.mean()) < 0.1


def test_a_fit_brings_images_and_tissues_together_without_folds(heads, fitted):
    before, after = agreement(*heads), agreement(*heads, fitted.displacement())
    assert 1 - after.correlation < 0.2 * (1 - before.correlation)
    assert after.tissue_dice[1] > before.tissue_dice[1] + 0.08
    assert 1 - after.tissue_dice[0] < 0.6 * (1 - before.tissue_dice[0])
    assert float(determinant(fitted.displacement()).min()) > 0.1
    true = random_field(1).displacement()
    brain = heads[1].tissues[0] > 0.5
    points = box_points(3.0, CPU)
    error = (sample(fitted.displacement() - true, points)).norm(dim=0)[brain].mean()
    assert float(error) < 0.5 * float(sample(true, points).norm(dim=0)[brain].mean())


def test_a_large_lesion_is_not_squeezed_onto_a_small_one():
    large, small = texture_head("large", lesion_radius_mm=20.0), texture_head("small", lesion_radius_mm=10.0)
    blind = [replace(head, healthy=torch.ones_like(head.healthy)) for head in (large, small)]
    volumes = []
    for source, target in ((large, small), blind):
        displacement = fit_velocity_field(source, target, replace(SETTINGS, iterations=30)).displacement()
        pulled = ball(moved(box_points(3.0, CPU), displacement), LESION_MM, 20.0)
        volumes.append(float(pulled.sum() / ball(box_points(3.0, CPU), LESION_MM, 20.0).sum()))
    assert volumes[0] == pytest.approx(1.0, abs=0.08)
    assert volumes[1] < volumes[0] - 0.15


@pytest.mark.slow
def test_a_fit_brings_two_real_heads_together(real_data):
    first, second = (
        Anchor.of_case(case) for case in itertools.islice(read_cases(real_data / "brats2021", "brats2021"), 2)
    )
    field = fit_velocity_field(first, second, FitSettings(iterations=60))
    before, after = agreement(first, second), agreement(first, second, field.displacement())
    assert after.correlation > before.correlation + 0.1
    assert after.tissue_dice[0] >= before.tissue_dice[0]
    assert float(determinant(field.displacement()).min()) > 0.1


def test_the_same_seed_gives_the_same_bytes(heads, tmp_path):
    for name in ("first", "second"):
        fit_velocity_field(*heads, FitSettings(iterations=3, windows=16, seed=5)).save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    fit_velocity_field(*heads, FitSettings(iterations=3, windows=16, seed=6)).save(tmp_path / "other")
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()


def test_a_field_comes_back_from_disk_as_it_was_and_is_small(fitted, tmp_path):
    fitted.save(tmp_path / "field.safetensors")
    read = VelocityField.load(tmp_path / "field.safetensors")
    assert (read.source, read.target, read.iterations) == ("a", "b", 40)
    assert torch.equal(read.velocity, fitted.velocity)
    assert (tmp_path / "field.safetensors").stat().st_size < 110_000
    assert [path.name for path in tmp_path.iterdir()] == ["field.safetensors"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda field: b"nothing of the kind",
        lambda field: replace(field, velocity=field.velocity[:, :4]),
        lambda field: replace(field, velocity=torch.full((3, *box_shape(8.0)), float("nan")).half()),
    ],
)
def test_a_damaged_file_is_refused(damage, tmp_path):
    path = tmp_path / "field.safetensors"
    damaged = damage(random_field(1))
    path.write_bytes(damaged) if isinstance(damaged, bytes) else damaged.save(path)
    with pytest.raises(InputError, match=r"field\.safetensors"):
        VelocityField.load(path)


def test_heads_without_a_channel_in_common_or_with_other_tissues_are_refused(heads):
    with pytest.raises(InputError, match="no channel in common"):
        fit_velocity_field(heads[0], replace(heads[1], channels=("t1c", "t2f")), SETTINGS)
    with pytest.raises(InputError, match="tissues"):
        fit_velocity_field(heads[0], replace(heads[1], tissues=heads[1].tissues[:1]), SETTINGS)


def test_only_the_channels_in_common_are_compared(heads):
    swapped = replace(heads[0], channels=("t2w", "t1c"), images=heads[0].images.flip(0))
    own, other = swapped.shared(heads[0])
    assert torch.equal(own, other)
    assert own.shape[0] == 1
