"""Cases of the challenges go out and come back; nothing in a file is ever run."""

import contextlib
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import Study
from oncoprompt.study.challenge import (
    ChallengeBox,
    ChallengeCase,
    boxes_around,
    read_challenge,
    write_challenge,
    write_predictions,
)


def volume_case() -> ChallengeCase:
    """Two targets in a volume of 4 slices of 6 rows and 5 columns."""
    images = np.arange(120, dtype=np.uint8).reshape(4, 6, 5)
    labels = np.zeros((4, 6, 5), dtype=np.uint8)
    labels[1:4, 2:5, 1:3] = 1
    labels[0, 0, 4] = 7
    return ChallengeCase(images, labels, (), (0.5, 0.75, 3.0))


@pytest.mark.parametrize("edition", ["2024", "2025"])
def test_a_volume_comes_back_as_it_was_in_both_editions(tmp_path, edition):
    case = volume_case()
    write_challenge(tmp_path / "3DBox_MR_1.npz", case, edition)
    back = read_challenge(tmp_path / "3DBox_MR_1.npz")
    assert np.array_equal(back.images, case.images)
    assert np.array_equal(back.labels, case.labels)
    assert back.spacing_mm == case.spacing_mm
    assert back.boxes == (ChallengeBox(1, 2, 3, 5, 1, 4, 2), ChallengeBox(4, 0, 5, 1, 0, 1, 0))


def test_boxes_are_stored_with_the_last_pixel_as_the_challenges_do(tmp_path):
    write_challenge(tmp_path / "case.npz", volume_case(), "2024")
    assert np.load(tmp_path / "case.npz")["boxes"].tolist() == [[1, 2, 1, 2, 4, 3], [4, 0, 0, 4, 0, 0]]
    write_challenge(tmp_path / "case.npz", volume_case(), "2025")
    first = np.load(tmp_path / "case.npz", allow_pickle=True)["boxes"].tolist()[0]
    middle = {"z_mid_x_min": 1, "z_mid_y_min": 2, "z_mid_x_max": 2, "z_mid_y_max": 4}
    assert first == {"z_min": 1, "z_max": 3, "z_mid": 2, **middle}


def test_a_picture_goes_out_in_three_channels_and_comes_back_as_one_slice(tmp_path):
    grey = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    labels = np.zeros((1, 4, 5), dtype=np.uint8)
    labels[0, 1:3, 2:5] = 1
    write_challenge(tmp_path / "2DBox_US_1.npz", ChallengeCase(grey, labels))
    stored = np.load(tmp_path / "2DBox_US_1.npz")
    assert set(stored.files) == {"imgs", "gts", "boxes"}
    assert stored["imgs"].shape == (4, 5, 3)
    assert stored["gts"].shape == (4, 5)
    assert stored["boxes"].tolist() == [[2, 1, 4, 2]]
    back = read_challenge(tmp_path / "2DBox_US_1.npz")
    assert np.array_equal(back.images[..., 0], grey)
    assert np.array_equal(back.labels, labels)


@settings(max_examples=15)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([1, -1])] * 3), st.integers(0, 2**31))
def test_a_study_of_any_axis_order_goes_out_towards_left_back_and_head(order, signs, seed):
    rng = np.random.default_rng(seed)
    shape = (5, 4, 3)
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * (axis + 1.5)
    affine[3, 3] = 1
    values = rng.permutation(60).reshape(shape).astype(np.float32)
    labels = rng.integers(0, 3, shape)
    study = Study({"t1c": values}, Grid(shape, affine))
    case = ChallengeCase.of_study(study, labels)
    for voxel in rng.integers(0, shape, (10, 3)):
        z, y, x = np.argwhere(case.images == values[tuple(voxel)])[0]
        assert case.labels[z, y, x] == labels[tuple(voxel)]
        # positions differ by the origin alone
        first = study.grid.to_world([np.argwhere(values == case.images[0, 0, 0])[0]])
        assert np.allclose(
            study.grid.to_world([voxel]) - first, case.grid.to_world([[x, y, z]]) - case.grid.to_world([[0, 0, 0]])
        )


def test_a_colour_picture_goes_out_in_colour():
    colours = {
        name: np.random.default_rng(i).random((5, 4, 1)) * 255 for i, name in enumerate(("red", "green", "blue"))
    }
    study = Study(colours, Grid((5, 4, 1), np.diag([-1.0, -1.0, 1.0, 1.0])))
    case = ChallengeCase.of_study(study)
    assert case.images.shape == (1, 4, 5, 3)
    assert np.allclose(case.images[0, :, :, 1], study.channel("green")[:, :, 0].T)


