"""What a person looks like before any scanner: contrasts, compartments and crops, at points of a grid."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oncoprompt.synthesis import FAMILIES, Picture, Subject
from oncoprompt.synthesis.contrast import CLASSES, Contrast, _centre_signals
from oncoprompt.synthesis.distractors import Distractors
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.lattice import Lattice
from oncoprompt.synthesis.lesion import LesionTissue, labels_of
from oncoprompt.synthesis.relaxometry import CHANNELS, HealthyTissue, Sequences
from oncoprompt.synthesis.scanner import Scanner
from oncoprompt.synthesis.stripping import Stripping

CPU = torch.device("cpu")
GRID = box_points(4.0, CPU)
T1N, T1C, T2W, T2F = range(4)
# MPRAGE (its short echo left out) before and after contrast agent, TSE, and FLAIR that nulls fluid of T1 4.3 s
REFERENCE = Sequences(True, 0.9, 2.0, 0.0, True, 0.9, 2.0, 0.0, 4.5, 0.1, 9.0, 0.12, 2.467)


@lru_cache(maxsize=16)
def person(seed: int, family: str) -> Subject:
    """A person seen without a scanner, a strip without errors."""
    drawn = Subject.random(seed, family)
    return replace(drawn, scanners=(Scanner(),) * len(CHANNELS), stripping=Stripping())


def plain(seed: int, family: str, **tissue: float) -> Subject:
    """A person whose contrast is that of the signal equations, with one sequence before and after contrast agent."""
    drawn = person(seed, family)
    changed = replace(drawn.lesion.tissue, **tissue)
    appearance = replace(
        drawn.appearance,
        lesion=changed,
        healthy=HealthyTissue.table(3.0, CPU),
        sequences=REFERENCE,
        distractors=Distractors(),
        contrast=Contrast(torch.zeros(len(CHANNELS), len(CLASSES))),
    )
    return replace(drawn, appearance=appearance, lesion=replace(drawn.lesion, tissue=changed))


def seen(subject: Subject, lattice: Lattice) -> Picture:
    """Signals of a lattice in the units of the signal equations."""
    spacing = lattice.spacing_mm
    made = subject.picture(lattice.points(), (spacing, spacing, spacing))
    return replace(made, images=made.images * torch.tensor(subject.brightest)[:, None, None, None])


def close_up(subject: Subject, level: int, spacing_mm: float = 1.0, half_mm: float = 20.0) -> Lattice:
    """A lattice round the deepest point of one of a lesion's levels."""
    points = box_points(2.0, CPU)
    middle = points.view(-1, 3)[subject.lesion.levels[level].argmax()]
    steps = torch.arange(-half_mm, half_mm + 0.1, spacing_mm)
    return Lattice(*(steps + coordinate for coordinate in middle))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "low-grade glioma"])
def test_a_crop_shows_the_same_person_as_the_whole(family: str) -> None:
    subject = person(1, family)
    lattice = Lattice.of_points(GRID)
    part = (slice(7, 31), slice(9, 40), slice(5, 33))
    whole, crop = seen(subject, lattice), seen(subject, lattice.part(*part))
    assert torch.equal(crop.labels, whole.labels[part])
    assert torch.equal(crop.mask, whole.mask[part])
    torch.testing.assert_close(crop.images, whole.images[:, *part], atol=1e-4, rtol=0)


def test_the_label_of_a_point_is_that_of_its_levels_within_the_mask() -> None:
    subject = person(1, "post-treatment glioma")
    lattice = Lattice.of_points(GRID)
    made = seen(subject, lattice)
    expected = labels_of(lattice.spread(subject.lesion.levels))
    assert len(expected.unique()) > 2
    assert torch.equal(made.labels, expected * made.mask)


@settings(max_examples=40)
@given(st.lists(st.floats(-20, 20, width=32), min_size=5, max_size=5))
def test_compartments_exclude_each_other(levels: list[float]) -> None:
    column = torch.tensor(levels)[:, None]
    shares = plain(0, "high-grade glioma").appearance._lesion_shares(column)[:, 0]
    necrosis, active, oedema, cavity = shares.tolist()
    assert min(necrosis, active, oedema, cavity) >= 0
    assert necrosis + active + cavity <= 1 + 1e-5
    label = int(labels_of(column)[0])
    # away from edges a point is what its label says, and nothing else
    if min(abs(level) for level in levels[:4]) > 8 and label > 0:
        occupied = dict(zip((1, 3, 2, 4), (necrosis, active, oedema, cavity), strict=True))
        assert occupied[label] > 0.75
        assert sum(share for other, share in occupied.items() if other != label) < 0.02


