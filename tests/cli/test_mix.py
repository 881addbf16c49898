"""`oncoprompt mix` from a shell's point of view."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from oncoprompt.cli import main
from training.cases import write_ball


def call(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.mark.slow
def test_mix_writes_labelled_cases_with_a_record_and_the_next_run_gives_the_same(tmp_path, capsys):
    for seed, name in enumerate(("P1", "P2")):
        write_ball(tmp_path / "data", name, schema=None, seed=seed)
    (tmp_path / "data" / "broken").mkdir()
    (tmp_path / "data" / "broken" / "broken-t1c.nii.gz").write_bytes(b"no scan")
    (tmp_path / "data" / "broken" / "broken-seg.nii.gz").write_bytes(b"no scan")
    arguments = ("mix", tmp_path / "data", "--schema", "brats2024-gli", "--iterations", 2, "--seed", 3)
    assert call(*arguments, "-o", tmp_path / "out", "-n", 1) == 4
    told = capsys.readouterr()
    assert "broken" in told.err
    folder = tmp_path / "out" / "OncoPrompt-MIX-00003-000"
    assert told.out.split() == [str(folder)]
    labels = nib.load(folder / f"{folder.name}-seg.nii.gz")
    image = nib.load(folder / f"{folder.name}-t1c.nii.gz")
    assert labels.shape == image.shape == (160, 192, 160)
    assert set(np.unique(labels.dataobj)) == {0, 1, 2, 3}
    record = json.loads((folder / f"{folder.name}-record.json").read_text())
    assert record["mixture"]["anchor"] == "P1"
    assert record["mixture"]["partners"] == ["P2"]
    fields = sorted(path.name for path in (tmp_path / "out" / "fields").iterdir())
    assert fields == ["P1--to--P2.safetensors", "P2--to--P1.safetensors"]
    before = [path.stat().st_mtime_ns for path in sorted((tmp_path / "out" / "fields").iterdir())]
    pixels = (folder / f"{folder.name}-t1c.nii.gz").read_bytes()
    assert call(*arguments, "-o", tmp_path / "out", "-n", 1, "-q") == 4
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "out" / "fields").iterdir())] == before
    assert (folder / f"{folder.name}-t1c.nii.gz").read_bytes() == pixels


@pytest.mark.parametrize(
    ("cases", "out", "said"),
    [
        (["P1"], "out", "needs at least 2"),
        ([], "out", "holds no cases"),
        (["P1", "P2"], "data", "is the data set itself"),
        (["P1", "P2"], "data/P1/P1-t1c.nii.gz", "is a file"),
    ],
)
def test_mix_says_what_is_missing_before_anything_is_fitted(tmp_path, capsys, cases, out, said):
    (tmp_path / "data").mkdir()
    for name in cases:
        write_ball(tmp_path / "data", name)
    assert call("mix", tmp_path / "data", "-o", tmp_path / out) == 2
    assert said in capsys.readouterr().err
