"""Crops of labelled cases: where they lie, how they are turned, and that image and masks stay together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.methods.tags.intensities import CT
from oncoprompt.training.tags_cases import OrganCase, OrganCohort, case_sources, read_organ_case
from oncoprompt.training.tags_crops import CropChange, cut, random_centre, tumour_centre
from training.organ_data import save, write_kits, write_lits, write_pancreas


def ball(shape=(60, 50, 40), spacing=(1.0, 1.0, 1.0), at=(30, 25, 20), radius=8.0) -> OrganCase:
    """A ball of 120 HU in water, its tumour the upper half (S), its organ the ball."""
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) - np.array(at)
    inside = np.linalg.norm(places * spacing, axis=-1) < radius
    image = np.where(inside, 120, 0).astype(np.int16)
    grid = Grid(shape, np.diag([*spacing, 1.0]))
    return OrganCase("ball", "liver", grid, {"ct": (image, CT["liver"])}, inside & (places[..., 2] > 0), inside)


def at(case: OrganCase, *voxel: int) -> np.ndarray:
    """The world's place of a voxel."""
    return case.grid.to_world(np.array([voxel]))[0]


def test_an_unchanged_crop_of_a_1_mm_scan_is_the_scan_itself_transposed():
    case = ball()
    # an even side has its middle between voxels
    crop = cut(case, "ct", at(case, 30, 25, 20) - 0.5, 16, CropChange())
    image, intensities = case.channels["ct"]
    there = (slice(22, 38), slice(17, 33), slice(12, 28))
    assert np.allclose(crop.image, intensities.standardise(image[there]).transpose(2, 1, 0), atol=1e-5)
    assert np.array_equal(crop.tumour, case.tumour[there].transpose(2, 1, 0))
    assert np.array_equal(crop.anatomy, case.anatomy[there].transpose(2, 1, 0))


def test_outside_of_the_scan_is_the_mean_and_no_organ():
    case = ball()
    crop = cut(case, "ct", at(case, 0, 0, 0), 32, CropChange())
    assert np.allclose(crop.image[:14, :14, :14], 0.0)
    assert not crop.tumour[:14].any()
    far = cut(case, "ct", np.array([900.0, 0, 0]), 16, CropChange())
    assert np.allclose(far.image, 0.0)


@settings(max_examples=20)
@given(
    order=st.permutations([0, 1, 2]),
    signs=st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3),
    flips=st.tuples(*[st.booleans()] * 3),
    turns=st.integers(0, 3),
)
def test_the_same_anatomy_is_seen_whatever_the_order_of_the_axes_and_mirrored_as_told(order, signs, flips, turns):
    case = ball((24, 26, 22), at=(12, 14, 10), radius=6.0)
    image, intensities = case.channels["ct"]
    mirror = tuple(slice(None, None, int(sign)) for sign in signs)
    stored = [np.ascontiguousarray(array.transpose(order)[mirror]) for array in (image, case.tumour, case.anatomy)]
    affine = np.eye(4)
    for axis, (source, sign) in enumerate(zip(order, signs, strict=True)):
        affine[:3, axis] = np.eye(3)[source] * sign
        affine[:3, 3] += np.eye(3)[source] * (0 if sign > 0 else stored[0].shape[axis] - 1)
    turned = OrganCase("t", "liver", Grid(stored[0].shape, affine), {"ct": (stored[0], intensities)}, *stored[1:])
    change = CropChange(flips=flips, turns=turns, turned=(0, 1))
    centre = np.array([11.5, 13.5, 9.5])
    first, second = (cut(each, "ct", centre, 16, change) for each in (case, turned))
    assert np.allclose(first.image, second.image, atol=1e-5)
    assert np.array_equal(first.tumour, second.tumour)
    plain = cut(case, "ct", centre, 16, CropChange())
    wanted = np.rot90(np.flip(plain.tumour, [axis for axis in range(3) if flips[axis]]), turns, (0, 1))
    assert np.array_equal(first.tumour, wanted)


def test_zoom_makes_the_anatomy_larger_and_a_turn_keeps_its_size():
    case = ball((80, 80, 80), at=(40, 40, 40), radius=12.0)
    middle = at(case, 40, 40, 40) - 0.5
    plain, large, turned = (
        cut(case, "ct", middle, 48, change)
        for change in (CropChange(), CropChange(zoom=(1.25, 1.25, 1.25)), CropChange(angle=0.5))
    )
    sizes = [int(crop.anatomy.sum()) for crop in (plain, large, turned)]
    assert sizes[1] == pytest.approx(1.25**3 * sizes[0], rel=0.05)
    assert sizes[2] == pytest.approx(sizes[0], rel=0.03)
    off = replace(case, tumour=case.anatomy & (np.arange(80) > 44)[:, None, None])
    angle = np.deg2rad(30)
    middles = [
        np.argwhere(cut(off, "ct", middle, 48, change).tumour).mean(0) - 23.5
        for change in (CropChange(), CropChange(angle=angle))
    ]
    assert np.hypot(*middles[1][1:]) == pytest.approx(np.hypot(*middles[0][1:]), abs=0.3)
    assert abs(np.arctan2(*middles[1][1:]) - np.arctan2(*middles[0][1:])) == pytest.approx(angle, abs=0.05)


