"""Values of DICOM images are those that the file states, whatever way it stores them."""

import io
import logging
import warnings

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from oncoprompt.study.volume import read_volume
from study.dicom_files import INTERCEPT, STORED, image, series, values_of, write

ROW, COLUMN = np.mgrid[:8, :6]
RGB = np.stack([ROW * 30, COLUMN * 40, 255 - ROW * 20], axis=-1).astype(np.uint8)


def read_rows(path):
    """Values (row, column) or (row, column, 3) of a file of one slice."""
    return read_volume(path).array[:, :, 0].swapaxes(0, 1)


def test_values_are_stored_times_slope_plus_intercept_of_each_slice(tmp_path):
    def edit(number, dataset):
        dataset.RescaleSlope, dataset.RescaleIntercept = [1, 0.25, 2.5, 3][number], [0, 7.5, -20, 0][number]

    series(tmp_path / "pet", edit, modality="PT")
    values = Study.read(tmp_path / "pet").channels["pt"]
    for number, (slope, intercept) in enumerate([(1, 0), (0.25, 7.5), (2.5, -20), (3, 0)]):
        np.testing.assert_array_equal(values[..., number], (STORED[number] * slope + intercept).T.astype(np.float32))


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_monochrome1_does_not_turn_round_the_values_of_a_scan(tmp_path, modality):
    series(tmp_path / "scan", modality=modality, PhotometricInterpretation="MONOCHROME1")
    values = read_volume(tmp_path / "scan").array
    np.testing.assert_array_equal(
        values, STORED.transpose(2, 1, 0).astype(int) + (INTERCEPT if modality == "CT" else 0)
    )


def test_a_monochrome1_picture_is_as_bright_as_it_is_shown(tmp_path):
    file = write(tmp_path / "x.dcm", image(STORED[0], modality="DX", PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(read_rows(file), 4095 - STORED[0])


def test_bits_above_the_stored_ones_are_no_values(tmp_path):
    series(tmp_path / "ct", pixels=STORED | np.uint16(0x5000))
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, values_of(STORED))


@pytest.mark.parametrize("compressed_by", [None, RLELossless])
def test_bits_stored_at_the_upper_end_are_moved_down(tmp_path, compressed_by):
    def edit(number, made):
        if compressed_by:
            made.compress(compressed_by)

    series(tmp_path / "ct", edit, pixels=STORED * np.uint16(16) + np.uint16(5), HighBit=15)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, values_of(STORED))


def test_twelve_signed_bits_keep_their_sign(tmp_path):
    signed = STORED.astype(np.int16) - 2000
    series(tmp_path / "ct", pixels=(signed & 0x0FFF).astype(np.uint16), PixelRepresentation=1)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, values_of(signed))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint32, np.int32])
def test_whole_numbers_of_every_width_are_read(tmp_path, dtype):
    stored = (STORED % 256).astype(dtype)
    series(tmp_path / "ct", pixels=stored)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, values_of(stored))


@pytest.mark.parametrize(("dtype", "keyword"), [("f4", "FloatPixelData"), ("f8", "DoubleFloatPixelData")])
def test_pixels_with_fractions_are_read(tmp_path, dtype, keyword):
    stored = (STORED[0] / 7).astype(dtype)
    made = image(stored, PixelData=None, **{keyword: stored.tobytes()})
    np.testing.assert_array_equal(read_rows(write(tmp_path / "x.dcm", made)), (stored + INTERCEPT).astype(np.float32))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_every_plain_transfer_syntax_gives_the_same_values(tmp_path, syntax):
    made = image(STORED[0])
    if syntax == RLELossless:
        made.compress(RLELossless)
    made.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(read_rows(write(tmp_path / "x.dcm", made)), STORED[0] + float(INTERCEPT))


def test_big_endian_values_are_read(tmp_path):
    made = image(STORED[0], PixelData=STORED[0].astype(">u2").tobytes())
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    np.testing.assert_array_equal(read_rows(write(tmp_path / "x.dcm", made)), STORED[0] + float(INTERCEPT))


