"""Cases of the challenges: array order D, H, W becomes I, J, K, and nothing is unpickled."""

import io
import zipfile

import numpy as np
import pytest

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from oncoprompt.study.slices import SliceStack
from oncoprompt.study.volume import read_volume

RNG = np.random.default_rng(5)
VOLUME = RNG.integers(0, 256, (4, 5, 6)).astype(np.uint8)


def test_a_volume_has_its_spacing_and_its_slices_as_stored(tmp_path):
    np.savez_compressed(tmp_path / "CT_1.npz", imgs=VOLUME, spacing=(0.5, 0.75, 5.0))
    study = Study.read(tmp_path / "CT_1.npz")
    assert list(study.channels) == ["grey"]
    assert study.grid.shape == (6, 5, 4)
    assert study.grid.spacing_mm == (0.5, 0.75, 5.0)
    assert study.grid.axis_codes == ("L", "P", "S")
    np.testing.assert_array_equal(SliceStack.across(study.grid).slices(study.channels["grey"]), VOLUME)


def test_pictures_are_in_colour_or_grey(tmp_path):
    colour = RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", imgs=colour)
    study = Study.read(tmp_path / "a.npz")
    assert list(study.channels) == ["red", "green", "blue"]
    np.testing.assert_array_equal(study.channels["blue"][:, :, 0].T, colour[..., 2])
    for name, images in (("b", np.repeat(VOLUME[0][..., None], 3, axis=2)), ("c", VOLUME[0])):
        np.savez(tmp_path / f"{name}.npz", imgs=images)
        study = Study.read(tmp_path / f"{name}.npz")
        assert list(study.channels) == ["grey"]
        np.testing.assert_array_equal(study.channels["grey"][:, :, 0].T, VOLUME[0])


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"image": VOLUME}, "no array 'imgs'"),
        ({"imgs": np.array([{"a": 1}], dtype=object)}, "real numbers"),
        ({"imgs": np.array(["a", "b"])}, "real numbers"),
        ({"imgs": np.zeros((2, 3, 4, 5), np.uint8)}, "has shape"),
        ({"imgs": np.zeros((0, 3, 4), np.uint8)}, "has shape"),
        ({"imgs": VOLUME, "spacing": np.array([1.0, 0.0, 1.0])}, "millimetres"),
        ({"imgs": VOLUME, "spacing": np.array([1.0, np.nan, 1.0])}, "millimetres"),
        ({"imgs": VOLUME, "spacing": np.array([1.0, 2.0])}, "millimetres"),
        ({"imgs": np.zeros_like(VOLUME)}, "is empty"),
    ],
)
def test_files_that_are_no_case_are_refused(tmp_path, arrays, told):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=told):
        Study.read(tmp_path / "x.npz")


def test_damaged_files_and_headers_that_lie_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", imgs=VOLUME)
    content = (tmp_path / "x.npz").read_bytes()
    for cut in (0, 30, len(content) // 2):
        (tmp_path / "cut.npz").write_bytes(content[:cut])
        with pytest.raises(InputError, match="damaged"):
            Study.read(tmp_path / "cut.npz")
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "|u1", "fortran_order": False, "shape": (1 << 29, 4, 1)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("imgs.npy", array.getvalue() + bytes(100))
    with pytest.raises(InputError, match=r"claims|more than"):
        Study.read(tmp_path / "bomb.npz")
    with pytest.raises(InputError, match=r"claims|more than"):
        read_volume(tmp_path / "x.npz", max_voxels=10)
