"""`oncoprompt segment` with TAGS, from a shell's point of view: words, clicks and anatomy on MRI and CT."""

import json

import nibabel as nib
import numpy as np
import pytest

from cli.test_verbs import call
from methods.tags.tiny_compact import OPTIONS, SHAPE, study_of, tiny_compact
from oncoprompt.study import read_label_map, write_nifti
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from study.test_dicom import write_series

MODEL = ("--model", "tags-compact")
BOX = ("--box", 8, 18, 9, 20, 6, 15)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a network that was never trained: enough for everything but the quality of its answer."""
    folder = tmp_path_factory.mktemp("weights")
    config = TrainingConfig.from_mapping({"model": {"name": "tags-compact", "options": OPTIONS}})
    export_weights(folder, tiny_compact().state_dict(), Progress(), config.to_mapping())
    return folder


@pytest.fixture(autouse=True)
def _own_weights(weights, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(weights))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders P1 (t1c, t2f) and P2 (ct), and masks that fit, lie elsewhere, are empty and hold two organs."""
    folder = tmp_path_factory.mktemp("data")
    for name, channels in (("P1", ("t1c", "t2f")), ("P2", ("ct",))):
        study = study_of(*channels)
        (folder / name).mkdir()
        for channel, values in study.channels.items():
            write_nifti(folder / name / f"{name}-{channel}.nii.gz", values, like=study)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[5:25, 5:22, 3:18] = 1
    write_nifti(folder / "organ.nii.gz", mask, like=study.grid)
    write_nifti(folder / "empty.nii.gz", np.zeros_like(mask), like=study.grid)
    mask[10:] *= 2
    write_nifti(folder / "organs.nii.gz", mask, like=study.grid)
    coarse = nib.Nifti1Image(np.ones((6, 6, 5), np.uint8), np.diag([-10.0, -10.0, 10.0, 1.0]) + _shift(80, 70, 5))
    nib.save(coarse, folder / "coarse.nii")
    nib.save(nib.Nifti1Image(np.ones((6, 6, 5), np.uint8), np.eye(4) + _shift(900, 0, 0)), folder / "elsewhere.nii")
    return folder


def _shift(*mm) -> np.ndarray:
    out = np.zeros((4, 4))
    out[:3, 3] = mm
    return out


def test_words_and_clicks_on_mri_give_all_regions(tmp_path, data, capsys):
    out = tmp_path / "seg.nii.gz"
    clicks = ("--click", 12, 14, 10, "--no-click", 25, 5, 5)
    assert call("segment", "-i", data / "P1", *MODEL, "--text", "Meningiomas", *clicks, "-o", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary["regions"]) == {"WT", "TC", "ET"}
    assert summary["schema"] == read_label_map(out).schema.name == "brats2023"
    assert summary["prompts"] == [
        {"kind": "click", "voxel": [12, 14, 10], "positive": True},
        {"kind": "click", "voxel": [25, 5, 5], "positive": False},
        {"kind": "text", "words": "Meningiomas"},
    ]
    assert summary["model"]["name"] == "tags-compact"