@pytest.mark.parametrize("padding", [-2000, 63536])
@pytest.mark.parametrize("signed", [False, True])
def test_padding_of_ct_never_becomes_tissue(tmp_path, caplog, padding, signed):
    stored = STORED.copy()
    stored[:, 0, :] = 63536  # -2000 in two's complement
    value = padding - (1 << 16 if signed and padding > 0 else 0) if signed else padding % (1 << 16)
    bits = {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": int(signed)}
    series(tmp_path / "ct", pixels=stored, PixelPaddingValue=value, **bits)
    values = read_volume(tmp_path / "ct").array
    assert values[:, 0].max() <= -1000
    np.testing.assert_array_equal(values[:, 1:], values_of(STORED)[:, 1:])
    assert ("padding" in caplog.text) != signed  # signed padding is darker than air as it is


def test_padding_that_uses_more_bits_than_are_stored_is_found(tmp_path):
    stored = STORED.copy()
    stored[:, 0, :] = 63536
    series(tmp_path / "ct", pixels=stored, PixelPaddingValue=63536)
    values = read_volume(tmp_path / "ct").array
    assert (values[:, 0] == -1000).all()


def test_a_range_of_padding_is_found(tmp_path):
    stored = np.minimum(STORED, 3000)
    stored[:, 0, :] = np.arange(4000, 4008)
    series(tmp_path / "ct", pixels=stored, PixelPaddingValue=4000, PixelPaddingRangeLimit=4010)
    assert (read_volume(tmp_path / "ct").array[:, 0] == -1000).all()


def test_padding_of_mr_becomes_the_lowest_value_that_was_measured(tmp_path):
    stored = np.clip(STORED, 10, 3000)
    stored[:, 0, :] = 4095
    series(tmp_path / "mr", pixels=stored, modality="MR", PixelPaddingValue=4095)
    assert (read_volume(tmp_path / "mr").array[:, 0] == stored[:, 1:].min()).all()


def test_ct_without_rescale_intercept_is_said(tmp_path, caplog):
    series(tmp_path / "ct", RescaleIntercept=None, RescaleSlope=None)
    read_volume(tmp_path / "ct")
    assert "states no RescaleIntercept" in caplog.text


def test_a_rescale_intercept_that_is_no_number_is_refused(tmp_path):
    file = write(tmp_path / "x.dcm", image(STORED[0]))
    file.write_bytes(file.read_bytes().replace(b"-1024.0 ", b"-1x24.0 "))
    with pytest.raises(InputError, match="RescaleIntercept is no number"):
        read_volume(file)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"RescaleSlope": 0}, "RescaleSlope of 0"),
        ({"ModalityLUTSequence": [Dataset()]}, "Modality LUT"),
        ({"BitsStored": 20}, "stores 20 bits"),
        ({"PhotometricInterpretation": "HSV"}, "kind 'HSV'"),
        ({"SamplesPerPixel": 2}, "2 values of 16 bits each"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL"}, "3 values of 16 bits each"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_RCT"}, "kind 'YBR_RCT'"),
    ],
)
def test_values_that_cannot_be_known_are_refused(tmp_path, elements, reason):
    with pytest.raises(InputError, match=rf"'x\.dcm'.*{reason}"):
        read_volume(write(tmp_path / "x.dcm", image(STORED[0], **elements)))


@pytest.mark.parametrize("kind", ["interleaved", "planes", "YBR_FULL", "YBR_FULL_422", "RLE", "RLE YBR_FULL"])
def test_colours_become_red_green_and_blue(tmp_path, kind):
    made, tolerance = image(RGB, modality="US"), 1
    luminance = convert_color_space(RGB, "RGB", "YBR_FULL")
    if kind == "planes":
        made.PlanarConfiguration, made.PixelData = 1, np.moveaxis(RGB, -1, 0).tobytes()
    if "YBR" in kind:
        made.PhotometricInterpretation, made.PixelData = kind.split()[-1], luminance.tobytes()
    if kind == "YBR_FULL_422":
        pairs = luminance.reshape(8, 3, 2, 3)
        shared = pairs[..., 1:].mean(axis=2).round().astype(np.uint8)
        made.PixelData = np.concatenate([pairs[..., 0], shared], axis=-1).tobytes()
        tolerance = 40  # neighbours share their colour
    if kind.startswith("RLE"):
        made.compress(RLELossless)
    file = write(tmp_path / "x.dcm", made)
    assert read_volume(file).names == ("red", "green", "blue")
    assert np.abs(read_rows(file) - RGB).max() <= (tolerance if "YBR" in kind else 0)


