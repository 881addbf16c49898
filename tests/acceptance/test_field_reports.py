"""What happened to users of neighbouring tools does not happen here; sources are in docs/field-reports.md."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from nibabel.affines import from_matvec

from acceptance.threshold import BRIGHT, DARK, shell
from study.dicom_files import image, write

SHAPE = (14, 15, 16)
LPS = from_matvec(np.diag([-1.0, -1.0, 2.0]), [5.0, 7.0, -20.0])


def blob(at=(7, 7, 8), radius=3.5, shape=SHAPE):
    """A ball."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    return sum((x - c) ** 2 for x, c in zip(axes, at, strict=True)) < radius**2


def scan(path: Path, mask=None, affine=LPS, dtype=np.float32) -> Path:
    """A head of one grey with a bright ball, as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.where(blob() if mask is None else mask, BRIGHT, DARK).astype(dtype)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def labels(path: Path, mask, value=3, affine=LPS) -> Path:
    """A label map with one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image((mask * value).astype(np.uint8), affine), path)
    return path


BOX = ("--box", "3", "12", "3", "12", "4", "13")


def segmented(folder: Path, out: Path, *more: str) -> dict:
    done = shell("segment", "-i", folder, "-o", out, *BOX, "--json", *more)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_result_of_a_dicom_series_lies_where_its_header_says(threshold, tmp_path):
    voxels = np.where(blob(), BRIGHT, DARK).astype(np.uint16)
    for number in range(SHAPE[2]):
        made = image(voxels[:, :, number].T.copy(), number, "MR", SeriesDescription="t1c")
        write(tmp_path / "t1c" / f"{number:03d}.dcm", made)
    done = shell("segment", "--channel", f"t1c={tmp_path / 't1c'}", "-o", tmp_path / "out", *BOX, "--json")
    assert done.exit_code == 0, done.stderr
    found = nib.load(json.loads(done.stdout)["outputs"]["label_map"])
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(sorted(str(path) for path in (tmp_path / "t1c").iterdir()))
    there = reader.Execute()
    for voxel in ((0, 0, 0), (3, 5, 7), (13, 14, 15)):
        lps = there.TransformIndexToPhysicalPoint(voxel)
        assert np.allclose((found.affine @ [*voxel, 1])[:3], [-lps[0], -lps[1], lps[2]], atol=1e-3)


