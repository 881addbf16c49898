"""`oncoprompt synthesize` from a shell's point of view."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from oncoprompt.cli import main
from oncoprompt.study import Study, read_label_map

NAME = "OncoPrompt-SYN-00007-000"


def call(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one study of seed 7."""
    out = tmp_path_factory.mktemp("made")
    assert call("synthesize", "-n", 1, "-o", out, "--seed", 7, "--family", "metastases", "-q") == 0
    return out


def write_head(file: Path, skin: int = 0) -> None:
    """A head of nested balls at 3 mm in FreeSurfer's numbering; ``skin`` is the label round the fluid."""
    r, a, s = np.meshgrid(*(np.arange(72) - 35.5,) * 3, indexing="ij")
    radius = 3 * np.sqrt(r**2 + a**2 + s**2)
    labels = np.zeros(r.shape, np.int16)
    for within, value in ((80, skin), (72, 24), (70, 3), (62, 2), (14, 4)):
        labels[radius < within] = value
    right = {3: 42, 2: 41, 4: 43}
    for value, other in right.items():
        labels[(labels == value) & (r > 0)] = other
    nib.save(nib.Nifti1Image(labels, np.diag([3.0, 3.0, 3.0, 1.0])), file)


def test_a_study_and_its_truth_can_be_read_again_and_the_montage_is_beside_them(made):
    folder = made / NAME
    assert {path.name for path in made.iterdir()} == {NAME, "montage.png"}
    study = Study.read(folder)
    truth = read_label_map(folder / f"{NAME}-seg.nii.gz")
    assert list(study.channels) == ["t1n", "t1c", "t2w", "t2f"]
    assert study.grid.spacing_mm == pytest.approx((1.0, 1.0, 1.0))
    assert truth.grid.matches(study.grid)
    assert truth.region_masks()["WT"].any()
    record = json.loads((folder / f"{NAME}-record.json").read_text())
    assert (record["seed"], record["family"], record["atlas"]["name"]) == (7, "metastases", "icbm152")
    assert (made / "montage.png").read_bytes().startswith(b"\x89PNG")


def test_the_replay_of_a_written_record_gives_the_same_voxels(tmp_path, made, capsys):
    record = made / NAME / f"{NAME}-record.json"
    assert call("synthesize", "--replay", record, "-o", tmp_path) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / NAME)
    for path in sorted((made / NAME).glob("*.nii.gz")):
        first, second = nib.load(path), nib.load(tmp_path / NAME / path.name)
        np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))
        np.testing.assert_array_equal(first.affine, second.affine)
    assert json.loads((tmp_path / NAME / f"{NAME}-record.json").read_text()) == json.loads(record.read_text())


def test_a_label_map_of_a_whole_head_keeps_its_scalp(tmp_path, capsys):
    (tmp_path / "heads").mkdir()
    write_head(tmp_path / "heads" / "round.nii.gz", skin=507)
    arguments = ("--anatomy", tmp_path / "heads", "--whole-head", "--family", "healthy")
    assert call("synthesize", "-o", tmp_path / "out", *arguments) == 0
    folder = Path(capsys.readouterr().out.strip())
    record = json.loads((folder / f"{folder.name}-record.json").read_text())
    assert record["atlas"]["name"] == "round"
    assert record["whole_head"] is True
    t1n = np.asarray(nib.load(folder / f"{folder.name}-t1n.nii.gz").dataobj)
    # nothing is masked, and fat is seen where the ball of the brain, 72 mm, has ended
    assert (t1n == 0).mean() < 0.01
    i, j, k = (np.arange(n) - (n - 1) / 2 for n in t1n.shape)
    radius = np.sqrt(i[:, None, None] ** 2 + j[:, None] ** 2 + k**2)
    scalp, air = t1n[(radius > 72) & (radius < 80)].mean(), t1n[radius > 105].mean()
    assert scalp > 3 * air


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--family", "wart"], "Known: high-grade glioma"),
        (["--anatomy", "{data}/empty"], "holds no label maps"),
        (["--anatomy", "{data}/none"], "does not exist"),
        (["--anatomy", "{data}/broken"], "broken_head.nii.gz"),
        (["--anatomy", "{data}/scans"], "'scan.nii.gz' holds intensities"),
        (["--whole-head"], "--whole-head needs --anatomy"),
        (["--whole-head", "--anatomy", "{data}/brains"], "a brain without a head"),
        (["--replay", "{data}/none.json"], "none.json"),
        (["--replay", "{data}/text.json"], "is no JSON file"),
        (["--replay", "{data}/binary.json"], "is no JSON file"),
        (["--replay", "{data}/list.json"], "is no record"),
        (["--replay", "{data}/other.json"], "The record has no seed"),
        (["--replay", "{data}/damaged.json"], "damaged"),
        (["--replay", "{data}/foreign.json"], "There is no anatomy 'bert'"),
        (["--replay", "{data}/other.json", "--family", "meningioma"], "leave out -n, --seed, --family"),
        (["-o", "{data}/text.json"], "is a file"),
    ],
)
def test_bad_input_is_told_in_one_sentence_and_leaves_nothing(tmp_path, data, capsys, arguments, told):
    given = [argument.replace("{data}", str(data)) for argument in arguments]
    assert call("synthesize", "-o", tmp_path / "out", *given) == 2
    output = capsys.readouterr()
    assert told in output.err
    assert "Traceback" not in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    """Folders and files that are not what `synthesize` needs."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("empty", "broken", "scans", "brains"):
        (folder / name).mkdir()
    (folder / "broken" / "broken_head.nii.gz").write_bytes(b"no scan")
    scan = np.random.default_rng(0).normal(100, 10, (8, 8, 8)).astype(np.float32)
    nib.save(nib.Nifti1Image(scan, np.eye(4)), folder / "scans" / "scan.nii.gz")
    write_head(folder / "brains" / "brain.nii.gz")
    record = json.loads((made / NAME / f"{NAME}-record.json").read_text())
    contents = {
        "list": [1, 2],
        "other": {"kind": "mixed"},
        "damaged": {**record, "scanners": {"t1n": record["scanners"]["t1n"]}},
        "foreign": {**record, "atlas": {"name": "bert", "identity": "0"}},
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "text.json").write_text("seed = 7\n")
    (folder / "binary.json").write_bytes(b"\x89PNG\xff\xfe")
    return folder
