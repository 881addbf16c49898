"""Subjects: the rules that labels, masks, statistics and seeds of synthetic people obey."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.synthesis import FAMILIES, Picture, Subject
from oncoprompt.synthesis.anatomy import MAP_SPACING_MM, random_anatomy
from oncoprompt.synthesis.fields import box_points, jacobian_determinant, sample
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.scanner import Scanner
from oncoprompt.synthesis.subject import FAMILY_SHARES

GRID = box_points(4.0, torch.device("cpu"))
SPACING = (4.0, 4.0, 4.0)
TUMOURS = [family for family in FAMILIES if family != "healthy"]
LABELS = {
    "high-grade glioma": {0, 1, 2, 3},
    "low-grade glioma": {0, 1, 2, 3},
    "metastases": {0, 1, 2, 3},
    "meningioma": {0, 1, 2, 3},
    "post-treatment glioma": {0, 1, 2, 3, 4},
}


@lru_cache(maxsize=32)
def person(seed: int, family: str | None = None) -> Subject:
    return Subject.random(seed, family)


@lru_cache(maxsize=32)
def picture(seed: int, family: str | None = None) -> Picture:
    return person(seed, family).picture(GRID, SPACING)


def same(one: Picture, two: Picture) -> bool:
    return (
        torch.equal(one.images, two.images) and torch.equal(one.labels, two.labels) and torch.equal(one.mask, two.mask)
    )


def test_same_seed_gives_the_same_bytes_and_another_another_person() -> None:
    assert same(picture(3), Subject.random(3).picture(GRID, SPACING))
    assert not torch.allclose(picture(3).images, picture(4).images)


def test_naming_the_family_that_a_seed_draws_changes_nothing() -> None:
    assert same(picture(3), Subject.random(3, person(3).family).picture(GRID, SPACING))


def test_another_acquisition_changes_the_noise_and_not_the_person() -> None:
    again = person(3).picture(GRID, SPACING, seed=1)
    assert not any(torch.equal(one, two) for one, two in zip(again.images, picture(3).images, strict=True))
    perfect = replace(person(3), scanners=(Scanner(),) * len(CHANNELS))
    assert same(perfect.picture(GRID, SPACING), perfect.picture(GRID, SPACING, seed=1))


def test_shares_of_families_are_probabilities_and_every_family_is_drawn() -> None:
    assert sum(FAMILY_SHARES) == pytest.approx(1)
    assert len(FAMILY_SHARES) == len(FAMILIES)
    assert min(FAMILY_SHARES) > 0


@pytest.mark.parametrize("family", TUMOURS)
def test_labels_lie_inside_the_mask_and_images_are_finite_and_empty_outside(family: str) -> None:
    found = 0
    for seed in range(2):
        made = picture(seed, family)
        assert bool(torch.isfinite(made.images).all())
        assert float(made.images.min()) >= 0
        assert bool((made.images[:, ~made.mask] == 0).all())
        assert bool((made.labels[~made.mask] == 0).all())
        assert set(made.labels.unique().tolist()) <= LABELS[family]
        found += int((made.labels > 0).any())
    assert found >= 1


def test_a_cavity_is_labelled_in_treated_people_alone() -> None:
    assert any(bool((picture(seed, "post-treatment glioma").labels == 4).any()) for seed in range(2))


def test_healthy_people_have_no_label() -> None:
    made = picture(5, "healthy")
    assert int(made.labels.max()) == 0
    assert 700 < float(made.mask.sum()) * 0.064 < 2600


def test_channels_normalised_by_the_statistics_have_about_mean_0_and_deviation_1() -> None:
    means, deviations = [], []
    for seed, family in ((0, "high-grade glioma"), (1, "meningioma"), (0, "post-treatment glioma"), (5, "healthy")):
        mean, deviation = person(seed, family).statistics()
        made = picture(seed, family)
        normalised = (made.images[:, made.mask] - mean[:, None]) / deviation[:, None]
        means += normalised.mean(1).tolist()
        deviations += normalised.std(1).tolist()
    # the statistics know the person and not the coil: its bias moves single channels
    assert np.abs(means).mean() < 0.4
    assert np.abs(means).max() < 1.5
    assert 0.85 < np.mean(deviations) < 1.3
    assert 0.5 < min(deviations) < max(deviations) < 2.0


def test_a_mass_pushes_tissue_away_from_itself_and_leaves_the_skull() -> None:
    subject = person(4, "meningioma")
    rng = np.random.default_rng(4)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    rng.choice(FAMILIES, p=FAMILY_SHARES)
    still = random_anatomy(rng, generator)
    core = sample(subject.lesion.levels[:1], GRID)[0] > 0
    moved = (subject.anatomy.atlas_points - still.atlas_points).norm(dim=0)
    near = torch.nn.functional.max_pool3d(core.float()[None, None], 5, 1, 2)[0, 0] > 0
    _, depth, _ = still.tissue(GRID)
    assert float(moved[near & (depth > 4)].mean()) > 1.0
    assert float(moved[depth < -12].max()) < 0.5


@pytest.mark.parametrize(("seed", "family"), [(4, "meningioma"), (1, "meningioma"), (0, "post-treatment glioma")])
def test_tissue_does_not_fold_where_a_mass_pushes_or_a_cavity_pulls(seed: int, family: str) -> None:
    points = person(seed, family).anatomy.atlas_points.permute(1, 2, 3, 0)
    determinant = jacobian_determinant(points, MAP_SPACING_MM)
    assert float((determinant * determinant.mean().sign()).min()) > 0


def test_a_whole_head_needs_an_atlas_with_a_head() -> None:
    with pytest.raises(InputError, match="brain without a head"):
        Subject.random(1, whole_head=True)


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="meningioma"):
        Subject.random(1, "lymphoma")
