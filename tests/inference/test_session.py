"""Sessions: whatever is asked, the answer lies on the grid of the scan, nested, and slow work is done once."""

from itertools import permutations, product

import numpy as np
import pytest
import torch

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.geometry import Grid
from oncoprompt.inference import Session
from oncoprompt.methods.msm_seg import MSMSeg
from oncoprompt.methods.msm_seg.method import MSMSegMethod
from oncoprompt.methods.msm_seg.region import RegionPolicy
from oncoprompt.prompts import Box, Click, Text
from oncoprompt.study import Study, read_label_map

SHAPE = (26, 30, 22)
BOX = [[8, 18], [9, 20], [6, 15]]


@pytest.fixture(scope="module")
def method() -> MSMSegMethod:
    torch.manual_seed(0)
    network = MSMSeg()
    # logits about zero, so that an untrained network says something everywhere
    torch.nn.init.zeros_(network.decoder.bias)
    return MSMSegMethod(network, "untrained", "0" * 64, torch.device("cpu"), RegionPolicy(most_voxels=32))


def make_study(affine: np.ndarray | None = None, channels: tuple[str, ...] = ("t1c", "t2f")) -> Study:
    rng = np.random.default_rng(1)
    images = {}
    for name in channels:
        image = rng.normal(100, 10, SHAPE).astype(np.float32)
        image[8:18, 9:20, 6:15] += 80
        image[:3] = 0.0
        images[name] = image
    return Study(images, Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]) if affine is None else affine))


@pytest.mark.parametrize("prompt", ["box", "boxes", "click", "box and click", "nothing"])
def test_regions_are_nested_and_on_the_grid_of_the_scan_for_every_prompt(method: MSMSegMethod, prompt: str) -> None:
    study = make_study()
    box = Box.from_voxels(BOX, study.grid)
    click = Click.at_voxel((12, 14, 10), study.grid)
    prompts = {
        "box": box,
        "boxes": [box, Box.from_voxels([[18, 24], [20, 28], [14, 20]], study.grid)],
        "click": click,
        "box and click": [box, click],
        "nothing": None,
    }
    result = Session(study, model=method).segment(prompts[prompt])
    whole, core, enhancing = (result.probability(region) for region in ("WT", "TC", "ET"))
    assert whole.shape == study.grid.shape
    assert bool((whole >= core).all() and (core >= enhancing).all())
    assert result.label_map("brats2023").shape == study.grid.shape
    assert result.provenance.model == "untrained"


def test_a_second_prompt_on_the_same_box_encodes_nothing(method: MSMSegMethod) -> None:
    study = make_study()
    session = Session(study, model=method)
    first = session.segment(Box.from_voxels(BOX, study.grid))
    second = session.click(Click.at_voxel((12, 14, 10), study.grid, positive=False))
    assert "encode" in first.provenance.timings_s
    assert "encode" not in second.provenance.timings_s
    assert len(second.provenance.prompts) == 2


def test_the_answer_does_not_depend_on_how_the_scan_is_stored(method: MSMSegMethod) -> None:
    study = make_study()
    reference = Session(study, model=method).segment(Box.from_voxels(BOX, study.grid)).probability("WT")
    for order, flips in list(product(permutations(range(3)), product((1, -1), repeat=3)))[::7]:
        steps = tuple(slice(None, None, sign) for sign in flips)
        affine = study.grid.affine.copy()
        for axis, sign in enumerate(flips):
            if sign < 0:
                affine[:3, 3] += study.grid.affine[:3, axis] * (SHAPE[axis] - 1)
                affine[:3, axis] *= -1
        affine[:3, :3] = affine[:3, :3][:, order]
        stored = {name: np.transpose(image[steps], order) for name, image in study.channels.items()}
        other = Study(stored, Grid(stored["t1c"].shape, affine))
        box = np.array([BOX[a] if flips[a] > 0 else [SHAPE[a] - BOX[a][1], SHAPE[a] - BOX[a][0]] for a in order])
        answer = Session(other, model=method).segment(Box.from_voxels(box, other.grid)).probability("WT")
        assert np.allclose(np.transpose(reference[steps], order), answer, atol=2e-3)


def test_every_subset_of_channels_gives_an_answer(method: MSMSegMethod) -> None:
    names = ("t1n", "t1c", "t2w", "t2f")
    for bits in range(1, 16):
        study = make_study(channels=tuple(name for place, name in enumerate(names) if bits >> place & 1))
        result = Session(study, model=method).segment(Box.from_voxels(BOX, study.grid))
        assert np.isfinite(result.probability("WT")).all()


def test_saved_label_map_lies_on_the_grid_and_names_its_schema(method: MSMSegMethod, tmp_path) -> None:
    affine = np.array([[0.0, -1.5, 0.0, 9.0], [2.0, 0.0, 0.0, -4.0], [0.0, 0.0, 3.0, 2.0], [0, 0, 0, 1]])
    study = make_study(affine)
    result = Session(study, model=method).segment(Box.from_voxels(BOX, study.grid))
    result.save(tmp_path / "out.nii.gz", schema="brats2021")
    read = read_label_map(tmp_path / "out.nii.gz")
    assert read.schema.name == "brats2021"
    assert read.grid.matches(study.grid)
    assert np.array_equal(read.labels, result.label_map("brats2021"))


def test_volumes_counts_and_lesions_agree_with_the_mask(method: MSMSegMethod) -> None:
    study = make_study()
    result = Session(study, model=method).segment(Box.from_voxels(BOX, study.grid))
    voxels = int(result.mask("WT").sum())
    assert result.volume_ml("WT") == pytest.approx(voxels * 0.008)
    assert len(result.lesions) == result.count("WT")
    assert sum(lesion.voxels for lesion in result.lesions) == voxels


def test_a_box_outside_the_scan_is_refused(method: MSMSegMethod) -> None:
    study = make_study()
    away = Box.from_voxels([[0, 4], [0, 4], [0, 4]], Grid((10, 10, 10), np.diag([1.0, 1, 1, 1]) + _shift(500)))
    with pytest.raises(InputError, match="outside"):
        Session(study, model=method).segment(away)


def test_words_are_refused_by_a_model_that_does_not_read(method: MSMSegMethod) -> None:
    study = make_study()
    with pytest.raises(InputError, match="boxes and clicks"):
        Session(study, model=method).segment([Box.from_voxels(BOX, study.grid), Text("glioma")])


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="msm-seg-compact"):
        Session(make_study(), model="msm-seg-huge")


def test_a_model_without_weights_says_which_file_it_wants(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"sam2\.1_hiera_small\.pt"):
        Session(make_study(), model="msm-seg-hiera-small")


def test_an_unknown_device_is_refused(method: MSMSegMethod) -> None:
    with pytest.raises(InputError, match="device"):
        Session(make_study(), model="msm-seg-compact", device="warp-drive")


def _shift(mm: float) -> np.ndarray:
    out = np.zeros((4, 4))
    out[:3, 3] = mm
    return out
