"""Numbers in a label map mean what their schema says, and nothing without one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.study import REGIONS, convert, schemas

EDITIONS = {
    "brats2021": {"ET": {4}, "TC": {1, 4}, "WT": {1, 2, 4}},
    "brats2023": {"ET": {3}, "TC": {1, 3}, "WT": {1, 2, 3}},
    "brats2024-gli": {"ET": {3}, "TC": {1, 3}, "WT": {1, 2, 3}},
    "brats2024-ped": {"ET": {1}, "TC": {1, 2, 3}, "WT": {1, 2, 3, 4}},
    "nnunet": {"ET": {3}, "TC": {2, 3}, "WT": {1, 2, 3}},
}

TUMOURS = {"tumour": 1, "organ-tumour": 2, "kits21": 2}
"""Schemas without parts of the tumour, and its number."""


@pytest.mark.parametrize("name", EDITIONS)
def test_regions_hold_the_labels_of_the_edition(name: str) -> None:
    schema = schemas.get(name)
    labels = np.array([0, *sorted(number for _, number in schema.values)], dtype=np.int16)
    masks = schema.region_masks(labels)
    assert tuple(masks) == REGIONS
    assert {region: set(labels[mask].tolist()) for region, mask in masks.items()} == EDITIONS[name]


def test_there_is_no_schema_without_a_test() -> None:
    assert set(schemas.names()) == {*EDITIONS, "men-rt", *TUMOURS}


def test_a_gross_tumour_volume_is_whole_tumour_and_core_and_tells_nothing_of_enhancement() -> None:
    masks = schemas.get("men-rt").region_masks(np.array([0, 1]))
    assert {region: mask.tolist() for region, mask in masks.items()} == {
        "WT": [False, True],
        "TC": [False, True],
        "ET": [False, False],
    }
    with pytest.raises(InputError, match=r"brats2023 .* cannot express GTV \(gross tumour volume; 1 voxels"):
        convert(np.array([0, 1]), "men-rt", "brats2023")
    with pytest.raises(InputError, match=r"men-rt .* has no SNFH and cannot hold"):
        schemas.get("men-rt").from_regions({region: np.ones((2, 2, 2)) for region in REGIONS})


@pytest.mark.parametrize(("name", "number"), TUMOURS.items())
def test_a_tumour_without_parts_is_the_whole_tumour_and_nothing_else(name: str, number: int) -> None:
    schema = schemas.get(name)
    labels = np.array([0, *sorted(value for _, value in schema.values)])
    masks = schema.region_masks(labels)
    assert {region: labels[mask].tolist() for region, mask in masks.items()} == {"WT": [number], "TC": [], "ET": []}
    depth = np.arange(4)
    label_map = schema.from_regions({"WT": depth >= 1, "TC": depth >= 2, "ET": depth >= 3})
    assert label_map.tolist() == [0, number, number, number]
    with pytest.raises(InputError, match=r"brats2023 .* cannot express TUMOUR \(tumour; 3 voxels"):
        convert(label_map, name, "brats2023")


@pytest.mark.parametrize("name", EDITIONS)
@settings(max_examples=15)
@given(depth=arrays(np.uint8, (3, 4, 2), elements=st.integers(0, 3)))
def test_nested_masks_survive_a_label_map(name: str, depth: NDArray[np.uint8]) -> None:
    masks = {"WT": depth >= 1, "TC": depth >= 2, "ET": depth >= 3}
    label_map = schemas.get(name).from_regions(masks)
    assert label_map.dtype == np.uint8
    back = schemas.get(name).region_masks(label_map)
    assert all(np.array_equal(back[region], masks[region]) for region in REGIONS)


@pytest.mark.parametrize("source", EDITIONS)
@pytest.mark.parametrize("target", EDITIONS)
@settings(max_examples=15)
@given(depth=arrays(np.uint8, (3, 4, 2), elements=st.integers(0, 3)))
def test_conversion_keeps_every_region(source: str, target: str, depth: NDArray[np.uint8]) -> None:
    masks = {"WT": depth >= 1, "TC": depth >= 2, "ET": depth >= 3}
    label_map = schemas.get(source).from_regions(masks)
    there = convert(label_map, source, target)
    assert np.array_equal(there, schemas.get(target).from_regions(masks))
    assert np.array_equal(convert(there, target, source), label_map)


def test_the_numbering_of_the_nnunet_converter_is_its_own() -> None:
    assert convert(np.array([0, 1, 2, 4]), "brats2021", "nnunet").tolist() == [0, 2, 1, 3]


def test_a_resection_cavity_cannot_be_said_in_2021() -> None:
    label_map = np.array([0, 3, 4, 4])
    with pytest.raises(
        InputError, match=r"brats2021 .* cannot express RC \(resection cavity; 2 voxels.*drop=\('RC',\)"
    ):
        convert(label_map, "brats2024-gli", "brats2021")
    assert convert(label_map, "brats2024-gli", "brats2021", drop=["RC"]).tolist() == [0, 4, 0, 0]
    assert convert(np.array([0, 3]), "brats2024-gli", "brats2021").tolist() == [0, 4]


def test_a_cyst_joins_the_core_only_when_told_to() -> None:
    label_map = np.array([0, 1, 2, 3, 4])
    with pytest.raises(InputError, match="cannot express CC"):
        convert(label_map, "brats2024-ped", "brats2023")
    assert convert(label_map, "brats2024-ped", "brats2023", merge={"CC": "NETC"}).tolist() == [0, 3, 1, 1, 2]
    with pytest.raises(InputError, match="Unknown components cyst"):
        convert(label_map, "brats2024-ped", "brats2023", merge={"CC": "cyst"})


def test_a_resection_cavity_lies_outside_the_whole_tumour() -> None:
    assert not any(mask.any() for mask in schemas.get("brats2024-gli").region_masks(np.array([4])).values())


@pytest.mark.parametrize(("inner", "outer"), [("ET", "TC"), ("TC", "WT")])
def test_masks_that_are_not_nested_are_refused(inner: str, outer: str) -> None:
    masks = {region: np.ones((2, 2, 2), dtype=bool) for region in REGIONS}
    masks[outer][0, 0, 0] = False
    if outer == "WT":
        masks["ET"][0, 0, 0] = False
    with pytest.raises(InputError, match=f"{inner} has 1 voxels outside {outer}"):
        schemas.get("brats2023").from_regions(masks)


def test_missing_regions_and_other_shapes_are_refused() -> None:
    schema = schemas.get("brats2023")
    mask = np.ones((2, 2, 2))
    with pytest.raises(InputError, match="Region TC is missing"):
        schema.from_regions({"WT": mask, "ET": mask})
    with pytest.raises(InputError, match="differ in shape"):
        schema.from_regions({"WT": mask, "TC": mask, "ET": np.ones((2, 2, 3))})


def test_values_outside_the_schema_are_refused_with_the_schemas_that_fit() -> None:
    with pytest.raises(InputError, match=r"values 0, 1, 4.*brats2023.*no 4.*fit brats2021"):
        schemas.get("brats2023").check(np.array([0, 1, 4], dtype=np.uint8))
    with pytest.raises(InputError, match=r"no -1, 77\. They fit no schema"):
        schemas.get("brats2023").check(np.array([-1, 77], dtype=np.int16))


@pytest.mark.parametrize("values", [[0.0, 0.5], [0.0, np.nan], [np.inf]])
def test_an_image_is_not_taken_for_a_label_map(values: list[float]) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        schemas.get("brats2021").check(np.array(values))


def test_whole_numbers_stored_as_floats_are_labels() -> None:
    assert schemas.get("brats2021").check(np.array([0.0, 4.0], dtype=np.float32)).dtype == np.uint8


def test_an_unknown_schema_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'brats2019'.*brats2021.*nnunet"):
        schemas.get("brats2019")
