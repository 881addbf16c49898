"""`oncoprompt segment` with a model of slices, from a shell's point of view."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cli.test_verbs import call
from oncoprompt.methods.medsam.compact import CompactConfig, CompactNetwork
from study.dicom_files import STORED, image, series, write
from study.test_dicom import write_series

MODEL = ("--model", "medsam-compact")
PICTURE_BOX = ("--box", 10, 6, 30, 22)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights, set by hand, of a network that answers with the box it is given."""
    folder = tmp_path_factory.mktemp("weights")
    options = {"widths": [8, 8], "frame": 64}
    network = CompactNetwork(CompactConfig(widths=(8, 8), frame=64))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        network.stem.weight[0, 3, 1, 1] = 10.0  # the first map of prompts is the box
        network.head.weight[0, 0] = 1.0
        network.head.bias[0] = -5.0
    save_file(network.state_dict(), folder / "medsam-compact.safetensors")
    manifest = {"model": "medsam-compact", "recipe": {"model": {"options": options}}}
    (folder / "medsam-compact.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(autouse=True)
def _own_weights(weights, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(weights))


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "lesion.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A NIfTI whose name tells no channel, thickest along its first axis, left to right."""
    path = tmp_path_factory.mktemp("scans") / "scan.nii.gz"
    values = np.random.default_rng(0).integers(1, 500, (9, 40, 44)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([4.0, 1.0, -1.0, 1.0])), path)
    return path


def filled(shape, *ranges) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(low, high) for low, high in ranges)] = True
    return mask


def dice(a, b) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_a_box_on_a_picture_becomes_a_mask_with_its_pixels(tmp_path, picture, capsys):
    out = tmp_path / "mask.png"
    assert call("segment", "-i", picture, *PICTURE_BOX, *MODEL, "-o", out) == 0
    mask = np.asarray(Image.open(out))
    assert mask.shape == (40, 60)
    assert set(np.unique(mask)) == {0, 255}
    assert dice(mask > 0, filled((40, 60), (6, 22), (10, 30))) > 0.9
    told = capsys.readouterr()
    assert "target 1" in told.out
    assert "pixels" in told.out
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]


