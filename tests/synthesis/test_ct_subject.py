"""Abdominal phantoms: the rules that anatomy, contrast, lesions and labels obey."""

from functools import cache

import numpy as np
import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.synthesis.ct import LABELS, ORGANS, AbdomenSubject, CtPicture, Region, synthesize_ct
from oncoprompt.synthesis.ct.contrast import PHASES, TISSUE_HU, Enhancement
from oncoprompt.synthesis.ct.lattice import level_on
from oncoprompt.synthesis.ct.sketch import REGIONS

SEEDS = (0,)


@cache
def subject(seed: int, organ: str, phase: str | None = None) -> AbdomenSubject:
    return AbdomenSubject.random(seed, organ, phase=phase)


@cache
def picture(seed: int, organ: str, phase: str | None = None) -> CtPicture:
    made = subject(seed, organ, phase)
    return made.picture(made.whole(4.0))


def mean_hu(made: CtPicture, name: str) -> float:
    return float(made.clean[made.regions == REGIONS.index(name)].mean())


def test_same_seed_gives_the_same_bytes_and_another_another_person() -> None:
    again = AbdomenSubject.random(0, "kidney")
    region = again.whole(4.0)
    made = again.picture(region)
    assert torch.equal(made.hu, picture(0, "kidney").hu)
    assert torch.equal(made.labels, picture(0, "kidney").labels)
    assert not torch.equal(made.hu, again.picture(region, seed=1).hu)
    assert not torch.equal(made.labels, picture(1, "kidney").labels)


@pytest.mark.parametrize("phase", ["arterial", "portal"])
def test_hu_rise_from_air_over_fat_water_and_muscle_to_vessels_and_bone(phase: str) -> None:
    made = picture(3, "liver", phase)
    found = [mean_hu(made, name) for name in ("air", "lung", "fat")]
    muscle, liver, aorta, bone = (mean_hu(made, name) for name in ("muscle", "liver", "aorta", "bone"))
    assert found == sorted(found)
    assert found[0] < -950
    assert found[2] < 0 < muscle < liver + 20 < aorta < bone


@pytest.mark.parametrize("phase", PHASES)
def test_contrast_of_a_phase_is_the_same_story_in_every_organ(phase: str) -> None:
    for seed in range(20):
        hu = Enhancement.random(np.random.default_rng(seed), phase).hu
        if phase == "native":
            assert all(abs(hu[t] - row[0]) < 50 for t, row in TISSUE_HU.items() if t not in ("marrow",))
        if phase == "arterial":
            assert hu["aorta"] > hu["renal cortex"] > hu["renal medulla"]
            assert hu["aorta"] > hu["portal vein"] > hu["hepatic vein"]
        if phase == "portal":
            assert hu["portal vein"] > hu["liver"]
            assert abs(hu["renal cortex"] - hu["renal medulla"]) < 80
        assert (hu["renal pelvis"] > 150) == (phase == "excretory")


def test_organs_have_the_volumes_of_adults() -> None:
    ranges = {"liver": (1000, 2200), "kidney right": (100, 250), "kidney left": (100, 250), "pancreas": (40, 140)}
    for seed in SEEDS:
        for organ in ORGANS:
            organs = subject(seed, organ).organs
            for name, (low, high) in ranges.items():
                assert low <= organs[name].level.volume_ml() <= high, name


@pytest.mark.parametrize("organ", ORGANS)
def test_painted_labels_have_the_drawn_volume_and_only_known_values(organ: str) -> None:
    for seed in SEEDS:
        made = picture(seed, organ)
        assert set(made.labels.unique().tolist()) <= {0, *LABELS[organ].values()}
        drawn = sum(o.level.volume_ml() for name, o in subject(seed, organ).organs.items() if name.startswith(organ))
        painted = float((made.labels > 0).sum()) * 0.064
        assert (
            0.55 * drawn
            < painted
            < drawn + 1.1 * sum(lesion.level.volume_ml() for lesion in subject(seed, organ).lesions) + 0.15 * drawn
        )


@pytest.mark.parametrize("organ", ORGANS)
def test_lesions_touch_their_organ_and_have_the_drawn_size(organ: str) -> None:
    for seed in SEEDS:
        made = subject(seed, organ)
        tumours = [lesion for lesion in made.lesions if lesion.plan.kind == "tumour"]
        assert tumours
        assert {lesion.plan.organ for lesion in tumours} == {organ}
        for lesion in made.lesions:
            hosts = [o.level for name, o in made.organs.items() if name.startswith(lesion.plan.organ)]
            inside = lesion.level.values > 0
            assert max(float(level_on(host, lesion.level.region)[inside].max()) for host in hosts) > -2.0
            wanted = np.pi / 6 * lesion.plan.diameter_mm**3 / 1000
            assert 0.2 * wanted < lesion.level.volume_ml() < 1.1 * wanted + 0.05