@pytest.mark.parametrize("family", ["high-grade glioma", "meningioma"])
def test_more_uptake_brightens_enhancing_tumour_on_t1c_and_nothing_else(family: str) -> None:
    lattice = close_up(person(1, family), 1, spacing_mm=2.0, half_mm=40.0)
    less, more = (seen(plain(1, family, uptake=uptake), lattice) for uptake in (0.5, 1.5))
    rise = more.images - less.images
    assert float(rise[[T1N, T2W, T2F]].abs().max()) < 1e-6
    enhancing = less.labels == 3
    near = torch.nn.functional.max_pool3d(enhancing.float()[None, None], 7, 1, 3)[0, 0] > 0
    assert int(enhancing.sum()) > 50
    assert float(rise[T1C][enhancing].mean()) > 0.1
    assert float(rise[T1C][enhancing].quantile(0.05)) > 0.01
    assert float(rise[T1C].min()) > -1e-6
    assert float(rise[T1C][~near].abs().max()) < 0.01


def test_a_cavity_never_enhances_while_its_rim_does() -> None:
    seed = next(seed for seed in range(8) if person(seed, "post-treatment glioma").lesion.drawn["rim_mm"] > 0.8)
    subject = plain(seed, "post-treatment glioma", rim_uptake=1.2, rim_blood=0.0)
    levels = subject.lesion.levels
    lattice = close_up(subject, 3)
    made = seen(subject, lattice)
    enhancement = made.images[T1C] - made.images[T1N]
    core, _, _, cavity, rim = lattice.spread(levels)
    assert int((cavity > 2).sum()) > 500
    assert float(enhancement[(cavity > 2) & made.mask].abs().max()) < 0.01
    lining = (rim > 0.2) & (cavity < -0.2) & (core < -2) & made.mask
    assert int(lining.sum()) > 50
    assert float(enhancement[lining].mean()) > 0.05
    assert bool((made.labels[lining] != 3).all())


def test_fluid_in_the_cleft_of_a_meningioma_is_dark_on_t1_and_bright_on_t2() -> None:
    lattice = close_up(person(1, "meningioma"), 0, spacing_mm=1.0, half_mm=28.0)
    without, cleft = (seen(plain(1, "meningioma", cleft_mm=width), lattice) for width in (0.0, 1.5))
    depth = lattice.spread(person(1, "meningioma").anatomy.smooth)[0]
    core = lattice.spread(person(1, "meningioma").lesion.levels)[0]
    layer = ((core + 0.75).abs() < 0.4) & (depth > 4) & cleft.mask
    assert int(layer.sum()) > 100
    assert float(cleft.images[T1N][layer].mean()) < 0.7 * float(without.images[T1N][layer].mean())
    assert float(cleft.images[T2W][layer].mean()) > 1.4 * float(without.images[T2W][layer].mean())
    away = ((core + 0.75).abs() > 4) & cleft.mask
    torch.testing.assert_close(cleft.images[:, away], without.images[:, away], atol=1e-3, rtol=0)


def centre(field_tesla: float) -> dict[str, dict[str, float]]:
    """Signals of every channel and class from the table of tissue values."""
    signals = _centre_signals(HealthyTissue.table(field_tesla, CPU), REFERENCE, LesionTissue())
    return {
        channel: dict(zip(CLASSES, map(float, row), strict=True))
        for channel, row in zip(CHANNELS, signals, strict=True)
    }


