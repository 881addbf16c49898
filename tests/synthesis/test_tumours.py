"""Tumours: every family keeps to its compartments, volumes, sites and limits."""

import json
from collections.abc import Callable
from functools import lru_cache

import cc3d
import numpy as np
import pytest
import torch
from torch import Tensor

from oncoprompt.synthesis.anatomy import random_anatomy
from oncoprompt.synthesis.fields import box_points, box_shape, sample
from oncoprompt.synthesis.growth import signed_distance
from oncoprompt.synthesis.lesion import FAMILIES, Lesion, labels_of
from oncoprompt.synthesis.tumours import Site, build_lesion
from oncoprompt.synthesis.tumours.glioma import GliomaShape, glioma_levels
from oncoprompt.synthesis.tumours.metastases import Metastasis, add_focus, random_foci
from oncoprompt.synthesis.tumours.oedema import limit_mm
from oncoprompt.synthesis.tumours.site import SITE_SPACING_MM

VOXEL_ML = SITE_SPACING_MM**3 / 1000
NETC, SNFH, ET, RC = 1, 2, 3, 4
TUMOURS = [family for family in FAMILIES if family != "healthy"]
MASS = {
    "high-grade glioma": (0.03, 0.4),
    "low-grade glioma": (0.0, 0.3),
    "metastases": (0.1, 0.5),
    "meningioma": (0.5, 0.9),
    "post-treatment glioma": (0.02, 0.2),
}