@pytest.mark.parametrize(
    ("organ", "phase", "family", "sign"),
    [
        ("liver", "portal", "metastasis", -1),
        ("liver", "arterial", "hepatocellular carcinoma", 1),
        ("kidney", "portal", "papillary carcinoma", -1),
        ("pancreas", "arterial", "adenocarcinoma", -1),
        ("pancreas", "arterial", "neuroendocrine tumour", 1),
    ],
)
def test_families_are_darker_or_brighter_than_their_organ_without_noise(
    organ: str, phase: str, family: str, sign: int
) -> None:
    made = AbdomenSubject.random(1, organ, phase=phase, family=family)
    tumour = max((t for t in made.lesions if t.plan.kind == "tumour"), key=lambda t: t.plan.diameter_mm)
    assert tumour.plan.family == family
    seen = made.picture(Region.around(tumour.plan.centre_mm, (40, 40, 40), (2.0, 2.0, 2.0)))
    inside, organ_tissue = seen.clean[seen.labels == 2], seen.clean[seen.labels == 1]
    assert min(len(inside), len(organ_tissue)) > 20
    assert sign * float(inside.mean() - organ_tissue.mean()) > 5


def test_a_crop_has_the_labels_and_tissue_of_the_whole_volume() -> None:
    made = subject(0, "kidney")
    whole_region = made.whole(4.0)
    whole = picture(0, "kidney")
    x, y, z = (o + 4.0 * n for o, n in zip(whole_region.origin_mm, (30, 12, 20), strict=True))
    crop = made.picture(Region((x, y, z), (30, 40, 50), (4.0, 4.0, 4.0)), seed=5)
    there = (slice(20, 50), slice(12, 52), slice(30, 80))
    assert torch.equal(crop.labels, whole.labels[there])
    assert torch.equal(crop.regions, whole.regions[there])
    assert torch.allclose(crop.clean, whole.clean[there], atol=0.05)
    assert bool((crop.labels > 0).any())


def test_training_crops_hold_tumour_as_often_as_asked() -> None:
    made = subject(0, "liver")
    rng = np.random.default_rng(0)
    seen = [made.picture(made.crop(rng, (24, 24, 24), (4.0, 4.0, 4.0), tumour_share=1.0)) for _ in range(6)]
    assert sum(bool(p.tumour.any()) for p in seen) >= 4
    assert all(bool((p.organ | ~p.tumour).all()) for p in seen)


def test_hu_are_whole_numbers_in_the_range_of_scanners() -> None:
    hu = picture(0, "pancreas").hu
    assert torch.equal(hu, hu.round())
    assert -1024 <= float(hu.min()) < -900
    assert float(hu.max()) <= 3071


def test_synthesize_gives_a_study_with_its_labels_and_a_record_of_plain_data() -> None:
    import json

    made = synthesize_ct(4, "kidney", spacing_mm=4.0, phase="portal")
    assert made.study.channels["ct"].shape == made.label_map.shape == made.study.grid.shape == (104, 76, 72)
    assert made.study.grid.axis_codes == ("R", "A", "S")
    assert json.loads(json.dumps(made.record))["enhancement"]["phase"] == "portal"
    where = np.argwhere(made.label_map > 0).mean(0)
    assert abs(float(made.study.grid.to_world(where)[0])) < 40


def test_the_liver_lies_on_the_right_and_the_spleen_on_the_left() -> None:
    organs = subject(0, "liver").organs
    for name, sign in (("liver", 1), ("spleen", -1)):
        level = organs[name].level
        assert sign * float(level.region.points(level.values.device)[0][level.values > 0].mean()) > 20


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"organ": "spleen"}, "pancreas"),
        ({"phase": "venous"}, "portal"),
        ({"organ": "kidney", "family": "metastasis"}, "papillary carcinoma"),
    ],
)
def test_an_unknown_organ_phase_or_family_is_refused_with_the_known_ones(options: dict[str, str], known: str) -> None:
    with pytest.raises(InputError, match=known):
        AbdomenSubject.random(0, **options)


def test_a_spacing_no_scanner_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"0\.5 to 5"):
        synthesize_ct(0, "liver", spacing_mm=12.0)
