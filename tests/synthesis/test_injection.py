"""Injection: what a transplanted lesion keeps of its source, and what the background keeps of itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from oncoprompt.errors import InputError
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.growth import signed_distance
from oncoprompt.synthesis.injection import Injection, inject
from oncoprompt.synthesis.texture import Reference
from oncoprompt.synthesis.transplant import Variation

POINTS = box_points(1.0, torch.device("cpu"))
WHITE = {"t1n": 700.0, "t1c": 720.0, "t2w": 400.0, "t2f": 500.0}
FLUID = {"t1n": 150.0, "t1c": 160.0, "t2w": 1500.0, "t2f": 120.0}
GREY = {"t1n": 550.0, "t1c": 570.0, "t2w": 560.0, "t2f": 560.0}
TUMOUR = {"t1n": 450.0, "t1c": 1300.0, "t2w": 800.0, "t2f": 800.0}
NECROSIS = {"t1n": 300.0, "t1c": 320.0, "t2w": 1200.0, "t2f": 600.0}
OEDEMA = {"t1n": 560.0, "t1c": 570.0, "t2w": 900.0, "t2f": 950.0}
SHELL_MM = 4 * 2.0


def ball(centre: tuple[float, float, float], radius: float) -> torch.Tensor:
    return (POINTS - torch.tensor(centre)).norm(dim=-1) < radius


def brain_case(name: str, channels: tuple[str, ...], radii=(62.0, 78.0, 60.0), gain=1.0, offset=0.0) -> LabelledCase:
    """An ellipsoid of white matter under a grey rim, with two ventricles and noise."""
    level = (POINTS / torch.tensor(radii)).norm(dim=-1)
    brain = level < 1
    ventricles = ball((-13.0, 0.0, 5.0), 12) | ball((13.0, 0.0, 5.0), 12)
    generator = torch.Generator().manual_seed(len(name))
    images = torch.empty((len(channels), *brain.shape))
    for image, channel in zip(images, channels, strict=True):
        image[:] = torch.where(level > 0.94, GREY[channel], WHITE[channel])
        image[ventricles] = FLUID[channel]
    images += 10 * torch.randn(images.shape, generator=generator)
    return LabelledCase(
        name, channels, (images * gain + offset) * brain, torch.zeros_like(brain, dtype=torch.uint8), brain
    )


def with_lesion(case: LabelledCase, parts: list[tuple[torch.Tensor, int, dict[str, float]]]) -> LabelledCase:
    images, labels = case.images.clone(), case.labels.clone()
    for region, label, look in parts:
        labels[region & case.brain] = label
        for image, channel in zip(images, case.channels, strict=True):
            image[region & case.brain] = look[channel]
    return replace(case, images=images, labels=labels)


@pytest.fixture(scope="module")
def healthy() -> LabelledCase:
    return brain_case("healthy", ("t1c", "t2f"), gain=0.002)


@pytest.fixture(scope="module")
def four_channels() -> LabelledCase:
    """Oedema around a ring around necrosis, deep in the right hemisphere."""
    centre = (33.0, -30.0, 5.0)
    parts = [(ball(centre, 16), 2, OEDEMA), (ball(centre, 11), 3, TUMOUR), (ball(centre, 6), 1, NECROSIS)]
    return with_lesion(brain_case("glioma", ("t1n", "t1c", "t2w", "t2f")), parts)


@pytest.fixture(scope="module")
def glioma(four_channels: LabelledCase) -> LabelledCase:
    """The same on the two channels that show most."""
    return replace(four_channels, channels=("t1c", "t2f"), images=four_channels.images[[1, 3]])


@pytest.fixture(scope="module")
def meningioma() -> LabelledCase:
    """A ball that the edge of the brain cuts."""
    return with_lesion(brain_case("meningioma", ("t1c", "t2f")), [(ball((52.0, 10.0, 8.0), 14), 3, TUMOUR)])


PLAIN = Injection()
BUSY = Injection(
    seed=4,
    variation=Variation(mirrored=True, scale=1.1, elastic_mm=1.5, grow_mm=1.0),
    wander_mm=6.0,
    turn=(0.1, -0.1, 0.2),
    gamma=1.2,
    residual=1.1,
    sweeps=20,
    mass=0.3,
)


@pytest.fixture(scope="module")
def plain(glioma: LabelledCase, healthy: LabelledCase) -> LabelledCase:
    out = inject(glioma, healthy, PLAIN)
    assert out is not None
    return out


@pytest.fixture(scope="module")
def busy(glioma: LabelledCase, healthy: LabelledCase) -> LabelledCase:
    out = inject(glioma, healthy, BUSY)
    assert out is not None
    return out


def volumes(case: LabelledCase) -> np.ndarray:
    return np.array([int((case.labels == label).sum()) for label in (1, 2, 3)])


def contact(case: LabelledCase) -> float:
    """Share of the core's surface within 2 mm of the edge of the brain."""
    core = ((case.labels > 0) & (case.labels != 2)).numpy()
    surface = torch.from_numpy(core & ~binary_erosion(core))
    return float((signed_distance(case.brain, 1.0)[surface] < 2.0).float().mean())