def test_jpeg_colours_become_red_green_and_blue(tmp_path):
    wide = np.kron(RGB, np.ones((4, 4, 1), np.uint8))
    for photometric, options in {"YBR_FULL_422": {"subsampling": 1}, "RGB": {"keep_rgb": True}}.items():
        content = io.BytesIO()
        Image.fromarray(wide).save(content, "JPEG", quality=99, **options)
        file = compressed(tmp_path / "x.dcm", wide, JPEGBaseline8Bit, content.getvalue(), photometric)
        assert np.abs(read_rows(file) - wide).mean() < 6


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_gives_colours(tmp_path, bits):
    made = image((STORED[0] % 256).astype(np.uint8), modality="US", PhotometricInterpretation="PALETTE COLOR")
    tables = [np.arange(256), np.arange(256)[::-1], np.full(256, 7)]
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        entries = table.astype(np.uint8) if bits == 8 else (table * 257).astype(np.uint16)
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(made, f"{name}PaletteColorLookupTableData", entries.tobytes())
    expected = np.stack([table[STORED[0] % 256] for table in tables], axis=-1)
    np.testing.assert_array_equal(read_rows(write(tmp_path / "x.dcm", made)), expected)


def compressed(path, pixels, syntax, frame, photometric="MONOCHROME2", **elements):
    made = image(pixels, PhotometricInterpretation=photometric, **elements)
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    return write(path, made)


def jpeg2000(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG2000", no_jp2=True, irreversible=False)
    return content.getvalue()


def test_jpeg_2000_of_a_ct_gives_its_hounsfield_units(tmp_path):
    wide = np.kron(STORED[0], np.ones((8, 8), np.uint16))
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        bits = {"BitsStored": 16, "HighBit": 15}
        file = compressed(tmp_path / "x.dcm", wide, JPEG2000Lossless, jpeg2000(wide), photometric, **bits)
        np.testing.assert_array_equal(read_rows(file), wide + float(INTERCEPT))


def test_compressed_pixels_that_are_cut_off_are_refused(tmp_path):
    wide = np.kron(STORED[0], np.ones((8, 8), np.uint16))
    frame = jpeg2000(wide)
    with pytest.raises(InputError, match=r"'x\.dcm' is cut off: its JPEG 2000"):
        read_volume(compressed(tmp_path / "x.dcm", wide, JPEG2000Lossless, frame[: len(frame) // 2]))
    whole = compressed(tmp_path / "y.dcm", wide, JPEG2000Lossless, frame)
    whole.write_bytes(whole.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"'y\.dcm' is cut off"):
        read_volume(whole)


def test_compressed_pixels_that_are_not_decoded_are_named_in_words(tmp_path):
    with pytest.raises(InputError, match=r"'x\.dcm' is stored as MPEG2 Main Profile"):
        read_volume(compressed(tmp_path / "x.dcm", STORED[0], MPEG2MPML, b"\0\0\1\xba"))
    with pytest.raises(InputError, match=r"'x\.dcm' is damaged: its JPEG 2000"):
        read_volume(compressed(tmp_path / "x.dcm", STORED[0], JPEG2000Lossless, b"\xff\x4f\xff\x51nonsense\xff\xd9"))


def test_messages_hold_nothing_of_the_patient(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    made = image(STORED[0], PatientBirthDate="19700101")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.PatientName = "Doe^Jane" * 20
    file = write(tmp_path / "x.dcm", made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_volume(file)
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(InputError) as error:
        read_volume(file)
    assert "Doe" not in caplog.text + str(error.value)
    assert "1970" not in caplog.text + str(error.value)