@lru_cache
def person(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    anatomy = random_anatomy(np.random.default_rng(seed), torch.Generator().manual_seed(seed))
    tissues, depth, atlas = anatomy.tissue(box_points(SITE_SPACING_MM, torch.device("cpu")))[:3]
    return tissues, depth, atlas


def site(seed: int) -> Site:
    tissues, depth, atlas = person(seed % 2)
    return Site(tissues, depth, np.random.default_rng(seed), torch.Generator().manual_seed(seed), atlas)


@lru_cache(maxsize=128)
def lesion(family: str, seed: int) -> Lesion:
    return build_lesion(family, site(seed))


def ml(mask: Tensor) -> float:
    return float(mask.sum()) * VOXEL_ML


def core_of(levels: Tensor) -> Tensor:
    labels = labels_of(levels)
    return (labels == NETC) | (labels == ET)


def pieces(mask: Tensor) -> int:
    return int(cc3d.connected_components(mask.numpy(), connectivity=26).max())


@pytest.mark.parametrize("family", TUMOURS)
def test_same_seed_gives_the_same_lesion_and_another_seed_another(family: str) -> None:
    first, again = lesion(family, 3), build_lesion(family, site(3))
    assert torch.equal(first.levels, again.levels)
    assert (first.tissue, first.drawn) == (again.tissue, again.drawn)
    assert not torch.equal(first.levels, lesion(family, 4).levels)


@pytest.mark.parametrize("family", TUMOURS)
def test_every_drawn_number_of_a_lesion_fits_into_json(family: str) -> None:
    drawn = lesion(family, 3).drawn
    assert len(drawn) >= 1
    assert set(json.loads(json.dumps(drawn))) == set(drawn)


@pytest.mark.parametrize(
    ("family", "needed", "never"),
    [
        ("high-grade glioma", {ET, SNFH}, {RC}),
        ("low-grade glioma", {NETC, SNFH}, {RC}),
        ("metastases", {ET}, {RC}),
        ("meningioma", {ET}, {RC}),
        ("post-treatment glioma", {RC}, set()),
    ],
)
def test_a_family_has_the_compartments_it_needs_and_no_others(family: str, needed: set[int], never: set[int]) -> None:
    complete = 0
    for seed in range(4):
        made = lesion(family, seed)
        assert made.levels.shape == (5, *box_shape(SITE_SPACING_MM))
        assert bool(torch.isfinite(made.levels).all())
        found = set(made.label_map().unique().tolist())
        assert not found & never
        complete += needed <= found
    assert complete >= 3


def test_a_healthy_person_has_no_lesion() -> None:
    assert int(build_lesion("healthy", site(0)).label_map().max()) == 0


@pytest.mark.parametrize("family", TUMOURS)
def test_what_enhances_and_the_rim_lie_by_the_core_or_the_cavity(family: str) -> None:
    for seed in range(3):
        core, enhancing, _, cavity, rim = lesion(family, seed).levels
        assert bool((enhancing <= core + 6.001).all())
        if family == "post-treatment glioma":
            assert bool((rim <= cavity + 1.501).all())


def test_labels_put_the_cavity_first_and_leave_the_rim_out() -> None:
    one, none = 1.0, -1.0
    # core, enhancing, oedema, cavity, rim
    cases = {
        (one, one, one, one, one): RC,
        (one, one, one, none, one): ET,
        (one, none, one, none, one): NETC,
        (none, one, one, none, one): SNFH,
        (none, one, none, none, one): 0,
    }
    for signs, label in cases.items():
        assert int(labels_of(torch.tensor(signs))) == label


@pytest.mark.parametrize("family", ["high-grade glioma", "low-grade glioma"])
def test_the_core_of_a_glioma_has_the_drawn_volume(family: str) -> None:
    ratios = [ml(core_of(made.levels)) / made.drawn["core_ml"] for made in (lesion(family, s) for s in range(5))]
    assert ratios == pytest.approx([1.0] * 5, rel=0.1)


def test_a_glioma_with_a_distant_second_seed_has_more_than_one_focus() -> None:
    rng = np.random.default_rng(0)
    shape = GliomaShape.random(rng, core_ml=6.0, front_mm=1.5, oedema_mm=3.0, multifocal=1.0)
    assert 25 <= shape.seed_distance_mm <= 45
    _, core, _ = glioma_levels(site(2), shape)
    assert pieces(core > 0) >= 2


def test_one_glioma_in_ten_has_a_distant_second_seed() -> None:
    rng = np.random.default_rng(0)
    apart = [GliomaShape.random(rng, 10.0, 2.0, 5.0).seed_distance_mm > 0 for _ in range(1000)]
    assert 0.07 <= np.mean(apart) <= 0.13


def test_a_mismatch_core_is_fluid_with_a_rim_and_others_have_none() -> None:
    kinds = set()
    for seed in range(5):
        made = lesion("low-grade glioma", seed)
        kinds.add(made.drawn["mismatch"])
        if made.drawn["mismatch"]:
            assert made.tissue.mismatch_rim_mm >= 1.5
            assert made.tissue.necrosis_t1 >= 2.6
        else:
            assert made.tissue.mismatch_rim_mm == 0
    assert kinds == {True, False}


def stated_limit(made: Lesion) -> float:
    if "foci" in made.drawn:
        return max(
            limit_mm(focus["diameter_mm"] / 2 * ((1 + focus["oedema_ratio"]) ** (1 / 3) - 1))
            for focus in made.drawn["foci"]
        )
    return limit_mm(float(made.drawn["oedema_mm"]))


@pytest.mark.parametrize("family", TUMOURS)
def test_no_oedema_lies_further_from_the_tumour_than_its_limit(family: str) -> None:
    seen = 0
    for seed in range(5):
        made = lesion(family, seed)
        if made.drawn.get("caps_mm", 0) > 0:
            continue
        labels = made.label_map()
        tumour = (labels > 0) & (labels != SNFH)
        distance = -signed_distance(tumour, SITE_SPACING_MM)[labels == SNFH]
        seen += distance.numel()
        # levels of shapes are distances to within the ratio of their axes
        assert distance.numel() == 0 or float(distance.max()) <= 1.35 * stated_limit(made) + SITE_SPACING_MM
    assert seen > 0


@pytest.mark.parametrize("family", ["high-grade glioma", "metastases", "meningioma"])
def test_oedema_hangs_together_with_the_tumour(family: str) -> None:
    for seed in range(4):
        levels = lesion(family, seed).levels
        whole, core = labels_of(levels) > 0, core_of(levels)
        parts = torch.from_numpy(cc3d.connected_components(whole.numpy(), connectivity=26).astype(np.int32))
        assert set(parts[whole].unique().tolist()) == set(parts[core].unique().tolist())


def dura_distance(where: Site, base: str) -> Tensor:
    distances: dict[str, Callable[[], Tensor]] = {
        "falx": lambda: where.falx_distance_mm,
        "tentorium": lambda: where.tentorium_mm.abs(),
    }
    return distances.get(base, lambda: where.depth_mm)()


def test_a_meningioma_touches_the_dura_it_sits_on() -> None:
    touching = []
    for seed in range(20):
        made = lesion("meningioma", seed)
        core = core_of(made.levels)
        touching.append(bool((core & (dura_distance(site(seed), made.drawn["base"]) <= 3.0)).any()))
    assert np.mean(touching) >= 0.9


def test_an_unlabelled_dural_tail_lies_in_the_rim_and_a_labelled_one_in_the_core() -> None:
    kinds = set()
    for seed in range(20):
        made = lesion("meningioma", seed)
        if made.drawn["tail_mm"] > 0:
            kinds.add(made.drawn["tail_labelled"])
            assert bool((made.levels[4] > 0).any()) != made.drawn["tail_labelled"]
        else:
            assert not bool((made.levels[4] > 0).any())
    assert kinds == {True, False}


def test_calcium_of_a_meningioma_does_not_enhance() -> None:
    calcified = [made for made in (lesion("meningioma", s) for s in range(20)) if made.tissue.calcification > 0]
    assert calcified
    assert all(made.drawn["inner"] == "calcium" for made in calcified)
    assert any(bool((made.label_map() == NETC).any()) for made in calcified)


def test_metastases_number_one_to_twenty_and_measure_three_millimetres_up() -> None:
    rng = np.random.default_rng(0)
    people = [random_foci(rng) for _ in range(400)]
    counts = [len(foci) for foci in people]
    diameters = [focus.diameter_mm for foci in people for focus in foci]
    assert min(counts) == 1
    assert 9 <= max(counts) <= 20
    assert 0.1 < np.mean(np.array(counts) == 1) < 0.5
    assert 3.0 <= min(diameters) < 3.3
    assert 30.0 < max(diameters) <= 35.0
    assert all(focus.rim_mm == 0 for foci in people for focus in foci if focus.diameter_mm <= 10)


@pytest.mark.parametrize("diameter", [3.0, 6.0, 12.0, 24.0])
def test_a_metastasis_has_the_volume_of_its_sphere_when_looked_at_finely(diameter: float) -> None:
    where = site(1)
    levels = torch.full((5, *box_shape(SITE_SPACING_MM)), -50.0)
    deep = (where.depth_mm > 22) & (where.white > 0.5) & (where.midline_mm.abs() > 18) & (where.tentorium_mm > 25)
    add_focus(where, levels, deep, Metastasis(0.5, diameter, (1.0, 1.0, 1.0), 0.0, 0.0, 0.3))
    middle = where.points_mm[np.unravel_index(int(levels[0].argmax()), where.shape)]
    step = torch.arange(-20.0, 20.0, 0.5)
    fine = middle + torch.stack(torch.meshgrid(step, step, step, indexing="ij"), dim=-1)
    found = sample(levels, fine)[0] > 0
    # trilinear interpolation between 2 mm nodes takes a part of the smallest spheres
    low = 0.35 if diameter < 5 else 0.55 if diameter < 10 else 0.8
    assert low <= float(found.sum()) * 0.125 / (np.pi / 6 * diameter**3) <= 1.3


def test_a_cavity_has_the_drawn_volume_and_keeps_to_its_side_of_the_falx() -> None:
    for seed in range(10):
        made = lesion("post-treatment glioma", seed)
        cavity = made.label_map() == RC
        assert 1.5 <= made.drawn["cavity_ml"] <= 65.0
        assert ml(cavity) == pytest.approx(made.drawn["cavity_ml"], rel=0.1)
        sides = site(seed).midline_mm[cavity].sign()
        assert bool((sides == sides[0]).all())


def test_a_cavity_that_is_open_reaches_the_surface() -> None:
    opened, reaching = 0, 0
    for seed in range(10):
        made = lesion("post-treatment glioma", seed)
        if made.drawn["open_to_surface"]:
            opened += 1
            reaching += float(site(seed).depth_mm[made.label_map() == RC].min()) < 2.5
    assert opened >= 6
    assert reaching >= 0.9 * opened


def test_a_cavity_never_enhances_nor_overlaps_what_does() -> None:
    nodules = 0
    for seed in range(10):
        core, _, _, cavity, _ = lesion("post-treatment glioma", seed).levels
        assert not bool(((core > 0) & (cavity > 0)).any())
        nodules += bool((core > 0).any())
    assert 0 < nodules < 10


def test_caps_lie_in_white_matter_by_the_ventricles_on_both_sides() -> None:
    capped = 0
    for seed in range(10):
        made = lesion("post-treatment glioma", seed)
        if made.drawn["caps_mm"] == 0:
            continue
        capped += 1
        where, labels = site(seed), made.label_map()
        fluid = where.tissues[3] > 0.8
        assert float((labels == SNFH)[fluid & (where.depth_mm > 24)].float().mean()) < 0.02
        caps = (labels == SNFH) & (where.depth_mm > 24)
        assert min(int((caps & (where.midline_mm > 3)).sum()), int((caps & (where.midline_mm < -3)).sum())) > 50
    assert capped


def test_the_thin_rim_of_a_cavity_lies_within_two_millimetres_of_it_and_has_no_label() -> None:
    made = next(m for m in (lesion("post-treatment glioma", s) for s in range(10)) if m.drawn["rim_mm"] > 0.8)
    labels = made.label_map()
    rim = (made.levels[4] > 0) & (labels != RC)
    assert bool(rim.any())
    assert float(-signed_distance(labels == RC, SITE_SPACING_MM)[rim].max()) <= 2 * SITE_SPACING_MM
    bare = made.levels.clone()
    bare[4] = -50.0
    assert torch.equal(labels_of(bare), labels)


def test_fluid_layers_lie_within_their_cavity() -> None:
    layered = 0
    for seed in range(10):
        made = lesion("post-treatment glioma", seed)
        if made.tissue.cavity_layer_mm is None:
            continue
        layered += 1
        posterior = site(seed).points_mm[..., 1] < made.tissue.cavity_layer_mm
        share = float(posterior[made.label_map() == RC].float().mean())
        assert share == pytest.approx(made.drawn["layer_share"], abs=0.12)
    assert layered


@pytest.mark.parametrize("family", TUMOURS)
def test_mass_effect_and_collapse_lie_in_the_range_of_the_family(family: str) -> None:
    low, high = MASS[family]
    for seed in range(5):
        tissue = lesion(family, seed).tissue
        assert low <= tissue.mass <= high
        assert -0.3 <= tissue.collapse <= (-0.05 if family == "post-treatment glioma" else 0.0)
        assert family == "post-treatment glioma" or tissue.collapse == 0.0