def test_several_boxes_are_numbered_and_everything_is_told_as_json(tmp_path, picture, capsys):
    boxes = ("--box", "2 2 12 12", "--box", 30, 20, 50, 38)
    arguments = ("--overlay", tmp_path / "look.png", "--json", "-q")
    assert call("segment", "-i", picture, *boxes, *MODEL, "-o", tmp_path / "out", *arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    labels = np.asarray(Image.open(tmp_path / "out" / "lesion-seg.png"))
    assert [target["number"] for target in summary["targets"]] == [1, 2]
    assert [target["voxels"] for target in summary["targets"]] == [np.sum(labels == 1), np.sum(labels == 2)]
    assert summary["channels"] == ["red", "green", "blue"]
    assert summary["targets"][0]["volume_ml"] is None
    assert summary["prompts"][0] == {"kind": "box", "voxels": [[2, 12], [2, 12], [0, 1]]}
    assert summary["model"]["name"] == "medsam-compact"
    assert {"encode", "decode", "process"} <= set(summary["timings_s"])
    assert summary["outputs"]["overlay"] == str(tmp_path / "look.png")
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")


def test_a_scan_that_tells_no_channel_is_segmented_on_its_grid(tmp_path, scan, capsys):
    out = tmp_path / "seg.nii.gz"
    box = ("--box", 3, 6, 8, 30, 10, 36)
    assert call("segment", "-i", scan, *box, *MODEL, "-o", out, "--probabilities", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["channels"], summary["plane"]) == (["scan"], "sagittal")
    assert summary["intensities"]["preset"] == "percentiles"
    written, given = nib.load(out), nib.load(scan)
    np.testing.assert_array_equal(written.affine, given.affine)
    assert written.get_data_dtype() == np.uint8
    assert dice(np.asarray(written.dataobj) > 0, filled((9, 40, 44), (3, 6), (8, 30), (10, 36))) > 0.85
    assert summary["targets"][0]["volume_ml"] > 0
    assert nib.load(tmp_path / "seg-prob-1.nii.gz").get_fdata().max() <= 1.0


def test_options_of_slices_reach_the_model(tmp_path, scan, capsys):
    options = ("--plane", "axial", "--window", "300/200", "--on", "scan", "--no-propagate")
    box = ("--box", 2, 7, 8, 30, 20, 21)
    assert call("segment", "-i", scan, *box, *MODEL, *options, "-o", tmp_path / "seg.nii", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["plane"] == "axial"
    assert summary["intensities"] == {"preset": "300/200", "low": 50.0, "high": 350.0}
    labels = np.asarray(nib.load(tmp_path / "seg.nii").dataobj)
    assert np.flatnonzero(labels.any(axis=(0, 1))).tolist() == [20]


def test_a_dicom_series_gives_a_nifti_and_a_slice_of_it_a_png(tmp_path, capsys):
    folder = write_series(tmp_path / "P12", modality="MR")
    box = ("--box", 1, 4, 1, 5, 1, 3)
    assert call("segment", "-i", folder, *box, *MODEL, "-o", tmp_path / "seg.nii.gz") == 0
    assert nib.load(tmp_path / "seg.nii.gz").shape == (5, 6, 4)
    one = sorted(folder.iterdir())[0]
    assert call("segment", "-i", one, "--box", 1, 1, 4, 5, *MODEL, "-o", tmp_path / "seg.png", "--json") == 0
    assert np.asarray(Image.open(tmp_path / "seg.png")).shape == (6, 5)
    told = capsys.readouterr().out
    assert json.loads(told[told.index("{") :])["targets"][0]["area_mm2"] > 0
    assert "Doe" not in told


def test_a_second_run_into_a_dicom_folder_reads_the_series_again(tmp_path):
    series(tmp_path / "ct")
    box = ("--box", 1, 5, 1, 5, 1, 3)
    for _ in range(2):
        assert call("segment", "-i", tmp_path / "ct", "-o", tmp_path / "ct", *box, *MODEL) == 0
    assert nib.load(tmp_path / "ct" / "ct-oncoprompt-seg.nii.gz").shape == (8, 6, 4)


@pytest.mark.parametrize(
    ("elements", "volume_known", "area_known"),
    [
        ({}, True, True),
        ({"SliceThickness": None}, False, True),
        ({"modality": "US", "PixelSpacing": None}, False, False),
    ],
)
def test_sizes_that_dicom_does_not_state_are_null(tmp_path, capsys, elements, volume_known, area_known):
    file = write(tmp_path / "x.dcm", image(STORED[0], **elements))
    box = ("--box", 1, 1, 5, 5)
    assert call("segment", "-i", file, "-o", tmp_path / "seg.nii.gz", *box, *MODEL, "--json") == 0
    told = capsys.readouterr().out
    target = json.loads(told[told.index("{") :])["targets"][0]
    assert target["voxels"] > 0
    assert (target["volume_ml"] is not None, target["area_mm2"] is not None) == (volume_known, area_known)


def test_a_damaged_slice_leaves_nothing_behind(tmp_path, capsys):
    files = series(tmp_path / "ct")
    files[-1].write_bytes(files[-1].read_bytes()[:-20])
    out = tmp_path / "seg.nii.gz"
    assert call("segment", "-i", tmp_path / "ct", "-o", out, "--box", 1, 5, 1, 5, 1, 3, *MODEL) == 2
    assert "'001.dcm' is cut off" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{picture}", "--box", "30", "6", "10", "22"], "inverted"),
        (["{picture}", "--box", "10", "6", "30"], "--box takes 4 whole numbers, X0 Y0 X1 Y1"),
        (["{picture}", "--box", "90", "6", "99", "22"], "outside the scan"),
        (["{picture}"], "must be shown its targets"),
        (["{picture}", "--click", "5", "5"], "needs a box"),
        (["{picture}", "--box", "10", "6", "30", "22", "--text", "mole"], "words"),
        (["{picture}", "--box", "10", "6", "30", "22", "--window", "bone"], "no window 'bone'"),
        (["{picture}", "--box", "10", "6", "30", "22", "--on", "t1c"], "no channel 't1c'"),
        (["{picture}", "--box", "10", "6", "30", "22", "--schema", "brats2021"], "no label schema"),
        (["{picture}", "--box", "10", "6", "30", "22", "--probabilities"], "--probabilities needs"),
        (["{scan}", "--box", "10", "6", "30", "22"], "--box takes 6 whole numbers"),
        (["{scan}", "--box", "1", "5", "8", "30", "10", "36"], "is no folder and does not end in .nii or .nii.gz"),
        (["{scan}", "--box", "1", "5", "8", "30", "10", "36", "--plane", "oblique"], "no folder"),
    ],
)
def test_bad_input_is_told_in_one_sentence_with_exit_code_2_and_leaves_nothing(
    tmp_path, picture, scan, capsys, arguments, told
):
    given = [argument.format(picture=picture, scan=scan) for argument in arguments]
    assert call("segment", "-i", *given, *MODEL, "-o", tmp_path / "mask.png") == 2
    output = capsys.readouterr()
    assert told in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not list(tmp_path.iterdir())


def test_the_scan_itself_is_never_written_over(picture, scan, capsys):
    for given, box in ((picture, PICTURE_BOX), (scan, ("--box", 1, 5, 8, 30, 10, 36))):
        before = given.read_bytes()
        assert call("segment", "-i", given, *box, *MODEL, "-o", given) == 2
        assert "is the scan itself" in capsys.readouterr().err
        assert given.read_bytes() == before


def test_options_of_slices_are_refused_by_models_of_studies(tmp_path, picture, capsys):
    assert call("segment", "-i", picture, "--plane", "axial", "-o", tmp_path / "x.nii.gz") == 2
    assert "are for models of slices" in capsys.readouterr().err


def test_models_of_studies_go_on_refusing_to_guess_a_channel(tmp_path, scan, capsys):
    assert call("segment", "-i", scan, "-o", tmp_path / "x.nii.gz") == 2
    assert "does not say which channel" in capsys.readouterr().err
