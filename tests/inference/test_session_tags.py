"""Sessions with TAGS: words and anatomy go along in every look, on MRI and on CT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from methods.tags.tiny_compact import BOX, SHAPE, study_of, tiny_compact
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.inference import Session
from oncoprompt.methods.interface import Encoding, Prompt, RegionProbabilities
from oncoprompt.methods.msm_seg import MSMSeg
from oncoprompt.methods.msm_seg.method import MSMSegMethod
from oncoprompt.methods.tags.compact_method import CompactTagsMethod
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study import Study, read_label_map


class Noted(CompactTagsMethod):
    """The method itself, which also notes what it is asked."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.regions: list[object] = []
        self.asked: list[Sequence[Prompt]] = []

    def encode(self, study: Study, region) -> Encoding:
        self.regions.append(region)
        return super().encode(study, region)

    def decode(self, encoding, prompts, study, previous=None) -> RegionProbabilities:
        self.asked.append(prompts)
        return super().decode(encoding, prompts, study, previous)


def method(bias: float = 0.0) -> Noted:
    return Noted(tiny_compact(bias), "tiny", "0" * 64, torch.device("cpu"))


def anatomy_of(grid: Grid) -> Anatomy:
    mask = np.zeros(grid.shape, dtype=bool)
    mask[tuple(slice(size // 5, 4 * size // 5) for size in grid.shape)] = True
    return Anatomy(mask, grid)


COARSE = Grid((12, 10, 9), np.array([[0, 8.0, 0, 2], [8.0, 0, 0, 1], [0, 0, -7.0, 56], [0, 0, 0, 1]]))


@pytest.mark.parametrize("channels", [("t1c", "t2f"), ("ct",)])
@pytest.mark.parametrize("prompt", ["words", "words and box", "words and clicks", "mask", "everything", "nothing"])
def test_regions_are_nested_and_on_the_grid_of_the_scan_for_every_prompt(channels, prompt) -> None:
    study = study_of(*channels)
    text = Text("glioma" if "t1c" in channels else "kidney tumour")
    box, mask = Box.from_voxels(BOX, study.grid), anatomy_of(COARSE)
    clicks = [Click.at_voxel((12, 14, 10), study.grid), Click.at_voxel((25, 5, 5), study.grid, positive=False)]
    prompts = {
        "words": text,
        "words and box": [text, box],
        "words and clicks": [text, *clicks],
        "mask": mask,
        "everything": [text, box, *clicks, mask],
        "nothing": None,
    }
    result = Session(study, model=method()).segment(prompts[prompt])
    whole, core, enhancing = (result.probability(region) for region in ("WT", "TC", "ET"))
    assert whole.shape == SHAPE
    assert bool((whole >= core).all() and (core >= enhancing).all())
    if channels == ("ct",):
        assert not result.mask("TC").any()


def test_words_and_anatomy_go_along_in_the_search_and_in_every_closer_look() -> None:
    study, noted = study_of("t1c", "t2f"), method(bias=3.0)
    text, mask = Text("glioma"), anatomy_of(study.grid)
    Session(study, model=noted).segment([text, mask])
    assert noted.regions[0] is None
    assert len(noted.asked) == len(noted.regions) >= 2
    assert all(text in asked and mask in asked for asked in noted.asked)
    assert all(any(isinstance(prompt, Box) for prompt in asked) for asked in noted.asked[1:])


def test_a_ct_is_looked_at_once_for_words_and_closely_where_a_click_points() -> None:
    study, noted = study_of("ct"), method(bias=3.0)
    session = Session(study, model=noted)
    found = session.segment([Text("liver tumour"), anatomy_of(study.grid)])
    assert noted.regions == [None]
    assert found.mask("WT").any()
    session.click(Click.at_voxel((12, 14, 10), study.grid))
    assert len(noted.regions) == 2


def test_other_words_give_another_answer_and_encode_nothing_again() -> None:
    study, noted = study_of("ct"), method()
    session, box = Session(study, model=noted), Box.from_voxels(BOX, study.grid)
    liver, kidney = (session.segment([box, Text(f"{organ} tumour")]).probability("WT") for organ in ("liver", "kidney"))
    assert len(noted.regions) == 1
    assert np.abs(liver - kidney).max() > 1e-3


def test_words_nobody_taught_and_two_phrases_are_refused() -> None:
    with pytest.raises(InputError, match=r"'wrist fracture' .* knows: healthy, tumour, glioma"):
        Session(study_of("t1c"), model=method()).segment(Text("wrist fracture"))
    with pytest.raises(InputError, match=r"One thing .* glioma, meningioma"):
        Session(study_of("t1c"), model=method()).segment([Text("glioma"), Text("meningioma")])


@pytest.mark.parametrize("prompt", [Text("glioma"), anatomy_of(study_of("t1c").grid)])
def test_a_model_that_reads_neither_words_nor_masks_says_so_before_the_scan_is_looked_at(prompt, monkeypatch) -> None:
    model = MSMSegMethod(MSMSeg(), "untrained", "0" * 64, torch.device("cpu"))
    monkeypatch.setattr(model, "encode", lambda *_: pytest.fail("the scan was looked at"))
    with pytest.raises(InputError, match="reads boxes and clicks"):
        Session(study_of("t1c"), model=model).segment([Box.from_voxels(BOX, study_of("t1c").grid), prompt])


@pytest.mark.parametrize("words", ["meningioma", "healthy"])
def test_an_empty_answer_to_words_is_said(words) -> None:
    result = Session(study_of("t1c"), model=method(bias=-20.0)).segment(Text(words))
    assert result.volume_ml("WT") == 0.0
    assert any(f"'{words}'" in warning for warning in result.warnings)


def test_a_mask_outside_the_scan_is_refused_and_one_mostly_outside_is_told() -> None:
    study, noted = study_of("t1c"), method()
    away = study.grid.affine.copy()
    away[0, 3] += 500.0
    with pytest.raises(InputError, match="outside the scan"):
        Session(study, model=noted).segment(anatomy_of(Grid(SHAPE, away)))
    assert noted.regions == []
    away[0, 3] -= 440.0
    box = Box.from_voxels(BOX, study.grid)
    result = Session(study, model=noted).segment([box, anatomy_of(Grid(SHAPE, away))])
    assert any("of the anatomy mask lies in the scan" in warning for warning in result.warnings)


class BrighterThan:
    """A real method without weights: what is brighter than a level is tumour."""

    name, weights_sha256, level = "bright", "0" * 64, 120.0

    def encode(self, study: Study, region) -> Encoding:
        ranges = np.array([[0, size] for size in study.grid.shape]) if region is None else region
        return Encoding(study.grid, ranges)

    def decode(self, encoding, prompts, study, previous=None) -> RegionProbabilities:
        low, high = encoding.features[:, 0], encoding.features[:, 1]
        image = next(iter(study.channels.values()))[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        return RegionProbabilities(np.stack([(image > self.level) * np.float32(0.9)] * 3), tuple(low.tolist()))


def test_what_is_found_outside_the_organ_stays_out_unless_it_is_clicked_on() -> None:
    image = np.ones(SHAPE, dtype=np.float32)
    image[3:7, 3:7, 3:7] = image[22:26, 18:22, 12:16] = 200.0
    study = Study({"ct": image}, Grid(SHAPE, np.diag([3.0, 3.0, 3.0, 1.0])))
    organ = np.zeros(SHAPE, dtype=bool)
    organ[18:28, 15:24, 10:18] = True
    session = Session(study, model=BrighterThan())
    assert session.segment(None).count("WT") == 2
    result = session.segment(Anatomy(organ, study.grid))
    assert result.count("WT") == 1
    assert result.mask("WT")[23, 19, 13]
    assert result.warnings[0].startswith("Of 2 places found, 1 lies outside the anatomy mask")
    clicked = session.segment([Anatomy(organ, study.grid), Click.at_voxel((5, 5, 5), study.grid)])
    assert clicked.mask("WT")[5, 5, 5]
    assert len(clicked.warnings) == 1
    assert "[5, 5, 5] lies outside the anatomy mask, and is followed all the same" in clicked.warnings[0]


class EnoughAtOnce(BrighterThan):
    """The same, whose look at the whole scan is as good as a closer one."""

    def __init__(self) -> None:
        self.regions: list[object] = []

    def encode(self, study: Study, region) -> Encoding:
        self.regions.append(region)
        found = super().encode(study, region)
        return Encoding(found.region, found.features, enough=0.5 if region is None else None)


def test_words_that_one_look_answers_are_not_looked_at_again_and_clicks_are() -> None:
    image = np.ones(SHAPE, dtype=np.float32)
    image[3:7, 3:7, 3:7] = image[22:26, 18:22, 12:16] = 200.0
    study, model = Study({"ct": image}, Grid(SHAPE, np.diag([3.0, 3.0, 3.0, 1.0]))), EnoughAtOnce()
    session = Session(study, model=model)
    unpointed = session.segment(Text("tumour"))
    assert np.array_equal(unpointed.mask("WT"), image > 100)
    assert "often no tumour" in unpointed.warnings[0]
    assert model.regions == [None]
    pointed = session.segment([Text("tumour"), Click.at_voxel((23, 19, 13), study.grid)])
    assert pointed.warnings == ()
    assert len(model.regions) == 2


def test_a_box_in_the_air_around_a_body_is_told() -> None:
    study = study_of("ct")
    result = Session(study, model=method()).segment(Box.from_voxels([[0, 3], [2, 20], [2, 15]], study.grid))
    assert any("almost wholly in air" in warning for warning in result.warnings)


def test_of_ct_a_tumour_is_saved_and_no_parts_of_one(tmp_path) -> None:
    study = study_of("ct")
    result = Session(study, model=method()).segment(Box.from_voxels(BOX, study.grid))
    result.save(tmp_path / "out.nii.gz")
    read = read_label_map(tmp_path / "out.nii.gz")
    assert read.schema.name == "tumour"
    assert np.array_equal(read.labels > 0, result.mask("WT"))
    with pytest.raises(InputError, match="Use schema 'tumour'"):
        result.save(tmp_path / "parts.nii.gz", schema="brats2023")
    assert [path.name for path in tmp_path.iterdir()] == ["out.nii.gz"]