def test_words_and_a_mask_of_another_grid_on_ct_give_the_tumour(tmp_path, data, capsys):
    out, picture = tmp_path / "out", tmp_path / "look.png"
    given = ("--text", "liver tumour", "--anatomy", data / "coarse.nii", "--probabilities", "--overlay", picture)
    assert call("segment", "-i", data / "P2", *MODEL, *given, "-o", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert list(summary["regions"]) == ["tumour"]
    assert summary["schema"] == "tumour"
    assert sorted(path.name for path in out.iterdir()) == ["P2-prob-tumour.nii.gz", "P2-seg.nii.gz"]
    assert summary["prompts"][0] == {"kind": "anatomy", "volume_ml": 180.0, "share_in_scan": 1.0}
    assert "coarse" not in json.dumps(summary)
    written, scan = nib.load(out / "P2-seg.nii.gz"), nib.load(data / "P2" / "P2-ct.nii.gz")
    assert written.shape == scan.shape
    np.testing.assert_array_equal(written.affine, scan.affine)
    assert set(np.unique(np.asarray(written.dataobj))) <= {0, 1}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_several_words_number_kinds_in_their_order(tmp_path, data, capsys):
    out, picture = tmp_path / "seg.nii.gz", tmp_path / "look.png"
    given = ("--text", "kidney tumour", "--text", "liver tumour", *BOX, "--probabilities", "--overlay", picture)
    assert call("segment", "-i", data / "P2", *MODEL, *given, "-o", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert [(kind["number"], kind["words"]) for kind in summary["kinds"]] == [(1, "kidney tumour"), (2, "liver tumour")]
    labels = np.asarray(nib.load(out).dataobj)
    ml = [round(float(np.count_nonzero(labels == number)) * 0.027, 4) for number in (1, 2)]
    assert [kind["volume_ml"] for kind in summary["kinds"]] == ml
    assert [prompt["kind"] for prompt in summary["prompts"]] == ["box", "text", "text"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "seg.nii.gz",
        "seg-prob-kidney-tumour.nii.gz",
        "seg-prob-liver-tumour.nii.gz",
        "look.png",
    }
    assert call("segment", "-i", data / "P2", *MODEL, *given[:4], *BOX, "-o", tmp_path / "again.nii.gz") == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in told[:2]] == [["1", "kidney"], ["2", "liver"]]


def test_a_person_is_told_of_ct_the_tumour_alone(tmp_path, data, capsys):
    assert call("segment", "-i", data / "P2", *MODEL, "--text", "renal mass", *BOX, "-o", tmp_path / "seg.nii") == 0
    told = capsys.readouterr().out
    assert told.startswith("tumour")
    assert "WT" not in told
    assert "seg.nii (tumour)" in told


def test_a_dicom_series_of_ct_needs_no_name_for_its_channel(tmp_path, capsys):
    series = write_series(tmp_path / "P12")
    box = ("--box", 1, 4, 1, 5, 1, 3)
    assert call("segment", "-i", series, *MODEL, "--text", "tumour", *box, "-o", tmp_path / "seg.nii.gz", "--json") == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["channels"] == ["ct"]
    assert nib.load(tmp_path / "seg.nii.gz").shape == (5, 6, 4)
    assert "Doe" not in output.out + output.err


def test_own_weights_are_known_by_their_manifest(tmp_path, data, weights, capsys):
    (tmp_path / "mine").mkdir()
    for path in weights.iterdir():
        (tmp_path / "mine" / f"mine{path.suffix}").write_bytes(path.read_bytes())
    model = ("--model", tmp_path / "mine" / "mine.safetensors")
    assert (
        call("segment", "-i", data / "P1", *model, "--text", "glioma", *BOX, "-o", tmp_path / "seg.nii", "--json") == 0
    )
    assert json.loads(capsys.readouterr().out)["model"]["name"] == "tags-compact"


def test_a_file_of_weights_is_told_by_its_manifest_and_loaded(weights, capsys):
    assert call("models", "verify", weights / "tags-compact.safetensors") == 0
    assert "'tags-compact.safetensors' is tags-compact." in capsys.readouterr().out


def test_the_words_a_model_knows_are_told(capsys):
    assert call("models", "info", "tags-compact") == 0
    assert "healthy, tumour, glioma, meningioma" in capsys.readouterr().out
    assert call("segment", "--help") == 0
    assert "meningioma" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["P1", *MODEL, "--text", "fracture"], "It knows: healthy, tumour, glioma"),
        (["P1", *MODEL, "--text", "  "], "text prompt is empty"),
        (["P1", *MODEL, "--anatomy", "{data}/empty.nii.gz"], "anatomy mask is empty"),
        (["P1", *MODEL, "--anatomy", "{data}/organs.nii.gz"], "holds the values 1, 2 besides 0"),
        (["P1", *MODEL, "--anatomy", "{data}/elsewhere.nii"], "outside the scan"),
        (["P1", *MODEL, "--anatomy", "{data}/nowhere.nii"], "does not exist"),
        (["P2", *MODEL, "--schema", "brats2021"], "Use schema 'tumour'"),
        (["P1", *MODEL, "--text", "glioma", "--text", "glioma"], "different words"),
        (["P1", *MODEL, "--text", "glioma", "--text", "tumour", "--schema", "brats2021"], "leave out --schema"),
        (["P1", "--text", "glioma", "--text", "meningioma"], "or use tags-compact"),
        (["P2", *MODEL, "--plane", "axial"], "are for models of slices"),
        (["P1", "--text", "glioma"], "or use tags-compact"),
        (["P1", "--anatomy", "{data}/organ.nii.gz"], "Found an anatomy mask; leave it out"),
        (["P1", "--model", "medsam-compact", "--on", "t1c", "--anatomy", "{data}/organ.nii.gz"], "no anatomy mask"),
    ],
)
def test_bad_input_is_told_in_one_sentence_with_exit_code_2_and_leaves_nothing(
    tmp_path, data, capsys, monkeypatch, arguments, told
):
    monkeypatch.chdir(tmp_path)
    given = [argument.format(data=data) for argument in arguments]
    assert call("segment", "-i", data / given[0], *given[1:], "-o", tmp_path / "seg.nii.gz") == 2
    output = capsys.readouterr()
    assert told in output.err
    assert "Traceback" not in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not list(tmp_path.iterdir())


def test_the_mask_itself_is_never_written_over(data, capsys):
    mask = data / "organ.nii.gz"
    before = mask.read_bytes()
    assert call("segment", "-i", data / "P2", *MODEL, "--anatomy", mask, "-o", mask) == 2
    assert "give another file" in capsys.readouterr().err
    assert mask.read_bytes() == before


def test_full_models_without_weights_say_how_to_get_them(tmp_path, data, capsys):
    for model in ("tags-vit-b", "tags-vit-b-plus"):
        assert call("segment", "-i", data / "P2", "--model", model, *BOX, "-o", tmp_path / "seg.nii") == 3
        assert f'model.name = "{model}"' in capsys.readouterr().err
