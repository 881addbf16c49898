"""Scans like the training studies pass; exchanged, noisy and foreign ones are warned of."""

import numpy as np
import pytest

from oncoprompt.geometry import Grid
from oncoprompt.inference.familiarity import WHOLE, Familiarity, intensity_statistics
from oncoprompt.study import Study

SHAPE = (48, 48, 48)


def head(seed: int, noise: float = 0.02) -> dict[str, np.ndarray]:
    """A ball with a bright and a dark tissue in t1c, the other way about in t2f."""
    rng = np.random.default_rng(seed)
    centre = np.linalg.norm(np.indices(SHAPE).T - 24, axis=-1).T
    tissue = np.sin(np.indices(SHAPE)[0] / rng.uniform(2.5, 3.5)) > rng.uniform(-0.3, 0.3)
    inside = centre < rng.uniform(19, 22)
    images = {}
    for name, (dark, bright) in {"t1c": (1.0, 2.0), "t2f": (3.0, 1.0)}.items():
        image = np.where(tissue, bright, dark) + rng.normal(0, noise * rng.uniform(0.8, 1.2), SHAPE)
        images[name] = np.where(inside, 100 * np.maximum(image, 0.01) ** rng.uniform(0.9, 1.1), 0).astype(np.float32)
    images["t2f"] = images["t2f"] ** 2
    return images


def study(images: dict[str, np.ndarray], spacing_mm: float = 2.0) -> Study:
    return Study(images, Grid(next(iter(images.values())).shape, np.diag([spacing_mm] * 3 + [1.0])))


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    return Familiarity.fit([intensity_statistics(study(head(seed))) for seed in range(24)])


def test_a_study_like_the_others_passes_whatever_its_channels(familiarity) -> None:
    images = head(100)
    for names in (("t1c", "t2f"), ("t2f", "t1c"), ("t1c",), ("t2f",)):
        statistics = intensity_statistics(study({name: images[name] for name in names}))
        assert familiarity.warnings(statistics) == []


def test_the_scale_of_the_intensities_does_not_matter(familiarity) -> None:
    images = {name: 7.0 * image for name, image in head(100).items()}
    assert familiarity.warnings(intensity_statistics(study(images))) == []


def test_exchanged_channels_are_named(familiarity) -> None:
    images = head(100)
    exchanged = study({"t1c": images["t2f"], "t2f": images["t1c"]})
    assert "t1c and t2f look exchanged" in familiarity.warnings(intensity_statistics(exchanged))[0]


def test_strong_noise_is_warned_of(familiarity) -> None:
    said = familiarity.warnings(intensity_statistics(study(head(100, noise=2.0))))
    assert any("unlike the training studies" in text for text in said)


def test_an_unknown_channel_is_named(familiarity) -> None:
    said = familiarity.warnings(intensity_statistics(study({**head(100), "ct": head(101)["t1c"]})))
    assert said == ["Channel ct was in none of the training studies."]


def test_a_tiny_scan_is_warned_of(familiarity) -> None:
    said = familiarity.warnings(intensity_statistics(study(head(100), spacing_mm=0.5)))
    assert any(text.startswith("The scan") for text in said)


def test_training_studies_lie_within_the_limits(familiarity) -> None:
    statistics = intensity_statistics(study(head(3)))
    assert 0 < familiarity.distance(statistics) < familiarity.limits[WHOLE]


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 3, 3), (40, 40, 1)])
def test_statistics_of_thin_and_tiny_scans_are_finite(shape) -> None:
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    scan = Study({"t1c": image, "t2f": image % 2}, Grid(shape, np.eye(4)))
    assert np.isfinite(list(intensity_statistics(scan).values())).all()
