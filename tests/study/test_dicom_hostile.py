"""DICOM files made to do harm end in one sentence, before memory or time is spent."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from oncoprompt.errors import InputError
from oncoprompt.study.dicom.headers import MAX_INFLATED
from oncoprompt.study.volume import read_volume
from study.dicom_files import STORED, image, series, write

_ITEM, _SEQUENCE = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
_READ = """
import sys
from oncoprompt.errors import InputError
from oncoprompt.study import Study
try:
    Study.read(sys.argv[1])
except InputError as error:
    print(error)
with open("/proc/self/status") as status:
    # not ru_maxrss, which counts the memory of the process that started this one
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def spliced(path, content):
    """A file with content in place of the first element of its data set."""
    whole = write(path, image(STORED[0])).read_bytes()
    at = whole.index(b"\x08\x00\x16\x00UI")
    path.write_bytes(whole[:at] + content + whole[at:])
    return path


def read_or_refused(path):
    """The volume, or None where it is refused in a sentence that names the file."""
    try:
        return read_volume(path)
    except InputError as error:
        told = str(error)
    assert path.name in told
    assert "Doe" not in told
    return None


def deflated_bomb(path, size):
    made = image(STORED[0])
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = write(path, made).read_bytes()
    length = struct.unpack("<I", whole[140:144])[0]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    element = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", size)
    content = deflate.compress(element)
    for _ in range(size >> 20):
        content += deflate.compress(bytes(1 << 20))
    path.write_bytes(whole[: 144 + length] + content + deflate.flush())
    return path


@pytest.mark.parametrize("depth", [200, 5000])
def test_nested_sequences_are_refused_in_a_sentence(tmp_path, depth):
    file = spliced(tmp_path / "x.dcm", (_SEQUENCE + _ITEM) * depth)
    with pytest.raises(InputError, match=r"'x\.dcm' (has sequences nested too deeply|is damaged)"):
        read_volume(file)


def test_a_deflated_file_is_inflated_only_so_far(tmp_path):
    file = deflated_bomb(tmp_path / "x.dcm", MAX_INFLATED * 8)
    assert file.stat().st_size < 3 << 20
    told = subprocess.run([sys.executable, "-c", _READ, str(file)], capture_output=True, text=True, check=True)
    sentence, peak_kb = told.stdout.splitlines()
    assert "expands to more than 128 MB" in sentence
    assert int(peak_kb) < 1_000_000


@pytest.mark.parametrize("vr", ["SQ", "FD", "PN", "UN", "AT", "ZZ"])
@pytest.mark.parametrize("element", [b"\x28\x00\x10\x00US", b"\x28\x00\x30\x00DS", b"\x20\x00\x32\x00DS"])
def test_a_wrong_value_representation_is_refused_or_read_right(tmp_path, vr, element):
    file = write(tmp_path / "x.dcm", image(STORED[0]))
    file.write_bytes(file.read_bytes().replace(element, element[:4] + vr.encode()))
    volume = read_or_refused(file)
    if volume is not None:
        assert volume.array.shape == (8, 6, 1)
        np.testing.assert_allclose(volume.grid.spacing_mm, (0.5, 0.75, 2.5))


@pytest.mark.parametrize(
    "elements", [{"Rows": 65535, "Columns": 65535}, {"Rows": 30000, "Columns": 30000}, {"Rows": 0}]
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path, elements, compressed):
    made = image(STORED[0])
    if compressed:
        made.compress(RLELossless)
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    with pytest.raises(InputError, match=r"'x\.dcm'"):
        read_volume(write(tmp_path / "x.dcm", made))


def test_the_limit_of_voxels_counts_all_slices(tmp_path):
    series(tmp_path / "ct")
    assert read_volume(tmp_path / "ct", max_voxels=STORED.size).array.size == STORED.size
    with pytest.raises(InputError, match=f"claims {STORED.size} voxels"):
        read_volume(tmp_path / "ct", max_voxels=STORED.size - 1)


def test_a_jpeg_that_is_larger_than_its_header_says_is_not_decoded(tmp_path):
    content = io.BytesIO()
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(content, "JPEG")
    frame = bytearray(content.getvalue())
    at = frame.index(b"\xff\xc0") + 5
    frame[at : at + 4] = struct.pack(">2H", 65000, 65000)
    made = image(np.zeros((6, 8), np.uint8))
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([bytes(frame)])
    made["PixelData"].is_undefined_length = True
    with pytest.raises(InputError, match=r"'x\.dcm' .* data state 65000 x 65000 pixels, its header 6 x 8"):
        read_volume(write(tmp_path / "x.dcm", made))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_pixels_that_are_not_what_the_transfer_syntax_says_are_refused(tmp_path, syntax):
    made = image(STORED[0])
    made.compress(RLELossless)
    made.PixelData = made.PixelData[:8] + b"\xfe\xff\x00\xe0\x04\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
    made.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(InputError, match=r"'x\.dcm'"):
        read_volume(write(tmp_path / "x.dcm", made))


def test_an_attribute_that_runs_on_into_the_patients_name_is_not_told(tmp_path):
    file = write(tmp_path / "x.dcm", image(STORED[0]))
    for element in (b"\x08\x00\x60\x00CS", b"\x08\x00\x16\x00UI", b"\x28\x00\x04\x00CS", b"\x20\x00\x11\x00IS"):
        at = file.read_bytes().index(element) + 7
        changed = bytearray(file.read_bytes())
        changed[at] = 1  # 256 bytes longer
        (tmp_path / "y.dcm").write_bytes(changed)
        read_or_refused(tmp_path / "y.dcm")


def test_bytes_changed_at_random_end_in_a_sentence_or_an_image(tmp_path, caplog):
    random = np.random.default_rng(3)
    file = write(tmp_path / "x.dcm", image(STORED[0]))
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    for _ in range(300):
        changed = whole.copy()
        places = random.integers(128, len(whole), random.integers(1, 6))
        changed[places] = random.integers(0, 256, len(places))
        file.write_bytes(changed[: random.integers(1, len(whole) + 1)] if random.random() < 0.3 else changed)
        read_or_refused(file)
    assert all(record.name.startswith("oncoprompt") for record in caplog.records)
