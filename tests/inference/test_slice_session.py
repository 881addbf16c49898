"""One box a target on pictures and scans: every answer comes back on the grid that was given."""

import io

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geometry.grids import AXIS_ORDERS, grid_of
from inference.otsu_model import OtsuModel
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.inference.slice_session import SliceSession
from oncoprompt.inference.targets import TargetLogits, TargetSegmentation
from oncoprompt.prompts import Box, Click, Text
from oncoprompt.study import Study
from oncoprompt.study.picture import png_of

SHAPE = (24, 30, 16)


def scene(shape=SHAPE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two bright balls in a dim volume, and their masks."""
    places = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    first, second = (
        np.linalg.norm((places - centre) / np.asarray(radii), axis=-1) < 1
        for centre, radii in (((8, 9, 8), (5, 6, 4.4)), ((17, 22, 7), (4, 5, 3.4)))
    )
    values = np.random.default_rng(0).normal(60, 4, shape) + 120 * (first | second)
    return values.astype(np.float32), first, second


def volume_study(grid: Grid | None = None) -> Study:
    return Study({"t2f": scene()[0]}, grid or grid_of((0, 1, 2), (-1.0, -1.0, 1.0), SHAPE, (1.0, 1.0, 2.0)))


def picture(tmp_path, colour=False) -> Study:
    values, _, _ = scene()
    grey = np.clip(values[:, :, 8], 0, 255).astype(np.uint8).T
    (tmp_path / "x.png").write_bytes(png_of(grey))
    if colour:
        Image.fromarray(np.dstack([grey, grey // 2, grey])).save(tmp_path / "x.png")
    return Study.read(tmp_path / "x.png")


def box(study: Study, *ranges: tuple[int, int]) -> Box:
    return Box.from_voxels(ranges, study.grid)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_many_boxes_on_a_picture_take_one_encoding_and_one_decoding(tmp_path):
    study, model = picture(tmp_path), OtsuModel()
    session = SliceSession(study, model)
    result = session.segment([box(study, (2, 14), (2, 16), (0, 1)), box(study, (12, 23), (16, 29), (0, 1))])
    assert model.encoded == [(30, 24)]
    assert [len(prompts) for prompts in model.decoded] == [2]
    _, first, second = scene()
    np.testing.assert_array_equal(result.mask(1)[:, :, 0], first[:, :, 8])
    np.testing.assert_array_equal(result.label_map()[:, :, 0], first[:, :, 8] + 2 * second[:, :, 8])
    assert result.probability(2).max() > 0.99
    assert result.provenance.model == "otsu-in-box"
    assert result.intensities["preset"] == "unchanged"


def test_a_colour_picture_is_shown_in_colour_or_one_channel(tmp_path):
    study, model = picture(tmp_path, colour=True), OtsuModel()
    prompt = box(study, (2, 14), (2, 16), (0, 1))
    assert SliceSession(study, model).segment(prompt).channels == ("red", "green", "blue")
    assert SliceSession(study, model, channel="green").segment(prompt).channels == ("green",)
    assert model.encoded == [(30, 24, 3), (30, 24)]


@pytest.mark.parametrize(("order", "signs"), AXIS_ORDERS[::5])
def test_a_box_finds_its_ball_for_axis_orders_and_planes(order, signs):
    study = volume_study(grid_of(order, signs, SHAPE, (1.0, 1.2, 0.9)))
    _, first, _ = scene()
    for plane in ("axial", "coronal", "sagittal"):
        result = SliceSession(study, OtsuModel(), plane=plane).segment(box(study, (2, 14), (2, 16), (3, 13)))
        assert result.mask().shape == study.grid.shape
        assert dice(result.mask(), first) > 0.95


def test_a_box_on_one_slice_is_followed_to_both_ends_of_its_target():
    study, model = volume_study(), OtsuModel()
    _, first, second = scene()
    session = SliceSession(study, model)
    key = box(study, (2, 14), (2, 16), (8, 9))
    followed = session.segment(key)
    assert followed.plane == "axial"
    assert dice(followed.mask(), first) > 0.9
    alone = session.segment(key, propagate=False)
    np.testing.assert_array_equal(alone.mask()[:, :, 8], first[:, :, 8])
    assert np.flatnonzero(alone.mask().any(axis=(0, 1))).tolist() == [8]
    assert not (followed.mask() & second).any()


def test_a_deep_box_is_answered_within_its_slices_and_slices_are_encoded_once():
    study, model = volume_study(), OtsuModel()
    session = SliceSession(study, model)
    prompt = box(study, (2, 14), (2, 16), (6, 10))
    result = session.segment(prompt)
    assert np.flatnonzero(result.mask().any(axis=(0, 1))).tolist() == [6, 7, 8, 9]
    session.segment([prompt, box(study, (12, 23), (16, 29), (6, 10))])
    assert len(model.encoded) == 4
    by_box = session.segment(prompt, propagate=False)
    assert dice(by_box.mask(), scene()[1] & by_box.mask().any(axis=(0, 1))) > 0.95


def test_clicks_correct_the_nearest_target_and_leave_the_others():
    study = volume_study()
    session = SliceSession(study, OtsuModel())
    before = session.segment([box(study, (2, 14), (2, 16), (4, 12)), box(study, (12, 23), (16, 29), (4, 11))])
    after = session.click(Click.at_voxel((8, 9, 10), study.grid, positive=False))
    assert before.mask(1)[8, 9, 10]
    assert not after.mask(1)[8, 9, 10]
    np.testing.assert_array_equal(before.mask(2), after.mask(2))
    grown = session.click(Click.at_voxel((8, 9, 12), study.grid))
    assert grown.mask(1)[8, 9, 12]
    assert not grown.mask(1)[8, 9, 10]


def test_a_click_on_the_slice_of_the_box_is_part_of_its_prompt():
    study = volume_study()
    session = SliceSession(study, OtsuModel())
    before = session.segment(box(study, (2, 14), (2, 16), (8, 9)), propagate=False)
    after = session.click(Click.at_voxel((20, 9, 8), study.grid))
    assert not before.mask()[20, 9, 8]
    assert after.mask()[20, 9, 8]


class Following(OtsuModel):
    """A model that follows targets by itself: the threshold of the shown slice holds for all."""

    def segment_volume(self, stack, key, prompt, first, last):
        logits = np.full(stack.shape, -20.0, np.float32)
        logits[first:last] = [self._answer(image, prompt) for image in stack[first:last]]
        return logits


def test_a_model_of_volumes_follows_by_itself():
    study, model = volume_study(), Following()
    session = SliceSession(study, model)
    result = session.segment(box(study, (2, 14), (2, 16), (4, 12)))
    assert model.decoded == []
    assert dice(result.mask(), scene()[1]) > 0.9
    after = session.click(Click.at_voxel((8, 9, 10), study.grid, positive=False))
    assert not after.mask()[8, 9, 10]


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        ([], "must be shown its targets"),
        ([Click((-8.0, -9.0, 16.0), positive=False)], "Only clicks outside"),
        ([Click((-8.0, -9.0, 16.0))], "needs a box"),
        ([Text("tumour")], "Words alone"),
        ([Text("tumour"), Text("liver")], "reads one text"),
        ([Click((500.0, 0.0, 0.0))], "outside the scan"),
    ],
)
def test_prompts_that_show_no_target_are_refused(prompts, told):
    grid = Grid(SHAPE, np.diag([-1.0, -1.0, 2.0, 1.0]))
    with pytest.raises(InputError, match=told):
        SliceSession(volume_study(grid), OtsuModel()).segment(prompts)


def test_words_are_refused_by_models_that_read_none():
    study = volume_study()
    with pytest.raises(InputError, match="reads no words"):
        SliceSession(study, OtsuModel()).segment([box(study, (2, 14), (2, 16), (4, 12)), Text("tumour")])


def test_several_channels_need_a_choice():
    values, _, _ = scene()
    study = Study({"t1c": values, "t2f": values + 1}, volume_study().grid)
    with pytest.raises(InputError, match=r"channels t1c, t2f.*--on NAME"):
        SliceSession(study, OtsuModel())
    with pytest.raises(InputError, match="no channel 'ct'"):
        SliceSession(study, OtsuModel(), channel="ct")
    assert SliceSession(study, OtsuModel(), channel="FLAIR").segment(
        box(study, (2, 14), (2, 16), (4, 12))
    ).channels == ("t2f",)


def test_a_target_that_is_not_there_is_told(tmp_path):
    study = picture(tmp_path)
    flat = Study({"grey": np.where(scene()[0][:, :, 8:9] > 0, 50, 0) + np.eye(24, 30)[..., None]}, study.grid)
    result = SliceSession(flat, OtsuModel()).segment(box(study, (2, 9), (12, 16), (0, 1)))
    assert result.warnings == ("Nothing was found for target 1. Check where its box or click lies.",)
    assert result.voxels(1) == 0


def segmentation(study: Study, *masks: np.ndarray, heights: tuple[float, ...] = (3.0, 5.0)) -> TargetSegmentation:
    targets = [
        TargetLogits.cropped(np.where(mask, np.float32(height), np.float32(-20)))
        for mask, height in zip(masks, heights, strict=False)
    ]
    provenance = SliceSession(study, OtsuModel()).segment(
        Box.from_voxels([[0, s] for s in study.grid.shape], study.grid)
    )
    return TargetSegmentation(study, targets, provenance.provenance, "axial", ("grey",), {})


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(AXIS_ORDERS))
def test_files_hold_the_higher_logit_on_the_grid_of_the_scan(tmp_path_factory, seed, axes):
    rng = np.random.default_rng(seed)
    grid = grid_of(*axes, (5, 6, 4))
    study = Study({"ct": rng.normal(size=(5, 6, 4)).astype(np.float32)}, grid)
    first, second = rng.random((2, 5, 6, 4)) < 0.4
    result = segmentation(study, first, second)
    expected = np.where(second, 2, first).astype(np.uint8)
    np.testing.assert_array_equal(result.label_map(), expected)
    path = tmp_path_factory.mktemp("out") / "seg.nii.gz"
    result.save(path)
    written = nib.load(path)
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
    np.testing.assert_allclose(written.affine, grid.affine, atol=1e-5)
    assert result.volume_ml(1) == pytest.approx(first.sum() * grid.voxel_volume_ml)
    with pytest.raises(InputError, match="cannot hold a volume"):
        result.save(path.with_name("seg.png"))
    assert [file.name for file in path.parent.iterdir()] == ["seg.nii.gz"]


def test_a_png_has_the_rows_and_columns_of_the_picture(tmp_path):
    study = picture(tmp_path)
    _, first, second = scene()
    one, two = first[:, :, 8:9], second[:, :, 8:9]
    out = tmp_path / "mask.png"
    segmentation(study, one).save(out)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(out.read_bytes()))), 255 * one[:, :, 0].T)
    result = segmentation(study, one, two)
    result.save(out)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), one[:, :, 0].T + 2 * two[:, :, 0].T)
    assert result.volume_ml(1) is None
    assert result.area_mm2(1) is None
    with pytest.raises(InputError, match="numbered 1 to 2"):
        result.mask(3)


def test_a_slice_with_a_spacing_has_an_area():
    values, first, _ = scene()
    grid = Grid((24, 30, 1), np.diag([-0.5, -0.4, 5.0, 1.0]))
    result = segmentation(Study({"ct": values[:, :, 8:9]}, grid), first[:, :, 8:9])
    assert result.area_mm2() == pytest.approx(0.2 * first[:, :, 8].sum())