def test_the_header_of_a_result_places_it_as_every_viewer_reads_it(threshold, tmp_path):
    turned = from_matvec(np.array([[0.0, 0, 1.2], [-0.9, 0, 0], [0, 1.0, 0]]), [3, -4, 5])
    source = scan(tmp_path / "in" / "case_t1c.nii.gz", affine=turned)
    summary = segmented(tmp_path / "in", tmp_path / "out")
    before, after = nib.load(source).header, nib.load(summary["outputs"]["label_map"]).header
    for field in ("qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
        assert np.array_equal(before[field], after[field]), field
    assert np.array_equal(before["pixdim"][:4], after["pixdim"][:4])
    itk_before, itk_after = (SimpleITK.ReadImage(str(path)) for path in (source, summary["outputs"]["label_map"]))
    assert np.allclose(itk_before.GetDirection(), itk_after.GetDirection())
    assert np.allclose(itk_before.GetOrigin(), itk_after.GetOrigin())


@pytest.mark.parametrize("name", ["P.01 (second visit)", "Größe ü", "case.nii.gz.d", "ends.", "-leading"])
def test_folders_with_dots_spaces_and_letters_are_read_and_give_their_name(threshold, tmp_path, name):
    scan(tmp_path / name / "x_t1c.nii.gz")
    summary = segmented(tmp_path / name, tmp_path / "out")
    assert summary["study"] == name
    assert Path(summary["outputs"]["label_map"]).name == f"{name}-seg.nii.gz"


def test_names_in_decomposed_unicode_are_read(threshold, tmp_path):
    scan(tmp_path / unicodedata.normalize("NFD", "Größe") / unicodedata.normalize("NFD", "Größe_t1c.nii.gz"))
    assert segmented(next(tmp_path.iterdir()), tmp_path / "out")["channels"] == ["t1c"]


def test_what_macos_leaves_beside_files_is_no_scan(threshold, tmp_path):
    scan(tmp_path / "in" / "case_t1c.nii.gz")
    for name in ("._case_t1c.nii.gz", "._case_t2f.nii.gz", ".DS_Store"):
        (tmp_path / "in" / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert segmented(tmp_path / "in", tmp_path / "out")["channels"] == ["t1c"]


def test_a_channel_of_one_value_gives_no_nan(tmp_path):
    for name in ("t1c", "t2f"):
        scan(tmp_path / "in" / f"case_{name}.nii.gz", mask=blob() if name == "t1c" else np.zeros(SHAPE, dtype=bool))
    done = shell("segment", "-i", tmp_path / "in", "-o", tmp_path / "out", *BOX, "--json", "--probabilities")
    assert done.exit_code in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    if done.exit_code == 0:
        for path in json.loads(done.stdout)["outputs"]["probabilities"].values():
            assert np.isfinite(nib.load(path).get_fdata()).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_named_and_refused(threshold, tmp_path, value):
    path = scan(tmp_path / "in" / "case_t1c.nii.gz")
    values = nib.load(path).get_fdata(dtype=np.float32)
    values[0, 0, 0] = value
    nib.save(nib.Nifti1Image(values, LPS), path)
    done = shell("segment", "-i", tmp_path / "in", "-o", tmp_path / "out", *BOX)
    assert done.exit_code == 2
    assert "t1c" in done.stderr


def test_labels_are_written_as_whole_numbers_without_a_scale(threshold, tmp_path):
    scan(tmp_path / "in" / "case_t1c.nii.gz", dtype=np.int16)
    path = segmented(tmp_path / "in", tmp_path / "out")["outputs"]["label_map"]
    raw = nib.load(path)
    assert raw.get_data_dtype() == np.uint8
    assert raw.dataobj.slope == 1
    again = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    assert set(np.unique(again)) <= {0, 1, 2, 3}


def test_nothing_found_is_a_whole_result_with_zeros(threshold, tmp_path):
    path = scan(tmp_path / "in" / "case_t1c.nii.gz", mask=np.zeros(SHAPE, dtype=bool))
    values = nib.load(path).get_fdata(dtype=np.float32)
    values[::2] += 5
    nib.save(nib.Nifti1Image(values, LPS), path)
    summary = segmented(tmp_path / "in", tmp_path / "out")
    assert summary["regions"]["WT"]["volume_ml"] == 0
    assert not nib.load(summary["outputs"]["label_map"]).get_fdata().any()


def test_the_same_command_gives_the_same_bytes(threshold, tmp_path):
    scan(tmp_path / "in" / "case_t1c.nii.gz")
    first, second = (segmented(tmp_path / "in", tmp_path / name)["outputs"]["label_map"] for name in "ab")
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_nothing_is_written_beside_the_scans(threshold, tmp_path):
    scan(tmp_path / "in" / "case_t1c.nii.gz")
    segmented(tmp_path / "in", tmp_path / "out", "--overlay", str(tmp_path / "seen.png"))
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["case_t1c.nii.gz"]


def test_scans_behind_links_are_read_and_stay(threshold, tmp_path):
    source = scan(tmp_path / "archive" / "a.nii.gz")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "case_t1c.nii.gz").symlink_to(source)
    before = source.read_bytes()
    assert segmented(tmp_path / "in", tmp_path / "out")["channels"] == ["t1c"]
    assert source.read_bytes() == before
    assert (tmp_path / "in" / "case_t1c.nii.gz").is_symlink()


def test_axes_that_rounding_has_bent_are_read(threshold, tmp_path):
    bent = LPS.copy()
    bent[0, 1] = 2e-4
    scan(tmp_path / "in" / "case_t1c.nii.gz", affine=bent)
    path = segmented(tmp_path / "in", tmp_path / "out")["outputs"]["label_map"]
    assert np.allclose(nib.load(path).affine, bent, atol=1e-6)


def test_one_slice_is_a_study(threshold, tmp_path):
    flat = blob()[:, :, 7:8]
    scan(tmp_path / "in" / "case_t1c.nii.gz", mask=flat)
    done = shell(
        "segment", "-i", tmp_path / "in", "-o", tmp_path / "out", "--box", "3", "12", "3", "12", "0", "1", "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["regions"]["WT"]["volume_ml"] == pytest.approx(flat.sum() * 2 / 1000, rel=1e-3)


def test_an_accelerator_that_is_not_there_is_a_sentence(tmp_path):
    scan(tmp_path / "in" / "case_t1c.nii.gz")
    done = shell("segment", "-i", tmp_path / "in", "-o", tmp_path / "out", "--device", "cuda:7")
    assert done.exit_code == 2
    assert "cuda" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_output_option_is_a_sentence(tmp_path):
    scan(tmp_path / "in" / "case_t1c.nii.gz")
    done = shell("segment", "-i", tmp_path / "in")
    assert done.exit_code == 2
    assert "--output" in done.stderr


def scored(truth: Path, prediction: Path, out: Path, *more: str) -> dict:
    done = shell(
        "evaluate", "--truth", truth, "--prediction", prediction, "--profile", "brats2023-gli", "--json", out, *more
    )
    assert done.exit_code == 0, done.stderr
    return json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_a_region_that_is_in_neither_has_a_number_or_null_and_never_nan(tmp_path):
    labels(tmp_path / "truth" / "a-seg.nii.gz", blob(), value=2)
    labels(tmp_path / "mine" / "a.nii.gz", blob(), value=2)
    scored(tmp_path / "truth", tmp_path / "mine", tmp_path / "scores.json")


def test_cases_whose_names_begin_alike_are_not_confused(tmp_path):
    for case, at in (("case1", (5, 5, 5)), ("case10", (8, 8, 8)), ("case100", (9, 6, 9))):
        labels(tmp_path / "truth" / f"{case}-seg.nii.gz", blob(at))
        labels(tmp_path / "mine" / f"{case}.nii.gz", blob(at))
    content = json.dumps(scored(tmp_path / "truth", tmp_path / "mine", tmp_path / "scores.json"))
    assert all(f'"{case}"' in content for case in ("case1", "case10", "case100"))
    table = json.loads(content)
    assert table["mean"]["WT"]["dice"] == pytest.approx(1.0) if "mean" in table else "1.0" in content


def test_a_prediction_in_another_format_is_the_same_case(tmp_path):
    labels(tmp_path / "truth" / "a-seg.nii.gz", blob())
    (tmp_path / "mine").mkdir()
    SimpleITK.WriteImage(
        SimpleITK.ReadImage(str(tmp_path / "truth" / "a-seg.nii.gz")), str(tmp_path / "mine" / "a.nrrd")
    )
    scored(tmp_path / "truth", tmp_path / "mine", tmp_path / "scores.json")


@pytest.mark.parametrize(
    ("delimiter", "encoding", "end"), [(",", "utf-8-sig", "\r\n"), (";", "utf-8", "\n"), ("\t", "utf-8", "\r\n")]
)
def test_tables_as_spreadsheets_save_them_are_read(tmp_path, delimiter, encoding, end):
    scan(tmp_path / "a.nii.gz")
    labels(tmp_path / "a-seg.nii.gz", blob())
    with (tmp_path / "cases.csv").open("w", encoding=encoding, newline="") as stream:
        rows = csv.writer(stream, delimiter=delimiter, lineterminator=end)
        rows.writerows([["case", "T1c", "label_map", "schema"], ["Größe", "a.nii.gz", "a-seg.nii.gz", "brats2023"]])
    done = shell("data", "list", tmp_path / "cases.csv")
    assert done.exit_code == 0, done.stderr
    assert "Größe" in done.stdout


def test_damaged_weights_are_named(tmp_path):
    scan(tmp_path / "in" / "case_t1c.nii.gz")
    (tmp_path / "mine.safetensors").write_bytes(b"\x10" * 64)
    done = shell("segment", "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", tmp_path / "mine.safetensors")
    assert done.exit_code == 3
    assert "mine.safetensors" in done.stderr
    assert "Traceback" not in done.stderr


def test_more_targets_than_a_label_map_can_number_are_refused(tmp_path):
    pixels = np.full((60, 60), 30, np.uint8)
    pixels[20:30, 20:30] = 220
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(tmp_path / "in.png"))
    boxes = [text for n in range(300) for text in ("--box", str(n % 17), str(n // 17), str(n % 17 + 25), "45")]
    done = shell("segment", "-i", tmp_path / "in.png", "-o", tmp_path / "out.png", "--model", "medsam-compact", *boxes)
    assert done.exit_code == 2
    assert "255" in done.stderr
    assert not (tmp_path / "out.png").exists()
