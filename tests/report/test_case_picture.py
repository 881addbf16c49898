"""The picture of a case: outlines where truth and prediction differ, over scans or over the labels themselves."""

import io

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.report.case_picture import COLOURS, draw_case
from oncoprompt.study import Study

GRID = Grid((24, 20, 16), np.diag([-1.0, -1.0, 2.0, 1.0]))


def cube(low: int, high: int) -> NDArray[np.bool_]:
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[low:high, low:high, 4:12] = True
    return mask


def regions(**masks: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """WT, TC, ET, and the cavity, empty where not given."""
    return {"WT": cube(0, 0), "TC": cube(0, 0), "ET": cube(0, 0), "RC": cube(0, 0)} | masks


def study(*channels: str, grid: Grid = GRID) -> Study:
    head = np.zeros(grid.shape, np.float32)
    head[2:-2, 2:-2, 2:-2] = np.random.default_rng(0).normal(100, 5, head[2:-2, 2:-2, 2:-2].shape)
    return Study(dict.fromkeys(channels, head), grid, "P1")


def body(content: bytes) -> NDArray[np.float32]:
    """The picture above its legend."""
    picture = matplotlib.image.imread(io.BytesIO(content))[:, :, :3]
    return picture[: len(picture) - 60]


def pixels_of(content: bytes, colour: str) -> int:
    return int((np.abs(body(content) - np.array(to_rgb(colour))).max(axis=2) < 0.12).sum())


@pytest.mark.parametrize("region", ["WT", "TC", "ET", "RC"])
@pytest.mark.parametrize("over", [None, "t1c"])
def test_a_region_is_outlined_in_its_colour_and_no_other(region, over):
    scans = study(over) if over else None
    content = draw_case(regions(**{region: cube(4, 14)}), regions(**{region: cube(6, 16)}), GRID, scans)
    for name in ("WT", "TC", "ET", "RC"):
        assert (pixels_of(content, COLOURS[name]) > 200) == (name == region)


def test_truth_is_drawn_where_nothing_was_predicted_and_the_other_way_round():
    missed = draw_case({"GTV": cube(4, 14)}, {"GTV": cube(0, 0)}, GRID)
    spurious = draw_case({"GTV": cube(0, 0)}, {"GTV": cube(4, 14)}, GRID)
    dashed, solid = (pixels_of(content, COLOURS["GTV"]) for content in (missed, spurious))
    assert dashed > 200
    assert solid > 200


def test_the_slice_is_where_the_two_differ_and_not_where_the_tumour_is_largest():
    truth = cube(4, 14)
    prediction = truth.copy()
    prediction[6:8, 6:8, 9] = False
    picture = draw_case({"ET": truth}, {"ET": prediction}, GRID, study("t1c"))
    elsewhere = draw_case({"ET": truth}, {"ET": truth}, GRID, study("t1c"))
    assert pixels_of(picture, COLOURS["ET"]) > pixels_of(elsewhere, COLOURS["ET"])


def test_two_channels_at_most_are_shown_and_the_first_where_neither_is_there():
    tumour = regions(ET=cube(4, 14))
    one, two = (
        draw_case(tumour, tumour, GRID, study("t2w")),
        draw_case(tumour, tumour, GRID, study("t1n", "t1c", "t2f")),
    )
    assert len(body(two)) > 1.6 * len(body(one))


def test_a_case_with_nothing_in_it_is_shown_over_its_scans_or_not_at_all():
    assert draw_case(regions(), regions(), GRID) is None
    assert draw_case(regions(), regions(), GRID, study("t1c")).startswith(b"\x89PNG")


def test_scans_on_another_grid_are_refused():
    other = Grid(GRID.shape, np.eye(4))
    with pytest.raises(InputError, match="Study 'P1' lies on another grid"):
        draw_case(regions(), regions(), GRID, study("t1c", grid=other))