def test_away_from_the_lesion_and_without_mass_effect_the_background_stays_bitwise(
    glioma: LabelledCase, healthy: LabelledCase, plain: LabelledCase
) -> None:
    blended = inject(glioma, healthy, replace(PLAIN, sweeps=20))
    assert blended is not None
    far = signed_distance(plain.labels > 0, 1.0) < -SHELL_MM - 1.0
    for out in (plain, blended):
        assert torch.equal(out.images[:, far], healthy.images[:, far])
        assert not torch.equal(out.images, healthy.images)


def test_grid_channels_and_brain_mask_are_the_background_s(busy: LabelledCase, healthy: LabelledCase) -> None:
    assert busy.channels == healthy.channels
    assert torch.equal(busy.brain, healthy.brain)
    assert busy.images.shape == healthy.images.shape
    assert bool(torch.isfinite(busy.images).all())
    assert bool((busy.images[:, ~busy.brain] == 0).all())
    assert int(busy.labels[~busy.brain].max()) == 0


def test_same_seed_gives_the_same_bytes_and_another_seed_another_place(
    glioma: LabelledCase, healthy: LabelledCase, busy: LabelledCase
) -> None:
    again, other = inject(glioma, healthy, BUSY), inject(glioma, healthy, replace(BUSY, seed=5))
    assert again is not None
    assert other is not None
    assert torch.equal(again.images, busy.images)
    assert torch.equal(again.labels, busy.labels)
    assert not torch.equal(other.labels, busy.labels)


def test_an_unvaried_lesion_keeps_the_volume_of_every_label(plain: LabelledCase, glioma: LabelledCase) -> None:
    assert volumes(plain) == pytest.approx(volumes(glioma), rel=0.08)


def test_labels_stay_nested(busy: LabelledCase) -> None:
    core = (busy.labels == 1) | (busy.labels == 3)
    # necrosis was enclosed by the ring and the ring by oedema: so it is after scaling, bending and growing
    assert set(busy.labels[signed_distance(busy.labels == 1, 1.0).abs() < 1].unique().tolist()) == {1, 3}
    around = signed_distance(core, 1.0)
    assert set(busy.labels[(around < 0) & (around > -1)].unique().tolist()) == {2}


def test_growth_of_the_distance_field_grows_whole_and_core(
    glioma: LabelledCase, healthy: LabelledCase, plain: LabelledCase
) -> None:
    sizes = []
    for grow in (-2.0, 0.0, 2.0):
        out = plain if grow == 0 else inject(glioma, healthy, replace(PLAIN, variation=Variation(grow_mm=grow)))
        assert out is not None
        necrosis, oedema, enhancing = volumes(out)
        sizes.append((necrosis + enhancing, necrosis + oedema + enhancing))
    radii = (3 * np.array(sizes) / (4 * np.pi)) ** (1 / 3)
    # distances between voxel centres see the corners of a ball's staircase, a third of a voxel outside it
    assert np.diff(radii, axis=0) == pytest.approx(2.0, abs=0.5)


@pytest.mark.parametrize(
    ("channels", "gain", "offset"), [(("t1c",), 0.001, 0.0), (("t2f", "t1n"), 2.5, -900.0), (("t2w",), 1.0, 0.0)]
)
def test_contrast_to_white_matter_is_the_source_s_in_the_background_s_units(
    four_channels: LabelledCase, channels: tuple[str, ...], gain: float, offset: float
) -> None:
    background = brain_case("other", channels, gain=gain, offset=offset)
    out = inject(four_channels, background, PLAIN)
    assert out is not None
    assert out.channels == channels
    for channel, image in zip(channels, out.images, strict=True):
        unit = gain * abs(WHITE[channel] - FLUID[channel])
        deep = signed_distance(out.labels == 3, 1.0) > 1.0
        found = (float(image[deep].mean()) - (gain * WHITE[channel] + offset)) / unit
        wanted = (TUMOUR[channel] - WHITE[channel]) / abs(WHITE[channel] - FLUID[channel])
        assert found == pytest.approx(wanted, abs=0.08)


@pytest.mark.parametrize(("radii", "seed"), [((56.0, 72.0, 64.0), 1), ((66.0, 74.0, 55.0), 2)])
def test_a_lesion_on_the_dura_keeps_its_share_of_contact(
    meningioma: LabelledCase, radii: tuple[float, float, float], seed: int
) -> None:
    assert contact(meningioma) > 0.1
    background = brain_case("wide", meningioma.channels, radii=radii)
    out = inject(meningioma, background, Injection(seed=seed, wander_mm=20.0, mass=0.2))
    assert out is not None
    assert contact(out) == pytest.approx(contact(meningioma), abs=0.1)


