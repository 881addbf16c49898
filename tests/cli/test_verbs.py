"""The verbs from a shell's point of view: files, standard output, exit codes, messages."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from oncoprompt import __version__
from oncoprompt.cli import main
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.recipe import build

AFFINE = np.array([[-1.2, 0, 0, 30], [0, -1.2, 0, 40], [0, 0, 2.0, -20], [0, 0, 0, 1.0]])
SHAPE = (48, 56, 24)
BOX = ["--box", "12", "30", "14", "36", "6", "18"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights of a network that was never trained: enough for everything but the quality of its answer."""
    folder = tmp_path_factory.mktemp("weights")
    config = TrainingConfig()
    export_weights(folder, build(config).model.state_dict(), Progress(), config.to_mapping())
    return folder


@pytest.fixture
def untrained(weights, monkeypatch) -> None:
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(weights))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "P12"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("t1c", "t2f"):
        values = np.zeros(SHAPE, dtype=np.int16)
        values[4:44, 4:52, 2:22] = rng.integers(80, 120, (40, 48, 20))
        image = nib.Nifti1Image(values, AFFINE)
        image.set_sform(AFFINE, 1)
        image.set_qform(AFFINE, 1)
        nib.save(image, folder / f"P12-{name}.nii.gz")
    return folder


def call(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.mark.usefixtures("untrained")
def test_segment_writes_a_label_map_on_the_grid_of_the_scan(tmp_path, study, capsys):
    out = tmp_path / "seg.nii.gz"
    assert call("segment", "-i", study, "-o", out, *BOX) == 0
    written, scan = nib.load(out), nib.load(study / "P12-t1c.nii.gz")
    assert written.shape == scan.shape
    np.testing.assert_array_equal(written.affine, scan.affine)
    assert written.get_data_dtype() == np.uint8
    assert [path.name for path in tmp_path.iterdir()] == ["seg.nii.gz"]
    told = capsys.readouterr()
    assert "WT" in told.out
    assert "seg.nii.gz (brats2023)" in told.out


@pytest.mark.usefixtures("untrained")
def test_segment_writes_everything_asked_for_and_only_json_on_standard_output(tmp_path, study, capsys):
    out, picture = tmp_path / "results", tmp_path / "P12.png"
    arguments = ("--probabilities", "--overlay", picture, "--schema", "brats2021", "--json", "-v")
    assert call("segment", "-i", study, "-o", out, *BOX, "--click", 20, 20, 10, *arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in out.iterdir()) == [
        "P12-prob-ET.nii.gz",
        "P12-prob-TC.nii.gz",
        "P12-prob-WT.nii.gz",
        "P12-seg.nii.gz",
    ]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert summary["schema"] == "brats2021"
    assert summary["outputs"]["label_map"] == str(out / "P12-seg.nii.gz")
    assert summary["prompts"] == [
        {"kind": "box", "voxels": [[12, 30], [14, 36], [6, 18]]},
        {"kind": "click", "voxel": [20, 20, 10], "positive": True},
    ]
    assert set(summary["regions"]) == {"WT", "TC", "ET"}
    assert len(summary["model"]["weights_sha256"]) == 64
    assert {"encode", "decode", "process"} <= set(summary["timings_s"])
    whole, core, enhancing = (nib.load(out / f"P12-prob-{r}.nii.gz").get_fdata() for r in ("WT", "TC", "ET"))
    assert (enhancing <= core).all()
    assert (core <= whole).all()
    assert whole.max() <= 1.0


@pytest.mark.usefixtures("untrained")
def test_segment_takes_channels_one_by_one_and_several_boxes(tmp_path, study, capsys):
    channels = ("--channel", f"flair={study / 'P12-t2f.nii.gz'}", "--channel", f"T1ce={study / 'P12-t1c.nii.gz'}")
    boxes = ("--box", 6, 16, 8, 18, 4, 10, "--box", 26, 40, 30, 44, 10, 18)
    assert call("segment", *channels, "-o", tmp_path / "seg.nii", *boxes, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["channels"] == ["t1c", "t2f"]
    assert len(summary["prompts"]) == 2


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-i", "{study}", "--box", "1", "2", "3"], "--box takes 6 whole numbers"),
        (["-i", "{study}", "--box", "30", "12", "14", "36", "6", "18"], "inverted"),
        (["-i", "{study}", "--box", "60", "80", "14", "36", "6", "18"], "outside the scan"),
        (["-i", "{study}", "--click", "60", "1", "1"], "outside the scan"),
        (["-i", "{study}", *BOX, "--schema", "brats1999"], "no label schema 'brats1999'"),
        (["-i", "{study}", *BOX, "--format", "dicom-seg"], "not built yet"),
        (["-i", "{study}", *BOX, "--model", "unet"], "There is no model 'unet'"),
        (["-i", "{study}", *BOX, "--device", "abacus"], "no device 'abacus'"),
        (["-i", "{study}", *BOX, "--overlay", "picture.jpg"], "must end in .png"),
        (["-i", "{study}", *BOX, "--text", "brain tumour"], "text prompt"),
        (["-i", "{study}/nowhere"], "does not exist"),
        (["-i", "{study}", "--channel", "t1c=x.nii"], "either as -i FOLDER or as --channel"),
        (["--channel", "t1c"], "--channel takes NAME=FILE"),
        ([], "either as -i FOLDER or as --channel"),
    ],
)
def test_bad_input_is_told_in_one_sentence_with_exit_code_2_and_leaves_nothing(
    tmp_path, study, capsys, monkeypatch, arguments, told
):
    monkeypatch.chdir(tmp_path)
    given = [argument.replace("{study}", str(study)) for argument in arguments]
    assert call("segment", *given, "-o", tmp_path / "seg.nii.gz") == 2
    output = capsys.readouterr()
    assert told in output.err
    assert "Traceback" not in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not list(tmp_path.iterdir())


