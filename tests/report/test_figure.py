"""The montage: written whole, with the outlines of what it was given."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.report.figure import COLOURS, draw_montage
from oncoprompt.study import Study


@pytest.fixture(scope="module")
def study() -> Study:
    rng = np.random.default_rng(0)
    grid = Grid((40, 48, 20), np.diag([-1.0, -1.0, 2.0, 1.0]))
    head = np.zeros(grid.shape, dtype=np.float32)
    head[4:36, 4:44, 2:18] = 100.0
    channels = {name: head + head * rng.normal(0, 0.02, grid.shape).astype(np.float32) for name in ("t1c", "t2f")}
    return Study(channels, grid, "P1")


def _mask(study: Study, low: int, high: int) -> np.ndarray:
    mask = np.zeros(study.grid.shape, dtype=bool)
    mask[low:high, low:high, 6:14] = True
    return mask


def _pixels_of(path, colour: str) -> int:
    """Pixels close to a colour below the legend's and titles' part of the picture."""
    picture = matplotlib.image.imread(path)[:, :, :3]
    body = picture[int(0.12 * len(picture)) : int(0.88 * len(picture))]
    return int((np.abs(body - np.array(to_rgb(colour))).max(axis=2) < 0.12).sum())


def test_each_region_is_outlined_in_its_colour(tmp_path, study):
    masks = {"WT": _mask(study, 8, 30), "TC": _mask(study, 12, 26), "ET": _mask(study, 16, 22)}
    draw_montage(tmp_path / "all.png", study, masks)
    draw_montage(tmp_path / "none.png", study, {region: np.zeros_like(mask) for region, mask in masks.items()})
    for colour in COLOURS.values():
        assert _pixels_of(tmp_path / "all.png", colour) > 200
        assert _pixels_of(tmp_path / "none.png", colour) == 0


def test_truth_is_drawn_dashed_beside_the_prediction(tmp_path, study):
    truth = {"WT": _mask(study, 8, 30)}
    nothing = {"WT": np.zeros(study.grid.shape, dtype=bool)}
    draw_montage(tmp_path / "solid.png", study, truth)
    draw_montage(tmp_path / "dashed.png", study, nothing, truth)
    solid, dashed = (_pixels_of(tmp_path / name, COLOURS["WT"]) for name in ("solid.png", "dashed.png"))
    assert 0.3 * solid < dashed < 0.85 * solid


def test_the_box_is_drawn(tmp_path, study):
    nothing = {"WT": np.zeros(study.grid.shape, dtype=bool)}
    draw_montage(tmp_path / "without.png", study, nothing)
    draw_montage(tmp_path / "with.png", study, nothing, boxes=[np.array([[8, 30], [8, 40], [4, 15]])])
    without, with_box = (matplotlib.image.imread(tmp_path / name) for name in ("without.png", "with.png"))
    body = slice(int(0.12 * len(without)), int(0.85 * len(without)))
    assert (with_box[body] != without[body]).any(axis=2).sum() > 200


def test_a_study_of_one_channel_can_be_drawn(tmp_path, study):
    single = Study({"t2f": study.channels["t2f"]}, study.grid)
    draw_montage(tmp_path / "one.png", single, {"WT": _mask(study, 8, 30)}, title="one channel")
    assert matplotlib.image.imread(tmp_path / "one.png").shape[0] > 300


@pytest.mark.parametrize("name", ["figure.jpg", "figure"])
def test_only_png_is_written(tmp_path, study, name):
    with pytest.raises(InputError, match=r"must end in \.png"):
        draw_montage(tmp_path / name, study, {})


def test_masks_of_another_shape_are_refused_by_name(tmp_path, study):
    with pytest.raises(InputError, match="Mask 'TC' has shape"):
        draw_montage(tmp_path / "figure.png", study, {"TC": np.zeros((4, 4, 4), dtype=bool)})
    assert not list(tmp_path.iterdir())