def test_the_mass_effect_pushes_tissue_away_from_the_core(glioma: LabelledCase, healthy: LabelledCase) -> None:
    behind = ball((33.0, -56.0, 5.0), 3)
    assert bool(healthy.brain[behind].all())
    marked = with_lesion(healthy, [(behind, 4, dict.fromkeys(WHITE, 1.0))])
    core = replace(glioma, labels=torch.where(glioma.labels == 2, 0, glioma.labels))
    out = inject(core, marked, Injection(mass=1.5))
    assert out is not None
    step = POINTS[out.labels == 4].mean(0) - POINTS[behind].mean(0)
    # kappa R^3 / (3 r^2) is 1.0 mm at the marker in an endless brain
    assert -1.5 < float(step[1]) < -0.4
    assert float(step[[0, 2]].abs().max()) < 0.5


def test_nothing_is_put_on_the_background_s_own_lesion(glioma: LabelledCase, healthy: LabelledCase) -> None:
    own = ball((33.0, -12.0, 5.0), 6)
    background = with_lesion(healthy, [(own, 4, {channel: 0.002 * OEDEMA[channel] for channel in OEDEMA})])
    out = inject(glioma, background, Injection())
    assert out is not None
    assert torch.equal(out.labels == 4, own)
    assert torch.equal(out.images[:, own], background.images[:, own])
    assert volumes(out) == pytest.approx(volumes(glioma), rel=0.08)


def test_a_full_brain_gives_none(glioma: LabelledCase, healthy: LabelledCase) -> None:
    full = replace(healthy, labels=torch.where(healthy.brain, 2, 0).to(torch.uint8))
    assert inject(glioma, full, Injection(), tries=5) is None


def test_one_component_takes_one_of_several_lesions(glioma: LabelledCase, healthy: LabelledCase) -> None:
    both = with_lesion(glioma, [(ball((-32.0, -20.0, 5.0), 9), 3, TUMOUR)])
    out = inject(both, healthy, Injection(one_component=True))
    assert out is not None
    assert volumes(out)[2] < 0.95 * volumes(both)[2]


def test_a_partner_s_shape_takes_over_as_the_morph_goes_on(glioma: LabelledCase, healthy: LabelledCase) -> None:
    small = [(ball((30.0, 10.0, 0.0), 9), 2, OEDEMA), (ball((30.0, 10.0, 0.0), 6), 3, TUMOUR)]
    partner = with_lesion(brain_case("partner", glioma.channels), small)
    sizes = []
    for t in (0.0, 0.5, 1.0):
        out = inject(glioma, healthy, Injection(variation=Variation(morph=t)), partner)
        assert out is not None
        sizes.append(int((out.labels > 0).sum()))
    assert sizes[0] == pytest.approx(int((glioma.labels > 0).sum()), rel=0.08)
    assert sizes[2] == pytest.approx(int((partner.labels > 0).sum()), rel=0.08)
    assert sizes[0] > sizes[1] > sizes[2]


def test_the_whole_composite_is_degraded_inside_the_mask(
    glioma: LabelledCase, healthy: LabelledCase, plain: LabelledCase
) -> None:
    out = inject(glioma, healthy, PLAIN, degrade=lambda images: images + 7.0)
    assert out is not None
    assert torch.allclose(out.images, (plain.images + 7.0) * healthy.brain)


def test_what_is_drawn_covers_the_ranges() -> None:
    drawn = [Injection.random(np.random.default_rng(seed)) for seed in range(200)]
    assert Injection.random(np.random.default_rng(3)) == drawn[3]
    assert all(0.85 <= one.variation.scale <= 1.25 and abs(one.variation.grow_mm) <= 2.0 for one in drawn)
    assert all(0.7 <= one.gamma <= 1.5 and 0.8 <= one.residual <= 1.2 for one in drawn)
    assert 60 < sum(one.variation.mirrored for one in drawn) < 140


def test_a_source_without_a_lesion_is_refused_by_name(healthy: LabelledCase) -> None:
    with pytest.raises(InputError, match="has no lesion"):
        inject(healthy, healthy, PLAIN)


def test_cases_without_a_common_channel_are_refused(glioma: LabelledCase, healthy: LabelledCase) -> None:
    only_t1n = replace(glioma, channels=("t1n",), images=glioma.images[:1])
    only_t2f = replace(healthy, channels=("t2f",), images=healthy.images[3:])
    with pytest.raises(InputError, match="no channel in common"):
        inject(only_t1n, only_t2f, PLAIN)


def test_reference_reads_white_matter_and_fluid(four_channels: LabelledCase) -> None:
    reference = Reference.of(four_channels)
    for channel, white, fluid in zip(reference.channels, reference.white, reference.fluid, strict=True):
        assert float(white) == pytest.approx(WHITE[channel], abs=15)
        assert float(fluid) == pytest.approx(FLUID[channel], abs=0.15 * abs(WHITE[channel] - FLUID[channel]))