def test_predictions_lie_on_the_pixels_of_the_case(tmp_path):
    case = volume_case()
    on_grid = np.ascontiguousarray(case.labels.transpose(2, 1, 0))
    write_predictions(tmp_path / "answer.npz", on_grid, case.grid)
    assert np.array_equal(np.load(tmp_path / "answer.npz")["segs"], case.labels)


def test_more_than_255_targets_keep_their_numbers(tmp_path):
    labels = np.zeros((2, 20, 20), dtype=np.int32)
    labels[0, :15].flat = np.arange(300)
    write_predictions(tmp_path / "answer.npz", labels.transpose(2, 1, 0), ChallengeCase(labels).grid)
    assert np.array_equal(np.load(tmp_path / "answer.npz")["segs"], labels)


def test_boxes_around_nothing_are_none():
    assert boxes_around(np.zeros((2, 3, 3))) == ()


class Harmful:
    """What a hostile file may hold: a call, made when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "was-run"),)


def test_a_call_in_the_boxes_is_refused_and_not_made(tmp_path):
    path = tmp_path / "case.npz"
    np.savez(path, imgs=volume_case().images, boxes=np.array([Harmful(tmp_path)], dtype=object))
    with pytest.raises(InputError, match=r"'boxes' of 'case\.npz' cannot be read safely \(it would call"):
        read_challenge(path)
    assert not (tmp_path / "was-run").exists()


def test_numbers_of_numpy_in_the_boxes_are_read(tmp_path):
    box = dict.fromkeys(("z_min", "z_max", "z_mid"), np.int64(2))
    box |= {"z_mid_x_min": np.int64(1), "z_mid_y_min": 1, "z_mid_x_max": np.float64(3), "z_mid_y_max": 4}
    np.savez(tmp_path / "case.npz", imgs=volume_case().images, boxes=np.array([box], dtype=object))
    assert read_challenge(tmp_path / "case.npz").boxes == (ChallengeBox(1, 1, 4, 5, 2, 3, 2),)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"segs": np.zeros((3, 3))}, "has no array 'imgs'"),
        ({"imgs": np.zeros(3)}, r"has shape \(3,\)"),
        ({"imgs": np.zeros((2, 4, 5)), "gts": np.zeros((2, 5, 4), int)}, "'gts' of"),
        ({"imgs": np.zeros((2, 4, 5)), "gts": np.zeros((2, 4, 5))}, "whole numbers"),
        ({"imgs": np.zeros((2, 4, 5)), "spacing": np.zeros(3)}, "in millimetres"),
        ({"imgs": np.zeros((2, 4, 5)), "boxes": np.zeros((1, 5))}, "'boxes' of"),
        ({"imgs": np.array(["a", "b"])}, "real numbers"),
        ({"imgs": np.zeros((2, 4, 5)), "boxes": np.array([{"z_min": 1}], dtype=object)}, "dictionaries with"),
    ],
)
def test_what_is_no_case_is_told_in_a_sentence(tmp_path, content, match):
    np.savez(tmp_path / "case.npz", **content)
    with pytest.raises(InputError, match=match):
        read_challenge(tmp_path / "case.npz")


@settings(max_examples=40)
@given(data=st.data())
def test_a_damaged_file_is_an_input_error_wherever_it_is_damaged(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "case.npz"
    write_challenge(path, volume_case(), "2025")
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:at]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    with contextlib.suppress(InputError):
        read_challenge(path)


def test_a_missing_file_and_another_kind_of_file_are_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_challenge(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(InputError, match="no npz file"):
        read_challenge(tmp_path / "text.npz")


def test_a_member_that_claims_too_much_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 1, 1)})
        archive.writestr("imgs.npy", header.getvalue() + bytes(10))
    with pytest.raises(InputError, match="cannot be read safely"):
        read_challenge(path)


def test_pickles_other_than_of_arrays_are_refused(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(tmp_path / "case.npz", "w") as archive:
        archive.writestr("boxes.npy", stream.getvalue() + pickle.dumps(Harmful(tmp_path)))
    with pytest.raises(InputError, match="it would call"):
        read_challenge(tmp_path / "case.npz")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("values", [np.full((2, 3, 3), 300.0), np.full((2, 3, 3), -1.0), np.zeros((2, 3, 3))])
def test_images_that_are_not_grey_levels_are_not_written(tmp_path, values):
    with pytest.raises(InputError, match="0 to 255"):
        write_challenge(tmp_path / "case.npz", ChallengeCase(values))
    assert not list(tmp_path.iterdir())


def test_real_lesions_are_read(real_data):
    path = sorted((real_data / "ct" / "lesions_npz").glob("*.npz"))[0]
    case = read_challenge(path)
    assert case.images.shape == case.labels.shape == (16, 512, 512)
    assert case.grid.spacing_mm == pytest.approx((0.314453, 0.314453, 5.0), abs=1e-4)