ORDERS = {
    "t1n": ("white", "cortical grey", "necrosis", "csf"),
    "t1c": ("enhancing", "white", "cortical grey", "necrosis", "csf"),
    "t2w": ("csf", "necrosis", "oedema", "cortical grey", "white"),
    "t2f": ("oedema", "enhancing", "cortical grey", "white", "csf"),
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("field_tesla", [1.5, 3.0])
def test_the_order_of_contrasts_holds_for_centre_values(field_tesla: float, channel: str) -> None:
    signals = centre(field_tesla)[channel]
    ordered = [signals[name] for name in ORDERS[channel]]
    assert ordered == sorted(ordered, reverse=True)
    if channel == "t1c":
        assert signals["enhancing"] == max(signals.values())
    if channel == "t2f":
        assert signals["oedema"] == max(signals.values())
        assert signals["necrosis"] > signals["cortical grey"]


def test_centre_signals_at_3_tesla_are_the_reference_ones() -> None:
    signals = centre(3.0)
    expected = {
        "t1n": {"white": 0.257, "cortical grey": 0.124, "csf": 0.004, "oedema": 0.144, "enhancing": 0.113},
        "t1c": {"enhancing": 0.388},
        "t2w": {"white": 0.167, "cortical grey": 0.243, "csf": 0.612, "oedema": 0.405, "necrosis": 0.528},
        "t2f": {"white": 0.112, "cortical grey": 0.132, "csf": 0.0, "oedema": 0.246, "necrosis": 0.190},
    }
    for channel, values in expected.items():
        for name, value in values.items():
            assert signals[channel][name] == pytest.approx(value, abs=0.003), (channel, name)


def drawn(seed: int, shifted: float, ordered: float) -> tuple[Tensor, Tensor]:
    """Signals ``[4, 8]`` of the classes of a random person before and after the offsets."""
    rng = np.random.default_rng(seed)
    healthy = HealthyTissue.random(rng, CPU)
    sequences = Sequences.random(rng, float(healthy.r1[3]))
    lesion = LesionTissue(uptake=rng.uniform(0.45, 1.5))
    contrast = Contrast.random(rng, healthy, sequences, lesion, shifted, ordered)
    physical = torch.from_numpy(_centre_signals(healthy, sequences, lesion))
    return physical, physical + contrast.offsets


def test_ordered_contrast_keeps_what_defines_enhancing_tumour_and_oedema() -> None:
    changed = 0
    for seed in range(200):
        physical, signals = drawn(seed, shifted=0.0, ordered=1.0)
        changed += int(not torch.equal(physical, signals))
        enhancing = signals[T1C, CLASSES.index("enhancing")]
        assert bool((enhancing > np.delete(signals[T1C].numpy(), CLASSES.index("enhancing")).max()).all())
        for channel in (T2W, T2F):
            assert float(signals[channel, CLASSES.index("oedema")]) > float(signals[channel, :3].max())
    assert changed == 200


def test_ordered_contrast_swaps_healthy_neighbours_alone() -> None:
    swapped = 0
    for seed in range(200):
        physical, signals = (values[T1N] for values in drawn(seed, shifted=0.0, ordered=1.0))
        before, after = physical[:, None] < physical[None], signals[:, None] < signals[None]
        assert torch.equal(before[4:], after[4:])
        swapped += int(not torch.equal(before[:4, :4], after[:4, :4]))
    assert 10 < swapped < 120


def test_shifted_contrast_lowers_no_enhancement_and_no_oedema() -> None:
    for seed in range(100):
        physical, signals = drawn(seed, shifted=1.0, ordered=0.0)
        change = signals - physical
        names = [CLASSES.index(name) for name in ("enhancing", "oedema", "necrosis")]
        ordered_too = (change[T1C, names[0]] - change[T1C, names[1:]]).min()
        assert float(ordered_too) >= -1e-6 or float(signals[T1C].argmax()) == names[0]
        for channel in (T2W, T2F):
            above = float(signals[channel, names[1]]) > float(signals[channel, :3].max())
            assert above or float(change[channel, names[1]]) >= -1e-6


def test_without_offsets_contrast_changes_nothing() -> None:
    signals, shares = torch.rand(4, 6), torch.rand(4, 6)
    before = signals.clone()
    Contrast(torch.zeros(4, 8)).shift(signals, shares, torch.tensor([1, 2]), torch.rand(4, 2))
    assert torch.equal(signals, before)


@pytest.mark.parametrize("name", ["white", "oedema"])
def test_an_offset_reaches_the_tissue_of_its_class_alone(name: str) -> None:
    offsets = torch.zeros(4, len(CLASSES))
    offsets[T2W, CLASSES.index(name)] = 0.5
    signals = torch.ones(4, 3)
    # white matter, grey matter and a point of grey matter that is oedema
    shares = torch.tensor([[0.0, 1.0, 1.0], [0.0] * 3, [1.0, 0.0, 0.0], [0.0] * 3])
    diseased = torch.tensor([[0.0], [0.0], [1.0], [0.0]])
    Contrast(offsets).shift(signals, shares, torch.tensor([2]), diseased)
    expected = {"white": [1.5, 1.0, 1.0], "oedema": [1.0, 1.0, 1.5]}[name]
    assert signals[T2W].tolist() == pytest.approx(expected)
    assert float((signals[[T1N, T1C, T2F]] - 1).abs().max()) == 0
