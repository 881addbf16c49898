"""Calibrated probabilities stay nested and agree with the masks; what is stored is what is read."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.geometry import Grid
from oncoprompt.inference import Provenance, Segmentation
from oncoprompt.inference.calibration import Calibration, calibration_of, fit_temperature
from oncoprompt.inference.familiarity import Familiarity
from oncoprompt.inference.reliability import reliability
from oncoprompt.inference.volume_interval import VolumeError
from oncoprompt.methods.interface import RegionProbabilities
from oncoprompt.prompts import Box, Click
from oncoprompt.study import REGIONS, Study

GRID = Grid((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0]))
WEIGHTS = "ab" * 32
PROBABILITIES = arrays(np.float32, (3, 12), elements=st.floats(0.0, 1.0, width=32))


def make(temperatures: tuple[float, float, float] = (1.5, 0.7, 3.0)) -> Calibration:
    rng = np.random.default_rng(0)
    studies = [dict(zip(("t1c noise", "foreground"), rng.normal(size=2).tolist(), strict=True)) for _ in range(6)]
    errors = {region: VolumeError(-0.4, 0.3, 0.8) for region in REGIONS}
    temperature = dict(zip(REGIONS, temperatures, strict=True))
    return Calibration(WEIGHTS, temperature, errors, 0.2, Familiarity.fit(studies))


class Method:
    def __init__(self, calibration: dict) -> None:
        self.calibration = calibration


@given(PROBABILITIES, st.tuples(*[st.floats(0.2, 10.0)] * 3))
def test_calibrated_probabilities_are_nested_and_cross_one_half_nowhere(values, temperatures) -> None:
    nested = -np.sort(-values, axis=0)
    out = make(temperatures).probabilities(nested)
    assert out.dtype == np.float32
    assert np.array_equal(out > 0.5, nested > 0.5)
    assert bool((np.diff(out, axis=0) <= 0).all())
    assert bool(((out >= 0) & (out <= 1)).all())


@pytest.mark.parametrize("truth_temperature", [0.6, 1.0, 2.5])
def test_the_temperature_of_a_network_is_found(truth_temperature: float) -> None:
    rng = np.random.default_rng(3)
    studies = []
    for _ in range(3):
        logits = rng.normal(0, 3, 20_000)
        truth = rng.random(20_000) < 1 / (1 + np.exp(-logits))
        studies.append(((1 / (1 + np.exp(-logits * truth_temperature))).astype(np.float32), truth))
    assert fit_temperature(studies) == pytest.approx(truth_temperature, rel=0.05)


def test_a_temperature_without_studies_is_refused() -> None:
    with pytest.raises(InputError, match="at least one study"):
        fit_temperature([])


def test_what_is_stored_is_what_is_read() -> None:
    stored = json.loads(json.dumps(make().to_manifest()))
    read = Calibration.from_manifest(stored)
    assert read.to_manifest() == stored
    assert calibration_of(Method(stored), WEIGHTS).temperatures == make().temperatures


def test_a_calibration_of_other_weights_is_not_used() -> None:
    assert calibration_of(Method(make().to_manifest()), "cd" * 32) is None


def test_methods_without_calibration_are_uncalibrated() -> None:
    assert calibration_of(Method({}), WEIGHTS) is None
    assert calibration_of(object(), WEIGHTS) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda section: section.pop("temperatures"),
        lambda section: section["temperatures"].update(WT=0.0),
        lambda section: section["volumes"].update(ET={"low": 1}),
        lambda section: section["familiarity"]["mean"].append(1.0),
    ],
)
def test_a_damaged_calibration_is_refused(damage) -> None:
    section = make().to_manifest()
    damage(section)
    with pytest.raises(WeightsError, match="calibration"):
        Calibration.from_manifest(section)


def segmentation(calibration: Calibration | None, prompts: tuple) -> Segmentation:
    values = np.zeros((3, 6, 6, 6), np.float32)
    values[:, 1:5, 1:5, 1:5] = np.array([0.9, 0.8, 0.3], np.float32)[:, None, None, None]
    study = Study({"t1c": values[0]}, GRID, "P1")
    provenance = Provenance("m", WEIGHTS, prompts, "0")
    return Segmentation(study, RegionProbabilities(values, (0, 0, 0)), provenance, calibration=calibration)


def test_a_segmentation_gives_calibrated_probabilities_and_the_same_masks() -> None:
    box = Box.from_voxels([[1, 5]] * 3, GRID)
    plain, calibrated = segmentation(None, (box,)), segmentation(make(), (box,))
    assert plain.probability("WT")[2, 2, 2] == np.float32(0.9)
    assert calibrated.probability("WT")[2, 2, 2] == pytest.approx(1 / (1 + (1 / 9) ** (1 / 1.5)))
    for region in REGIONS:
        assert np.array_equal(plain.mask(region), calibrated.mask(region))
        assert np.array_equal(calibrated.probability(region) > 0.5, calibrated.mask(region))


def test_an_interval_is_given_for_boxes_with_a_calibration_alone() -> None:
    box, click = Box.from_voxels([[1, 5]] * 3, GRID), Click.at_voxel((2, 2, 2), GRID)
    low, high = segmentation(make(), (box, click)).volume_interval_ml("WT")
    assert low < segmentation(make(), (box,)).volume_ml("WT") < high
    assert segmentation(make(), (click,)).volume_interval_ml("WT") is None
    assert segmentation(None, (box,)).volume_interval_ml("WT") is None
    with pytest.raises(InputError, match="no region"):
        segmentation(make(), (box,)).volume_interval_ml("NETC")


def test_reliability_of_an_honest_and_of_an_overconfident_forecast() -> None:
    rng = np.random.default_rng(1)
    told = rng.random(50_000).astype(np.float32)
    truth = rng.random(50_000) < told
    assert reliability(told, truth).error < 0.02
    assert reliability((told > 0.5).astype(np.float32), truth).error == pytest.approx(0.25, abs=0.02)
    assert reliability(told, truth).share.sum() == pytest.approx(1.0)
