"""The contact sheet: a row a case, the components in their colours where the tumour is largest."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.report.contact_sheet import COLOURS, MOST_ROWS, SheetRow, draw_contact_sheet
from oncoprompt.study import Study

SCHEMA = "brats2024-gli"
VALUES = {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}


@pytest.fixture(scope="module")
def study() -> Study:
    rng = np.random.default_rng(0)
    grid = Grid((40, 48, 20), np.diag([-1.0, -1.0, 2.0, 1.0]))
    head = np.zeros(grid.shape, np.float32)
    head[4:36, 4:44, 2:18] = 100.0
    channels = {name: head + head * rng.normal(0, 0.02, grid.shape).astype(np.float32) for name in ("t1c", "t2f")}
    return Study(channels, grid, "P1")


def labels(study: Study, *values: int) -> NDArray[np.uint8]:
    """A block of each label side by side along j, largest in slice k = 7."""
    made = np.zeros(study.grid.shape, np.uint8)
    for position, value in enumerate(values):
        made[10:20, 6 + 9 * position : 12 + 9 * position, 5:10] = value
        made[10:30, 6 + 9 * position : 12 + 9 * position, 7] = value
    return made


def body(path: Path) -> NDArray[np.float32]:
    """The picture above its legend."""
    picture = matplotlib.image.imread(path)[:, :, :3]
    return picture[: len(picture) - 90]


def pixels_of(path: Path, colour: str) -> NDArray[np.bool_]:
    return np.abs(body(path) - np.array(to_rgb(colour))).max(axis=2) < 0.05


@pytest.mark.parametrize("component", list(VALUES))
def test_a_component_is_filled_with_its_colour_and_no_other(tmp_path, study, component):
    row = SheetRow.of_case("P1", study, labels(study, VALUES[component]), SCHEMA)
    draw_contact_sheet(tmp_path / "sheet.png", [row])
    for name, colour in COLOURS.items():
        assert bool(pixels_of(tmp_path / "sheet.png", colour).sum() > 1000) == (name == component)


def test_the_slice_is_the_one_where_the_tumour_is_largest(study):
    row = SheetRow.of_case("P1", study, labels(study, 3), SCHEMA)
    assert row.plane.name == "axial"
    assert row.plane.index == 7
    assert row.components["ET"].sum() == 20 * 6


def test_the_right_of_the_patient_and_the_front_are_left_and_up(tmp_path, study):
    made = np.zeros(study.grid.shape, np.uint8)
    # i and j run to the left and the back of this scan: low ones are right and in front
    made[5:9, 5:9, 10] = 3
    draw_contact_sheet(tmp_path / "sheet.png", [SheetRow.of_case("P1", study, made, SCHEMA)])
    height, columns = np.nonzero(pixels_of(tmp_path / "sheet.png", COLOURS["ET"]))
    width = body(tmp_path / "sheet.png").shape[1]
    panel = (columns.mean() / width - 2 / 3) * 3
    assert panel < 0.35
    assert height.mean() < 0.5 * len(body(tmp_path / "sheet.png"))


def test_each_case_has_a_row_of_its_own_up_to_twelve(tmp_path, study):
    rows = [SheetRow.of_case(f"P{n}", study, labels(study, 1 + n % 4), SCHEMA) for n in range(MOST_ROWS + 1)]
    sizes = []
    for count in (1, 2, MOST_ROWS, MOST_ROWS + 1):
        draw_contact_sheet(tmp_path / f"{count}.png", rows[:count])
        sizes.append(len(body(tmp_path / f"{count}.png")))
    one, two, most, more = sizes
    assert two > 1.8 * one
    assert most > 10 * one
    assert more == most


def test_a_title_is_drawn_over_its_row(tmp_path, study):
    empty = np.zeros(study.grid.shape, np.uint8)
    for title in ("", "P1, meningioma: ET 3.0 ml"):
        draw_contact_sheet(tmp_path / f"{len(title)}.png", [SheetRow.of_case(title, study, empty, SCHEMA)])
    untitled, titled = body(tmp_path / "0.png"), body(tmp_path / "25.png")
    different = (untitled != titled).any(axis=2)
    assert different[:35].sum() > 200
    assert different[35:].sum() == 0


def test_labels_of_another_shape_or_schema_are_refused(study):
    with pytest.raises(InputError, match="P1: the label map has shape"):
        SheetRow.of_case("P1", study, np.zeros((4, 4, 4), np.uint8), SCHEMA)
    with pytest.raises(InputError, match="has no 9"):
        SheetRow.of_case("P1", study, labels(study, 9), SCHEMA)


def test_only_png_is_written_and_not_without_a_case(tmp_path, study):
    with pytest.raises(InputError, match=r"must end in \.png"):
        draw_contact_sheet(tmp_path / "sheet.jpg", [SheetRow.of_case("P1", study, labels(study, 1), SCHEMA)])
    with pytest.raises(InputError, match="at least one case"):
        draw_contact_sheet(tmp_path / "sheet.png", [])
    assert not list(tmp_path.iterdir())