def test_a_shift_adds_hounsfield_units_before_they_are_clipped():
    case = ball()
    middle = at(case, 30, 25, 20)
    plain, brighter = (cut(case, "ct", middle, 16, CropChange(shift=shift)) for shift in (0.0, 20.0))
    seen = plain.anatomy > 0
    assert np.allclose((brighter.image - plain.image)[seen], 20.0 / CT["liver"].deviation, atol=1e-3)


def test_two_of_three_crops_are_drawn_for_the_tumour_and_all_lie_in_the_scan():
    case = ball((110, 100, 90), at=(30, 50, 55), radius=8.0)
    rng = np.random.default_rng(0)
    centres = np.array([random_centre(case, 32, rng) for _ in range(300)])
    low, high = centres.min(axis=0), centres.max(axis=0)
    assert np.all(low >= 15.5 - 1e-6)
    assert np.all(high <= np.array([110, 100, 90]) - 16.5 + 1e-6)
    near = np.all(np.abs(centres - (30, 50, 59)) < 8 + 3.5, axis=1).mean()
    assert 0.55 < near < 0.8
    assert case.tumour[tuple(np.round(tumour_centre(case, rng)).astype(int))]


def test_a_scan_smaller_than_the_crop_is_centred_and_one_without_tumour_gives_crops_too():
    case = ball()
    rng = np.random.default_rng(0)
    assert np.allclose(random_centre(case, 64, rng), [29.5, 24.5, 19.5])
    healthy = replace(case, tumour=np.zeros_like(case.tumour))
    assert np.all(np.isfinite(random_centre(healthy, 16, rng)))
    assert np.allclose(tumour_centre(healthy, rng), [29.5, 24.5, 19.5])


@pytest.mark.parametrize(("write", "words"), [(write_kits, "kidney"), (write_lits, "liver")])
def test_a_case_is_read_with_the_mask_beside_it(tmp_path, write, words):
    sources = case_sources(OrganCohort(words, str(write(tmp_path))))
    case, labelled = (read_organ_case(sources[0], source) for source in ("files", "labels"))
    assert np.array_equal(case.anatomy, labelled.anatomy)
    assert case.channels["ct"][0].dtype == np.int16
    crop = cut(case, "ct", tumour_centre(case, np.random.default_rng(0)), 32, CropChange())
    # the tumour is 70 HU darker than its organ
    organ = crop.image[(crop.anatomy > 0) & (crop.tumour == 0)]
    assert organ.mean() - crop.image[crop.tumour > 0].mean() == pytest.approx(70 / CT[words].deviation, rel=0.25)
    assert case.tumour.sum() * np.prod(case.grid.spacing_mm) == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.1)


def test_own_data_come_by_manifest_and_a_fold_of_a_list_of_splits(tmp_path):
    root = write_kits(tmp_path / "data", 3)
    rows = [f"{n},data/case_{n:05}/imaging.nii.gz,data/case_{n:05}/aggregated_MAJ_seg.nii.gz,kits21" for n in range(3)]
    (tmp_path / "own.csv").write_text("\n".join(["case,ct,label_map,schema", *rows]))
    (tmp_path / "folds.json").write_text('[{"train": ["0", "1"], "val": ["2"]}, {"train": ["2"], "val": ["0"]}]')
    own = OrganCohort("kidney", str(tmp_path / "own.csv"), split=str(tmp_path / "folds.json"), fold=1)
    sources = case_sources(own)
    assert [source.case.name for source in sources] == ["2"]
    assert read_organ_case(sources[0], "files").tumour.any()
    assert [s.case.name for s in case_sources(replace(own, fold=0))] == ["0", "1"]
    assert len(list(root.iterdir())) == 3


def test_a_case_whose_mask_is_missing_says_what_to_do(tmp_path):
    source = case_sources(OrganCohort("pancreas", str(write_pancreas(tmp_path))))[0]
    with pytest.raises(InputError, match=r"no mask of the pancreas .*<scan>_pancreas.nii.gz.*to 'labels'"):
        read_organ_case(source, "files")
    assert read_organ_case(source, "labels").anatomy.sum() > read_organ_case(source, "labels").tumour.sum()


def test_a_label_map_on_another_grid_is_refused(tmp_path):
    root = write_kits(tmp_path, 1)
    save(root / "case_00000" / "aggregated_MAJ_seg.nii.gz", np.zeros((4, 4, 4), np.uint8), np.eye(4))
    with pytest.raises(InputError, match=r"case_00000.*lie on different grids"):
        read_organ_case(case_sources(OrganCohort("kidney", str(root)))[0], "labels")
    with pytest.raises(InputError, match="'spleen' is no organ or kind of tumour"):
        OrganCohort("spleen", str(root))
