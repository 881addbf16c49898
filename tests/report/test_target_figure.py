"""The picture of targets: outlines and boxes in each target's colour, on the slices where they are widest."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.report.figure import PALETTE
from oncoprompt.report.target_figure import draw_targets
from oncoprompt.study.slices import SliceStack

GRID = Grid((40, 50, 6), np.diag([-1.0, -1.0, 3.0, 1.0]))
STACK = SliceStack.across(GRID)


def mask(index: int, low: int, high: int) -> np.ndarray:
    found = np.zeros(STACK.shape, dtype=bool)
    found[index, low:high, low:high] = True
    return found


def pixels_of(path, colour: str) -> int:
    picture = matplotlib.image.imread(path)[:, :, :3]
    body = picture[int(0.2 * len(picture)) : int(0.9 * len(picture))]
    return int((np.abs(body - np.array(to_rgb(colour))).max(axis=2) < 0.12).sum())


def test_every_target_is_outlined_and_has_its_slice(tmp_path):
    slices = np.random.default_rng(0).normal(100, 5, STACK.shape).astype(np.float32)
    one, two = mask(1, 5, 20), mask(4, 20, 35)
    draw_targets(tmp_path / "one.png", slices, [one], STACK)
    draw_targets(tmp_path / "two.png", slices, [one, two], STACK)
    draw_targets(tmp_path / "box.png", slices, [one], STACK, [STACK.voxels(np.array([[0, 3], [3, 30], [3, 30]]))])
    widths = [matplotlib.image.imread(tmp_path / f"{name}.png").shape[1] for name in ("one", "two")]
    assert widths[1] == 2 * widths[0]
    assert pixels_of(tmp_path / "one.png", PALETTE[1]) == 0
    assert pixels_of(tmp_path / "two.png", PALETTE[1]) > 200
    assert pixels_of(tmp_path / "box.png", PALETTE[0]) > 1.2 * pixels_of(tmp_path / "one.png", PALETTE[0]) > 200


def test_pictures_in_colour_keep_their_colours(tmp_path):
    stack = SliceStack.across(Grid((40, 50, 1), np.diag([-1.0, -1.0, 1.0, 1.0])))
    picture = np.zeros((1, 50, 40, 3), np.float32)
    picture[..., 2] = 255.0
    picture[0, ::2, :, 2] = 250.0
    draw_targets(tmp_path / "blue.png", picture, [np.zeros(stack.shape, bool)], stack)
    assert pixels_of(tmp_path / "blue.png", "#0000fb") > 10_000


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match="must end in"):
        draw_targets(tmp_path / "x.jpg", np.zeros(STACK.shape, np.float32), [], STACK)
    assert not list(tmp_path.iterdir())
