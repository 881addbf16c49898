"""Clicks and words are checked where they enter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.grids import grids
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.prompts import Click, Text

plain = Grid((10, 12, 14), np.eye(4))


@settings(max_examples=40)
@given(grids(), st.data())
def test_a_click_comes_back_at_its_voxel_on_any_grid(grid: Grid, data: st.DataObject) -> None:
    voxel = [data.draw(st.integers(0, size - 1)) for size in grid.shape]
    click = Click.at_voxel(voxel, grid)
    assert click.to_voxel(grid).tolist() == voxel
    there = grid.canonical().to_world(click.to_voxel(grid.canonical()))
    assert np.allclose(there, click.point_mm, atol=1e-6)


def test_a_click_is_positive_unless_said_otherwise() -> None:
    assert Click.at_voxel((1, 2, 3), plain).positive
    assert not Click.at_voxel((1, 2, 3), plain, positive=False).positive


@pytest.mark.parametrize("voxel", [(10, 0, 0), (0, -1, 0), (0, 0, 1e9)])
def test_a_click_outside_the_scan_is_refused_with_the_valid_range(voxel: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="0 to 9, 0 to 11, 0 to 13"):
        Click.at_voxel(voxel, plain)


def test_a_click_outside_another_scan_is_refused_there() -> None:
    with pytest.raises(InputError, match="outside the scan"):
        Click.at_voxel((9, 9, 9), plain).to_voxel(Grid((5, 5, 5), np.eye(4)))


@pytest.mark.parametrize("voxel", [(1, 2), (np.nan, 0, 0), "abc", ((1, 2, 3),)])
def test_anything_but_three_numbers_is_refused(voxel: object) -> None:
    with pytest.raises(InputError, match="three voxel numbers"):
        Click.at_voxel(voxel, plain)  # type: ignore[arg-type]


def test_words_are_tidied_and_empty_ones_refused() -> None:
    assert Text("  enhancing \n tumour ").words == "enhancing tumour"
    with pytest.raises(InputError, match="empty"):
        Text(" \n ")
    with pytest.raises(InputError, match="1001 characters"):
        Text("x" * 1001)