def test_missing_weights_have_exit_code_3(tmp_path, study, capsys, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    model = ("--model", "msm-seg-hiera-large")
    assert call("segment", "-i", study, "-o", tmp_path / "seg.nii.gz", *BOX, *model) == 3
    assert "msm-seg-hiera-large" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_damaged_weights_have_exit_code_3(tmp_path, study, weights, capsys, monkeypatch):
    for path in weights.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = bytearray((tmp_path / "msm-seg-compact.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "msm-seg-compact.safetensors").write_bytes(damaged)
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    assert call("segment", "-i", study, "-o", tmp_path / "seg.nii.gz", *BOX) == 3
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "seg.nii.gz").exists()


def test_usage_errors_have_exit_code_2(capsys):
    assert call("segment", "--colour", "red") == 2
    assert "--colour" in capsys.readouterr().err


def test_a_traceback_is_shown_with_vv_only(tmp_path, capsys):
    assert call("segment", "-i", tmp_path / "nowhere", "-o", tmp_path / "seg.nii.gz", "-vv") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["segment", "demo", "synthesize", "train", "models list", "models info", "info"])
def test_the_help_of_every_verb_has_an_example(verb, capsys):
    assert call(*verb.split(), "--help") == 0
    assert f"oncoprompt {verb}" in " ".join(capsys.readouterr().out.split()).partition("Example:")[2]


def test_help_comes_quickly_because_torch_is_not_imported():
    code = (
        "import sys; from oncoprompt.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print({'torch', 'numpy', 'matplotlib', 'transformers'} & set(sys.modules), file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stderr.strip() == "set()"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_the_version_is_told(capsys):
    assert call("--version") == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.usefixtures("untrained")
def test_models_and_info_are_told_as_json(capsys, weights):
    assert call("models", "list", "--json") == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert models["msm-seg-compact"]["weights"] == str(weights / "msm-seg-compact.safetensors")
    assert call("models", "info", "msm-seg-compact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["licence"] == "Apache-2.0"
    assert call("info", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["oncoprompt"] == __version__
    assert content["libraries"]["torch"]


def test_an_unknown_model_has_exit_code_2(capsys):
    assert call("models", "info", "unet") == 2
    assert "Known: msm-seg-compact" in capsys.readouterr().err


def test_train_runs_resumes_and_leaves_weights_the_registry_finds(tmp_path, capsys):
    config = tmp_path / "run.toml"
    settings = (
        "[data]\nworkers = 0\n[data.options]\nleast_voxels = 32\nleast_voxels_unboxed = 32\nmost_voxels = 32\n"
        '[run]\naccelerator = "cpu"\nthreads = 1\n[optimisation]\nsteps = {steps}\n'
    )
    config.write_text(settings.format(steps=1))
    assert call("train", "-c", config, "-o", tmp_path / "run") == 0
    assert call("train", "-c", config, "-o", tmp_path / "run") == 2
    config.write_text(settings.format(steps=2))
    assert call("train", "-c", config, "-o", tmp_path / "run", "--resume") == 0
    assert "2 steps" in capsys.readouterr().out
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {"state.pt", "log.csv", "msm-seg-compact.safetensors", "msm-seg-compact.json"}


def test_a_training_configuration_that_is_missing_has_exit_code_2(tmp_path, capsys):
    assert call("train", "-c", tmp_path / "none.toml", "-o", tmp_path / "run") == 2
    assert "none.toml" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("untrained")
def test_demo_leaves_a_label_map_a_picture_and_a_table(tmp_path, capsys):
    out = tmp_path / "demo"
    assert call("demo", "-o", out, "--family", "meningioma") == 0
    assert "| WT |" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        "study",
        "segmentation.nii.gz",
        "montage.png",
        "table.md",
        "summary.json",
    }
    assert nib.load(out / "segmentation.nii.gz").shape == nib.load(out / "study" / "study-t1c.nii.gz").shape
    assert json.loads((out / "summary.json").read_text())["prompts"][0]["kind"] == "box"


def test_a_demo_without_a_tumour_is_refused_before_anything_is_made(tmp_path, capsys):
    assert call("demo", "-o", tmp_path / "demo", "--family", "healthy") == 2
    assert "no tumour" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
