"""Summaries and tables hold the numbers of the segmentation, as JSON types."""

import json
from dataclasses import replace

import numpy as np
import pytest

from oncoprompt.evaluation import evaluate_regions
from oncoprompt.geometry import Grid
from oncoprompt.inference import Provenance, Segmentation
from oncoprompt.methods.interface import RegionProbabilities
from oncoprompt.report.summary import plain, summarise
from oncoprompt.report.table import region_table
from oncoprompt.study import Study

GRID = Grid((20, 24, 16), np.diag([1.0, 2.0, 2.5, 1.0]))


@pytest.fixture
def study() -> Study:
    volume = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    return Study({"t2f": volume}, GRID, "P7")


@pytest.fixture
def segmentation(study) -> Segmentation:
    values = np.zeros((3, *GRID.shape), dtype=np.float32)
    values[0, 2:6, 2:6, 2:6] = 0.9
    values[0, 12:14, 12:14, 12:14] = 0.9
    values[1:, 3:5, 3:5, 3:5] = 0.8
    provenance = Provenance("msm-seg-compact", "ab" * 32, (), "0.1.0", {"encode": 0.12345})
    return Segmentation(study, RegionProbabilities(values, (0, 0, 0)), provenance)


def test_volumes_are_millilitres_and_parts_are_counted(study, segmentation):
    regions = summarise(study, segmentation)["regions"]
    assert regions["WT"]["volume_ml"] == pytest.approx((64 + 8) * 5.0 / 1000)
    assert regions["TC"]["volume_ml"] == regions["ET"]["volume_ml"] == pytest.approx(8 * 5.0 / 1000)
    assert [regions[region]["count"] for region in ("WT", "TC", "ET")] == [2, 1, 1]


def test_weights_without_calibration_say_so_and_give_no_interval(study, segmentation):
    summary = summarise(study, segmentation)
    assert (summary["probabilities"], summary["interval_share"]) == ("uncalibrated", None)
    assert summary["regions"]["WT"]["volume_interval_ml"] is None


def test_warnings_are_told(study, segmentation):
    warned = replace(segmentation, warnings=("Check the box.",))
    assert summarise(study, warned)["warnings"] == ["Check the box."]


def test_lesions_model_prompts_timings_and_grid_are_told(study, segmentation):
    prompts = [{"kind": "box", "voxels": np.array([[2, 6], [2, 6], [2, 6]])}]
    summary = summarise(study, segmentation, prompts)
    assert [lesion["voxels"] for lesion in summary["lesions"]] == [64, 8]
    assert summary["lesions"][0]["regions_ml"]["ET"] == pytest.approx(0.04)
    assert summary["model"] == {"name": "msm-seg-compact", "weights_sha256": "ab" * 32}
    assert summary["prompts"] == [{"kind": "box", "voxels": [[2, 6], [2, 6], [2, 6]]}]
    assert summary["timings_s"] == {"encode": 0.123}
    assert summary["grid"]["shape"] == [20, 24, 16]
    assert summary["grid"]["spacing_mm"] == [1.0, 2.0, 2.5]


def test_of_ct_the_tumour_is_told_and_nothing_of_its_parts(study, segmentation):
    summary = summarise(Study({"ct": study.channels["t2f"]}, GRID, "P8"), segmentation)
    assert list(summary["regions"]) == ["tumour"]
    assert summary["regions"]["tumour"]["volume_ml"] == pytest.approx((64 + 8) * 5.0 / 1000)
    assert [list(lesion["regions_ml"]) for lesion in summary["lesions"]] == [["tumour"], ["tumour"]]


def test_a_summary_survives_json(study, segmentation):
    summary = summarise(study, segmentation)
    assert json.loads(json.dumps(summary)) == summary


def test_arrays_sets_and_numpy_scalars_become_json_types():
    value = {"a": np.float32(0.5), "b": (np.arange(2), {3, 1}), 4: None}
    assert plain(value) == {"a": 0.5, "b": [[0, 1], [1, 3]], "4": None}


def test_the_table_has_a_row_a_region_with_dice_and_millilitres():
    truth = np.zeros(GRID.shape, dtype=bool)
    truth[2:6, 2:6, 2:6] = True
    half = truth.copy()
    half[4:] = False
    table = region_table(evaluate_regions({"WT": half}, {"WT": truth}, GRID.spacing_mm))
    assert table.splitlines()[0].count("|") == table.splitlines()[2].count("|")
    assert "| WT | 0.667 | 0.16 | 0.32 |" in table
