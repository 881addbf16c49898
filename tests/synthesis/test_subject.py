"""Subjects: the rules that labels, contrasts and seeds of synthetic studies obey."""

import numpy as np
import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.synthesis import FAMILIES, Subject, synthesize
from oncoprompt.synthesis.anatomy import random_anatomy
from oncoprompt.synthesis.fields import box_points, sample
from oncoprompt.synthesis.relaxometry import HealthyTissue, Sequences

GRID = box_points(4.0, torch.device("cpu"))
SPACING = (4.0, 4.0, 4.0)
TUMOURS = [family for family in FAMILIES if family != "healthy"]


def generators(seed: int) -> tuple[np.random.Generator, torch.Generator]:
    """The generators Subject.random starts its anatomy from."""
    rng = np.random.default_rng(seed)
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def picture(seed: int, family: str | None = None):
    return Subject.random(seed, family).picture(GRID, SPACING)


def test_same_seed_gives_the_same_bytes() -> None:
    one, two = picture(3), picture(3)
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.labels, two.labels)


def test_another_seed_gives_another_person() -> None:
    assert not torch.allclose(picture(3).images, picture(4).images)


@pytest.mark.parametrize("family", TUMOURS)
def test_every_family_of_tumour_has_labels_inside_the_mask_and_finite_images(family: str) -> None:
    found = 0
    for seed in range(3):
        made = picture(seed, family)
        assert bool(torch.isfinite(made.images).all())
        assert bool((made.images[:, ~made.mask] == 0).all())
        assert bool((made.labels[~made.mask] == 0).all())
        assert set(made.labels.unique().tolist()) <= {0, 1, 2, 3}
        found += int((made.labels > 0).any())
    assert found >= 2


def test_healthy_people_have_no_label() -> None:
    assert int(picture(5, "healthy").labels.max()) == 0


def test_a_high_grade_core_enhances_and_its_oedema_is_bright_on_flair() -> None:
    brighter = {"t1c": 0, "t2f": 0}
    counted = {"t1c": 0, "t2f": 0}
    for seed in range(8):
        subject = Subject.random(seed, "high-grade glioma")
        made = subject.picture(GRID, SPACING)
        healthy = made.mask & (made.labels == 0)
        for channel, index, label in (("t1c", 1, 3), ("t2f", 3, 2)):
            where = made.labels == label
            if int(where.sum()) >= 10:
                counted[channel] += 1
                brighter[channel] += bool(made.images[index][where].mean() > made.images[index][healthy].mean())
    assert counted["t1c"] >= 5
    assert brighter["t1c"] >= 0.8 * counted["t1c"]
    assert brighter["t2f"] >= 0.9 * counted["t2f"]


@pytest.mark.parametrize("field_tesla", [1.5, 3.0])
def test_contrast_order_of_healthy_tissue_holds_for_centre_values(field_tesla: float) -> None:
    tissue = HealthyTissue.table(field_tesla, torch.device("cpu"))
    for seed in range(50):
        sequences = Sequences.random(np.random.default_rng(seed), float(tissue.r1[3]))
        grey, _, white, csf = range(4)
        t1, t2, flair = (
            sequences.signal(channel, tissue.r1, tissue.r2, tissue.density) for channel in ("t1n", "t2w", "t2f")
        )
        assert t1[white] > t1[grey] > t1[csf]
        assert t2[csf] > t2[grey] > t2[white]
        assert flair[csf] < min(flair[grey], flair[white])


def test_more_contrast_agent_brightens_t1c_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    tissue = HealthyTissue.random(rng, torch.device("cpu"))
    sequences = Sequences.random(rng, float(tissue.r1[3]))
    r1, r2, density = torch.tensor([0.7]), torch.tensor([9.0]), torch.tensor([0.86])
    before, after = (sequences.signal("t1c", r1 + dose, r2, density) for dose in (0.2, 1.0))
    assert float(after) > float(before)


def test_statistics_describe_the_picture() -> None:
    subject = Subject.random(11, "high-grade glioma")
    made = subject.picture(GRID, SPACING)
    mean, deviation = subject.statistics()
    measured = made.images[:, made.mask]
    assert torch.allclose(mean, measured.mean(1), rtol=0.35)
    assert torch.allclose(deviation, measured.std(1), rtol=0.6)


def test_a_mass_pushes_tissue_away_from_itself_and_leaves_the_skull() -> None:
    subject = Subject.random(4, "meningioma")
    core = sample(subject.lesion.levels[:1], GRID)[0] > 0
    still = random_anatomy(*generators(4))
    moved = (subject.anatomy.atlas_points - still.atlas_points).norm(dim=0)
    near = torch.nn.functional.max_pool3d(core.float()[None, None], 5, 1, 2)[0, 0] > 0
    _, depth, _ = still.tissue(GRID)
    assert float(moved[near & (depth > 4)].mean()) > 1.0
    assert float(moved[depth < -12].max()) < 0.5


def test_synthesize_gives_a_study_on_a_one_millimetre_grid_with_its_record() -> None:
    made = synthesize(21, "low-grade glioma")
    assert made.study.grid.shape == (160, 192, 160)
    assert made.study.grid.spacing_mm == pytest.approx((1.0, 1.0, 1.0))
    assert made.label_map.shape == made.study.grid.shape
    assert tuple(made.study.channels) == ("t1n", "t1c", "t2w", "t2f")
    assert made.record["family"] == made.family == "low-grade glioma"
    assert made.record["volume_ml"]["SNFH"] == pytest.approx(float((made.label_map == 2).sum()) / 1000)


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="meningioma"):
        synthesize(1, "lymphoma")
