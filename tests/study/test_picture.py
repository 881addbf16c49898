"""Pictures become studies one slice thick, pixel for pixel as stored."""

import io
import logging

import numpy as np
import png
import pytest
import tifffile
from PIL import Image

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from oncoprompt.study.picture import is_picture, png_of, read_picture
from oncoprompt.study.slices import SliceStack

RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)
GREY = RNG.integers(0, 256, (5, 7)).astype(np.uint8)


def saved(path, pixels, mode=None, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".TIFF"])
def test_colours_are_channels_and_the_axial_slice_is_the_picture(tmp_path, ending):
    study = Study.read(saved(tmp_path / f"skin{ending}", COLOUR))
    assert list(study.channels) == ["red", "green", "blue"]
    assert study.grid.shape == (7, 5, 1)
    assert study.name == "skin"
    assert is_picture(study)
    stack = SliceStack.across(study.grid)
    assert stack.plane == "axial"
    shown = np.stack([stack.slices(values)[0] for values in study.channels.values()], axis=-1)
    np.testing.assert_array_equal(shown, COLOUR)


def test_jpeg_keeps_the_pixels_that_its_decoder_gives(tmp_path):
    path = saved(tmp_path / "us.jpg", GREY)
    study = Study.read(path)
    assert list(study.channels) == ["grey"]
    np.testing.assert_array_equal(study.channels["grey"][:, :, 0].T, np.asarray(Image.open(path)))


@pytest.mark.parametrize("mode", ["LA", "RGB", "RGBA", "P", "CMYK"])
def test_grey_pictures_of_any_kind_have_one_channel(tmp_path, mode):
    path = saved(tmp_path / f"x.{'tif' if mode == 'CMYK' else 'png'}", GREY, mode)
    study = Study.read(path)
    assert list(study.channels) == ["grey"]
    np.testing.assert_array_equal(study.channels["grey"][:, :, 0].T, GREY)


def test_transparency_is_dropped_without_blending(tmp_path):
    pixels = np.dstack([COLOUR, np.zeros((5, 7), np.uint8)])
    study = Study.read(saved(tmp_path / "clear.png", pixels))
    np.testing.assert_array_equal(study.channels["green"][:, :, 0].T, COLOUR[..., 1])


def test_sixteen_bits_keep_their_values(tmp_path):
    pixels = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)
    for name in ("x.png", "x.tif"):
        study = Study.read(saved(tmp_path / name, pixels))
        np.testing.assert_array_equal(study.channels["grey"][:, :, 0].T, pixels)


def test_a_picture_in_one_colour_of_several_is_read_and_an_empty_one_is_not(tmp_path):
    red = COLOUR.copy()
    red[..., 1:] = 0
    assert Study.read(saved(tmp_path / "red.png", red)).channels["blue"].max() == 0
    with pytest.raises(InputError, match="is empty"):
        Study.read(saved(tmp_path / "flat.png", np.full((5, 7, 3), (9, 8, 7), np.uint8)))


def test_an_orientation_in_the_file_is_told_and_not_followed(tmp_path, caplog):
    turned = Image.fromarray(GREY)
    exif = turned.getexif()
    exif[0x0112] = 6
    path = saved(tmp_path / "phone.png", turned, exif=exif)
    with caplog.at_level(logging.WARNING, logger="oncoprompt"):
        study = Study.read(path)
    assert "stored pixels" in caplog.text
    np.testing.assert_array_equal(study.channels["grey"][:, :, 0].T, GREY)


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_pictures_are_refused(tmp_path, ending, share):
    path = saved(tmp_path / f"x.{ending}", RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"damaged|no picture"):
        Study.read(path)


def test_other_files_several_pages_and_bombs_are_refused(tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(InputError, match="no picture"):
        Study.read(tmp_path / "x.png")
    pages = [Image.fromarray(GREY), Image.fromarray(GREY[::-1])]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="holds 2 pictures"):
        Study.read(tmp_path / "pages.tif")
    saved(tmp_path / "bomb.png", Image.new("1", (20_000, 10_000)))
    with pytest.raises(InputError, match="crop it"):
        Study.read(tmp_path / "bomb.png")


def test_labels_written_as_png_come_back(tmp_path):
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png_of(GREY)))), GREY)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("colours", [2, 3, 4])
def test_all_sixteen_bits_of_a_colour_are_read(tmp_path, ending, colours):
    values = np.random.default_rng(colours).integers(0, 2**16, (5, 7, colours)).astype(np.uint16)
    path = deep(tmp_path / f"deep{ending}", values)
    read, _, names = read_picture(path)
    assert names == (("grey",) if colours == 2 else ("red", "green", "blue"))
    seen = read.swapaxes(0, 1)[:, :, 0]
    assert np.array_equal(seen, values[..., 0] if colours == 2 else values[..., :3])


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_truncated_picture_of_sixteen_bits_is_refused_by_name(tmp_path, ending):
    path = deep(tmp_path / f"deep{ending}", np.random.default_rng(0).integers(0, 2**16, (50, 70, 3)).astype(np.uint16))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="deep"):
        read_picture(path)


def deep(path, values):
    """A picture with 16 bits a colour, written by libraries that keep them."""
    if path.suffix == ".tif":
        tifffile.imwrite(
            path, values, photometric="minisblack" if values.shape[2] == 2 else "rgb", planarconfig="contig"
        )
    else:
        writer = png.Writer(
            values.shape[1], values.shape[0], bitdepth=16, greyscale=values.shape[2] == 2, alpha=values.shape[2] != 3
        )
        with path.open("wb") as stream:
            writer.write(stream, values.reshape(values.shape[0], -1).tolist())
    return path
