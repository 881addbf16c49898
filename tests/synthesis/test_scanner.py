"""Scanner: every degradation does what its physics says, and nothing else."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oncoprompt.synthesis.motion import Motion, rotate
from oncoprompt.synthesis.receiver import POOL_SIZE, Bias, gaussian
from oncoprompt.synthesis.resolution import Resolution
from oncoprompt.synthesis.scanner import Scanner

ISOTROPIC = (1.0, 1.0, 1.0)
AXES = [0, 1, 2]


def acquire(scanner: Scanner, signal: Tensor, spacing: tuple[float, ...] = ISOTROPIC, seed: int = 0) -> Tensor:
    return scanner.acquire(signal, spacing, 1.0, torch.Generator().manual_seed(seed))


def head(shape: tuple[int, int, int] = (40, 44, 36)) -> Tensor:
    """A smooth textured ellipsoid on zero."""
    axes = [torch.linspace(-1.2, 1.2, n) for n in shape]
    k, j, i = torch.meshgrid(*axes, indexing="ij")
    ball = torch.sigmoid((1 - torch.sqrt(k**2 + j**2 + i**2)) * 30)
    return ball * (0.6 + 0.2 * torch.sin(9 * k) * torch.cos(7 * j) + 0.15 * torch.sin(11 * i))


def step(n: int = 96, axis: int = 0) -> Tensor:
    """0 below the middle of an axis and 1 above it."""
    shape = [6, 6, 6]
    shape[axis] = n
    line = (torch.arange(n) >= n // 2).float()
    return line.view([-1 if a == axis else 1 for a in range(3)]).expand(shape).contiguous()


def line_of(image: Tensor, axis: int) -> Tensor:
    return image.movedim(axis, 0)[:, 3, 3]


def second_moment_mm(line: Tensor, spacing: float = 1.0) -> float:
    x = torch.arange(len(line)) * spacing
    mean = (line * x).sum() / line.sum()
    return float(((line * (x - mean) ** 2).sum() / line.sum()).sqrt())


def test_scanner_without_effects_returns_the_signal_in_units_of_the_brightest_tissue() -> None:
    signal = head()
    out = Scanner().acquire(signal, ISOTROPIC, 2.0, torch.Generator().manual_seed(0))
    assert torch.allclose(out, signal / 2, atol=1e-5)


def test_the_signal_given_is_not_changed() -> None:
    signal = head()
    before = signal.clone()
    motion = Motion(0, (0.3,), ((2.0, 1.0, 0.0),))
    acquire(Scanner(noise=0.05, motion=motion, rotation_deg=(0.5, 0.5, 0.5), ghost=0.1, levels=256, cut_mm=9), signal)
    assert torch.equal(signal, before)


@pytest.mark.parametrize("axis", AXES)
def test_point_spread_has_its_width_along_every_axis(axis: int) -> None:
    signal = torch.zeros(25, 25, 25)
    signal[12, 12, 12] = 1.0
    out = acquire(Scanner(blur_mm=1.5), signal)
    others = [a for a in AXES if a != axis]
    assert second_moment_mm(out.sum(others)) == pytest.approx(1.5, rel=0.03)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("thickness", [3.0, 6.0])
def test_slices_have_a_gaussian_profile_as_wide_as_their_thickness(axis: int, thickness: float) -> None:
    matrix = Resolution(slice_mm=thickness).matrix(120, 1.0)
    # every slice centre is a voxel where the interpolation gives that slice alone
    row = matrix[matrix.amax(1).argmax()]
    fwhm = float((row > row.max() / 2).sum())
    assert fwhm == pytest.approx(thickness, abs=1.0)
    out = acquire(Scanner(slice_mm=thickness, slice_axis=axis), step(120, axis))
    assert torch.allclose(line_of(out, axis), matrix @ line_of(step(120, axis), axis), atol=1e-5)


def test_thick_slices_leave_the_other_axes_sharp() -> None:
    out = acquire(Scanner(slice_mm=6.0, slice_axis=0), step(48, 2))
    assert torch.allclose(out, step(48, 2), atol=1e-4)


@pytest.mark.parametrize("truncation", [2.0, 3.0])
def test_truncated_k_space_rings_with_twice_its_voxel_size(truncation: float) -> None:
    edge = line_of(acquire(Scanner(truncation_mm=truncation, truncation_axis=1), step(240, 1)), 1)
    beside = edge[126:186] - 1.0
    spectrum = torch.fft.rfft(beside * torch.hann_window(60), n=960).abs()
    period = 960 / float(spectrum[20:].argmax() + 20)
    assert period == pytest.approx(2 * truncation, rel=0.06)
    # Gibbs: the overshoot is 9 % of the step whatever the truncation
    assert 1.05 < float(edge.max()) < 1.12
    assert float(beside[:6].abs().max()) > 3 * float(beside[-12:].abs().max())


@pytest.mark.parametrize("axis", AXES)
def test_a_shift_moves_the_image_by_its_length(axis: int) -> None:
    shift = [0.0, 0.0, 0.0]
    shift[axis] = 0.8
    signal = torch.zeros(21, 21, 21)
    signal[10, 10, 10] = 1.0
    blurred = acquire(Scanner(blur_mm=1.2), signal)
    moved = acquire(Scanner(blur_mm=1.2, shift_mm=(shift[0], shift[1], shift[2])), signal)
    x = torch.arange(21.0)
    others = [a for a in AXES if a != axis]
    centres = [float((image.sum(others) * x).sum() / image.sum()) for image in (blurred, moved)]
    assert centres[1] - centres[0] == pytest.approx(-0.8, abs=0.02)


@pytest.mark.parametrize("spacing", [1.0, 0.4])
@pytest.mark.parametrize("axis", AXES)
def test_a_rotation_turns_a_blob_by_its_angle_about_its_axis(axis: int, spacing: float) -> None:
    n = 61
    x = (torch.arange(n) - n // 2) * spacing
    k, j, i = torch.meshgrid(x, x, x, indexing="ij")
    place = torch.tensor([0.6, -0.5, 0.4]) * n / 2 * spacing
    blob = torch.exp(-((k - place[0]) ** 2 + (j - place[1]) ** 2 + (i - place[2]) ** 2) / (2 * (2 * spacing) ** 2))
    angles = [0.0, 0.0, 0.0]
    angles[axis] = 3.0
    out = rotate(blob, angles, (spacing,) * 3)
    centre = torch.stack([(out * c).sum() / out.sum() for c in (k, j, i)])
    assert float((centre - place).norm()) > 0.5 * spacing
    turn = math.radians(3.0) * torch.linalg.cross(torch.eye(3)[axis], place)
    assert torch.allclose(centre - place, -turn, atol=0.08 * spacing)
    assert float(centre.norm()) == pytest.approx(float(place.norm()), rel=0.01)


def test_small_rotations_about_all_axes_give_the_rotated_function() -> None:
    def pattern(k: Tensor, j: Tensor, i: Tensor) -> Tensor:
        return torch.sin(0.5 * k) + torch.sin(0.4 * j - 0.3 * i) + torch.cos(0.5 * i)

    k, j, i = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in (60, 50, 70)), indexing="ij")
    angles = (0.5, -0.4, 0.3)
    w = [math.radians(a) for a in angles]
    signal = pattern(k, j, i)
    expected = pattern(k + w[1] * i - w[2] * j, j + w[2] * k - w[0] * i, i + w[0] * j - w[1] * k)
    inner = (slice(2, -2),) * 3
    error = (rotate(signal, angles, ISOTROPIC) - expected)[inner].abs()
    assert float(error.max()) < 0.06 * float((signal - expected)[inner].abs().max())


@pytest.mark.parametrize("axis", AXES)
def test_motion_keeps_the_energy_and_spreads_it_along_the_phase_encoding_axis(axis: int) -> None:
    signal = head()
    motion = Motion(axis, (0.35, 0.6), ((2.0, 1.0, 3.0), (-1.0, 2.0, 1.0)))
    out = motion.apply(signal, ISOTROPIC)
    assert float(out.square().sum()) == pytest.approx(float(signal.square().sum()), rel=1e-4)
    outside = signal < 1e-3
    assert float(out[outside].mean()) > 5 * float(signal[outside].mean())
    # ghosts need steps of k-space between lines, so they run along the axis alone
    spread = [float((out - signal).abs().movedim(a, 0)[:3].mean()) for a in AXES]
    assert spread[axis] == max(spread)


def test_motion_after_the_last_line_and_before_the_first_does_nothing() -> None:
    signal = head()
    assert torch.allclose(Motion(0, (1.0,), ((5.0, 5.0, 5.0),)).apply(signal, ISOTROPIC), signal, atol=1e-5)
    assert torch.allclose(Motion(0, (0.0,), ((5.0, 5.0, 5.0),)).apply(signal, ISOTROPIC), signal, atol=1e-5)


@pytest.mark.parametrize("time", [0.2, 0.8])
def test_the_image_stays_with_its_labels_whenever_the_head_moves(time: float) -> None:
    signal = head()
    out = Motion(1, (time,), ((4.0, 4.0, 4.0),)).apply(signal, ISOTROPIC)
    x = torch.arange(signal.shape[0], dtype=torch.float32)
    centres = [float((image.sum((1, 2)) * x).sum() / image.sum()) for image in (signal, out)]
    assert centres[0] == pytest.approx(centres[1], abs=0.5)


def test_ghost_is_a_fainter_copy_at_its_distance() -> None:
    signal = torch.zeros(30, 30, 30)
    signal[15, 10, 15] = 1.0
    out = Scanner(ghost=0.2, ghost_shift_mm=16.0, ghost_axis=1)
    image = out.acquire(signal, (1.0, 2.0, 1.0), 1.0, torch.Generator().manual_seed(0))
    assert float(image[15, 18, 15]) == pytest.approx(0.2, abs=1e-3)
    assert float(image[15, 10, 15]) == pytest.approx(1.0, abs=1e-3)


def test_spike_is_one_point_of_k_space() -> None:
    signal = torch.full((32, 32, 32), 0.5)
    out = acquire(Scanner(spike=0.1, spike_period_mm=(8.0, 16.0, 4.0)), signal) - 0.5
    spectrum = torch.fft.fftn(out).abs()
    strongest = {
        tuple(int(v) for v in np.unravel_index(int(n), (32, 32, 32))) for n in spectrum.view(-1).topk(2).indices
    }
    assert strongest == {(4, 2, 8), (28, 30, 24)}
    assert float(out.abs().max()) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("far", [False, True])
def test_a_cut_field_of_view_zeroes_a_slab_and_nothing_else(axis: int, far: bool) -> None:
    scanner = Scanner(bias=0.1, noise=0.02)
    whole = acquire(scanner, head() + 1.0, (1.0, 2.0, 1.5))
    cut = acquire(replace(scanner, cut_mm=12.0, cut_axis=axis, cut_far=far), head() + 1.0, (1.0, 2.0, 1.5))
    lost = round(12.0 / (1.0, 2.0, 1.5)[axis])
    cut, whole = cut.movedim(axis, 0), whole.movedim(axis, 0)
    missing = slice(-lost, None) if far else slice(0, lost)
    kept = slice(0, -lost) if far else slice(lost, None)
    assert float(cut[missing].abs().max()) == 0.0
    assert torch.equal(cut[kept], whole[kept])


def test_noise_is_rayleigh_in_air() -> None:
    noise = 0.05
    out = acquire(Scanner(noise=noise), torch.zeros(48, 48, 48))
    assert float(out.mean()) == pytest.approx(noise * math.sqrt(math.pi / 2), rel=0.01)
    assert float(out.std()) == pytest.approx(noise * math.sqrt(2 - math.pi / 2), rel=0.01)


def test_noise_is_gaussian_in_bright_tissue() -> None:
    noise = 0.05
    residual = acquire(Scanner(noise=noise), torch.ones(48, 48, 48)) - math.sqrt(1 + noise**2)
    assert float(residual.std()) == pytest.approx(noise, rel=0.01)
    assert float(residual.mean()) == pytest.approx(0.0, abs=1e-3)
    standard = residual / residual.std()
    assert float((standard**3).mean()) == pytest.approx(0.0, abs=0.06)
    assert float((standard**4).mean()) == pytest.approx(3.0, abs=0.1)


def test_noise_of_two_channels_and_of_neighbouring_voxels_is_uncorrelated() -> None:
    generator = torch.Generator().manual_seed(3)
    channels = [Scanner(noise=0.05).acquire(torch.ones(40, 40, 40), ISOTROPIC, 1.0, generator) for _ in range(2)]
    assert abs(float(torch.corrcoef(torch.stack([c.view(-1) for c in channels]))[0, 1])) < 0.02
    first = channels[0]
    for axis in AXES:
        pair = torch.stack([first.movedim(axis, 0)[:-1].reshape(-1), first.movedim(axis, 0)[1:].reshape(-1)])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.02


@pytest.mark.parametrize("offset", [0, POOL_SIZE - 1, 10 * POOL_SIZE + 7])
def test_pool_gives_standard_normal_numbers_of_any_amount(offset: int) -> None:
    values = gaussian((5, 100, 100), offset, torch.device("cpu"))
    assert values.shape == (5, 100, 100)
    assert float(values.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(values.std()) == pytest.approx(1.0, abs=0.02)
    assert gaussian((POOL_SIZE + 5,), offset, torch.device("cpu")).shape == (POOL_SIZE + 5,)


def test_log_of_the_bias_has_its_standard_deviation_and_is_smooth() -> None:
    fields = [
        acquire(Scanner(bias=0.1, bias_knot_mm=60.0), torch.ones(30, 40, 35), (5.0, 5.0, 5.0), seed).log()
        for seed in range(60)
    ]
    field = torch.stack(fields)
    assert float(field.std()) == pytest.approx(0.1, rel=0.15)
    assert float(field.std(0).max()) < 2 * float(field.std(0).min())
    assert float((field[:, 1:] - field[:, :-1]).abs().max()) < 0.1


def test_a_slab_of_the_bias_is_a_part_of_the_whole() -> None:
    bias = Bias(50.0, (20, 30, 25), (4.0, 4.0, 4.0), torch.Generator().manual_seed(0))
    whole = bias.slab(slice(None), slice(None), slice(None))
    part = (slice(3, 9), slice(10, 30), slice(0, 7))
    assert torch.allclose(bias.slab(*part), whole[part], atol=1e-5)


@pytest.mark.parametrize("gamma", [0.7, 1.0, 1.3])
def test_gamma_is_a_power_of_the_magnitude(gamma: float) -> None:
    signal = head()
    assert torch.allclose(acquire(Scanner(gamma=gamma), signal), signal.pow(gamma), atol=1e-4)


@pytest.mark.parametrize("levels", [16, 256])
def test_quantisation_leaves_that_many_levels(levels: int) -> None:
    signal = torch.linspace(0, 0.8, 30 * 30 * 30).view(30, 30, 30)
    out = acquire(Scanner(levels=levels), signal)
    assert len(out.unique()) == levels
    assert float((out - acquire(Scanner(), signal)).abs().max()) <= 0.8 / (levels - 1) / 2 + 1e-4


def test_an_empty_signal_stays_finite() -> None:
    out = acquire(Scanner(levels=256, gamma=1.2, bias=0.1), torch.zeros(8, 8, 8))
    assert torch.equal(out, torch.zeros(8, 8, 8))


def inner_mask(shape: tuple[int, int, int]) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[5:21, 11:36, 4:30] = head(shape)[5:21, 11:36, 4:30] > 0.3
    return mask


@pytest.mark.parametrize(
    "scanner",
    [
        Scanner(blur_mm=0.7, bias=0.2, noise=0.05, gamma=1.1),
        Scanner(blur_mm=0.5, slice_mm=5.0, slice_axis=1, shift_mm=(0.4, -0.3, 0.2), noise=0.02),
        Scanner(truncation_mm=2.0, spike=0.1, spike_period_mm=(5.0, -9.0, 20.0)),
        Scanner(
            motion=Motion(2, (0.4,), ((1.0, 2.0, 0.0),)), ghost=0.1, ghost_shift_mm=9.0, rotation_deg=(0.3, 0, 0.4)
        ),
        Scanner(noise=0.01, cut_mm=9.0, cut_axis=1, cut_far=True),
    ],
)
def test_inside_a_mask_the_image_is_the_one_without_a_mask(scanner: Scanner) -> None:
    signal = head()
    mask = inner_mask((40, 44, 36))
    whole = acquire(scanner, signal)
    masked = scanner.acquire(signal, ISOTROPIC, 1.0, torch.Generator().manual_seed(0), mask)
    assert torch.allclose(masked, whole * mask, atol=1e-5)


def test_an_empty_mask_gives_an_empty_image() -> None:
    scanner = Scanner.random(np.random.default_rng(0))
    out = scanner.acquire(head(), ISOTROPIC, 1.0, torch.Generator().manual_seed(0), torch.zeros(40, 44, 36).bool())
    assert torch.equal(out, torch.zeros(40, 44, 36))


def test_same_generator_same_image_and_another_seed_other_noise() -> None:
    scanner = Scanner.random(np.random.default_rng(5))
    signal = head()
    assert torch.equal(acquire(scanner, signal, seed=1), acquire(scanner, signal, seed=1))
    assert not torch.equal(acquire(scanner, signal, seed=1), acquire(scanner, signal, seed=2))


def test_drawn_scanners_are_data_and_follow_their_seed() -> None:
    drawn = [Scanner.random(np.random.default_rng(seed)) for seed in range(300)]
    assert drawn[7] == Scanner.random(np.random.default_rng(7))
    assert json.loads(json.dumps(asdict(drawn[7])))["blur_mm"] == drawn[7].blur_mm
    shares = {
        "slice": np.mean([s.slice_mm > 0 for s in drawn]),
        "motion": np.mean([s.motion is not None for s in drawn]),
        "rotation": np.mean([any(s.rotation_deg) for s in drawn]),
        "cut": np.mean([s.cut_mm > 0 for s in drawn]),
    }
    assert shares == pytest.approx({"slice": 0.7, "motion": 0.1, "rotation": 0.2, "cut": 0.05}, abs=0.07)


@settings(max_examples=25)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 2.2, 5.0])] * 3),
    seed=st.integers(0, 500),
    order=st.permutations(AXES),
)
def test_any_scanner_images_any_grid_in_any_axis_order(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], seed: int, order: list[int]
) -> None:
    scanner = Scanner.random(np.random.default_rng(seed))
    motion = scanner.motion or Motion.random(np.random.default_rng(seed))
    scanner = replace(scanner, motion=motion, levels=256, truncation_mm=2.5, rotation_deg=(0.4, 0.2, -0.3), cut_mm=0.0)
    signal = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).permute(order)
    out = acquire(scanner, signal, tuple(spacing[a] for a in order), seed)
    assert out.shape == signal.shape
    assert bool(torch.isfinite(out).all())
    assert float(out.min()) >= 0.0


def test_noise_is_interpolated_between_thick_slices_as_tissue_is() -> None:
    generator = torch.Generator().manual_seed(0)
    scanner = Scanner(slice_mm=4.0, slice_axis=0, noise=0.1)
    image = scanner.acquire(torch.ones(48, 48, 48), (1.0, 1.0, 1.0), 1.0, generator)
    across = image.diff(dim=0).std()
    within = image.diff(dim=2).std()
    assert float(across) < 0.5 * float(within)
    thin = Scanner(noise=0.1).acquire(torch.ones(48, 48, 48), (1.0, 1.0, 1.0), 1.0, generator)
    assert float(thin.diff(dim=0).std()) == pytest.approx(float(thin.diff(dim=2).std()), rel=0.05)
