"""Outputs: a foreign file is refused, ours is replaced, an input is never written over; nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from acceptance.test_field_reports import BOX, LPS, blob, labels, scan, segmented
from acceptance.threshold import Threshold, shell
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study import Study, write_nifti
from oncoprompt.study.output import check_output, check_outputs, write_output
from oncoprompt.study.own_mark import is_unchanged

FOREIGN = b"somebody else's work\n"


@pytest.fixture
def threshold(monkeypatch):
    import oncoprompt.inference.session as session

    monkeypatch.setattr(session, "load_model", lambda *_: Threshold())


@pytest.fixture
def place(tmp_path):
    """A study, true and predicted label maps, and a data set of three cases."""
    scan(tmp_path / "in" / "case_t1c.nii.gz")
    labels(tmp_path / "truth" / "a-seg.nii.gz", blob())
    labels(tmp_path / "mine" / "a.nii.gz", blob())
    for number in range(3):
        scan(tmp_path / "set" / f"c{number}" / f"c{number}_t1c.nii.gz", mask=blob(radius=3 + number))
        labels(tmp_path / "set" / f"c{number}" / f"c{number}-seg.nii.gz", blob())
    return tmp_path


VERBS = {
    "segment": (("segment", "-i", "in", "-o", "out.nii.gz", *BOX), "out.nii.gz"),
    "segment into a folder": (("segment", "-i", "in", "-o", "out", *BOX), "out/in-seg.nii.gz"),
    "segment with a picture": (("segment", "-i", "in", "-o", "o.nii", *BOX, "--overlay", "seen.png"), "seen.png"),
    "segment with probabilities": (
        ("segment", "-i", "in", "-o", "o.nii.gz", *BOX, "--probabilities"),
        "o-prob-TC.nii.gz",
    ),
    "evaluate to json": (
        ("evaluate", "--truth", "truth", "--prediction", "mine", "--profile", "brats2023-gli", "--json", "s.json"),
        "s.json",
    ),
    "evaluate to html": (
        ("evaluate", "--truth", "truth", "--prediction", "mine", "--profile", "brats2023-gli", "--html", "s.html"),
        "s.html",
    ),
    "data split": (("data", "split", "set", "-o", "split.json", "--schema", "brats2023"), "split.json"),
    "data split into folds": (
        ("data", "split", "set", "-o", "split.json", "--folds", "3", "--schema", "brats2023"),
        "split-2.json",
    ),
    "data check": (("data", "check", "set", "--schema", "brats2023", "--json", "report.json"), "report.json"),
    "synthesize": (
        ("synthesize", "-o", "made", "--seed", "3"),
        "made/OncoPrompt-SYN-00003-000/OncoPrompt-SYN-00003-000-seg.nii.gz",
    ),
    "synthesize with its picture": (("synthesize", "-o", "made", "--seed", "3"), "made/montage.png"),
}
SLOW = {"synthesize", "synthesize with its picture"}
LATE = {
    "mix": (
        ("mix", "set", "-o", "mixed", "-n", "1", "--schema", "brats2023"),
        "mixed/OncoPrompt-MIX-00000-000/OncoPrompt-MIX-00000-000-seg.nii.gz",
    ),
    "demo": (("demo", "-o", "shown"), "shown/segmentation.nii.gz"),
    "experiment": (
        ("experiment", "prompts", "--data", "set", "--schema", "brats2023", "-o", "asked"),
        "asked/prompts.json",
    ),
    "train": (("train", "-c", "run.toml", "-o", "run"), "run/log.csv"),
    "finetune": (("finetune", "--data", "set", "--schema", "brats2023", "-o", "tuned"), "tuned/notes.txt"),
}


def run(arguments, where, monkeypatch, *more):
    monkeypatch.chdir(where)
    return shell(*arguments, *more)


@pytest.mark.parametrize("verb", [*VERBS, *LATE])
def test_a_file_that_is_not_ours_is_refused_before_work_begins_and_stays(verb, threshold, place, monkeypatch):
    arguments, output = (VERBS | LATE)[verb]
    (place / "run.toml").write_text("[optimisation]\nsteps = 1\n")
    (place / output).parent.mkdir(parents=True, exist_ok=True)
    (place / output).write_bytes(FOREIGN)
    done = run(arguments, place, monkeypatch)
    assert done.exit_code == 2, done.stderr
    assert "--overwrite" in done.stderr
    assert (place / output).read_bytes() == FOREIGN


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in SLOW])
def test_a_file_of_ours_is_replaced_and_a_foreign_one_on_demand(verb, threshold, place, monkeypatch):
    arguments, output = VERBS[verb]
    assert run(arguments, place, monkeypatch).exit_code == 0
    assert is_unchanged(place / output)
    again = run(arguments, place, monkeypatch)
    assert again.exit_code == 0, again.stderr
    (place / output).write_bytes(FOREIGN)
    assert run(arguments, place, monkeypatch, "--overwrite").exit_code == 0
    assert is_unchanged(place / output)


MASK = "truth/a-seg.nii.gz"
INPUTS = {
    "segment": ("segment", "-i", "in", "-o", "in/case_t1c.nii.gz", *BOX),
    "segment by a link": ("segment", "-i", "in", "-o", "link.nii.gz", *BOX),
    "segment by a hard link": ("segment", "-i", "in", "-o", "hard.nii.gz", *BOX),
    "segment the mask": ("segment", "-i", "in", "--model", "tags-compact", "--anatomy", MASK, "-o", MASK),
    "evaluate": (*VERBS["evaluate to json"][0][:-1], "truth/read.json"),
    "data split": ("data", "split", "set.csv", "-o", "set.csv"),
    "convert": ("models", "convert", "some.pth", "-o", "some.pth"),
}


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("verb", INPUTS)
def test_an_input_is_never_written_over(verb, overwrite, threshold, place, monkeypatch):
    source = place / "in" / "case_t1c.nii.gz"
    (place / "link.nii.gz").symlink_to(source)
    os.link(source, place / "hard.nii.gz")
    (place / "truth" / "read.json").write_bytes(FOREIGN)
    (place / "set.csv").write_text("case,t1c\nc0,set/c0/c0_t1c.nii.gz\n")
    (place / "some.pth").write_bytes(FOREIGN)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    done = run(INPUTS[verb], place, monkeypatch, *overwrite)
    assert done.exit_code == 2, done.stderr
    assert "give another file" in done.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_results_beside_the_scans_are_neither_scan_nor_truth(threshold, place, monkeypatch):
    case = place / "set" / "c1"
    expert = (case / "c1-seg.nii.gz").read_bytes()
    for _ in range(2):
        summary = segmented(case, case, "--probabilities", "--overlay", str(case / "c1.png"))
    assert Path(summary["outputs"]["label_map"]).name == "c1-oncoprompt-seg.nii.gz"
    assert (case / "c1-seg.nii.gz").read_bytes() == expert
    assert list(Study.read(case).channels) == ["t1c"]
    listed = run(("data", "list", "set", "--schema", "brats2023"), place, monkeypatch)
    assert "c1-seg.nii.gz" in listed.stdout
    assert "oncoprompt" not in listed.stdout
    scored = run(
        ("evaluate", "--truth", "set", "--prediction", "set", "--profile", "brats2023-gli", "--json", "s.json"),
        place,
        monkeypatch,
    )
    assert scored.exit_code == 0, scored.stderr


def test_a_result_that_somebody_corrected_is_theirs(threshold, place):
    label_map = Path(segmented(place / "in", place / "out")["outputs"]["label_map"])
    image = nib.load(label_map)
    corrected = np.asarray(image.dataobj).copy()
    corrected[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(corrected, None, image.header), label_map)
    theirs = label_map.read_bytes()
    done = shell("segment", "-i", place / "in", "-o", place / "out", *BOX)
    assert done.exit_code == 2
    assert "changed" in done.stderr
    assert label_map.read_bytes() == theirs


def test_two_outputs_are_never_one_file(threshold, place, monkeypatch):
    with pytest.raises(InputError, match="Two outputs"):
        check_outputs([place / "a.json", place / "sub" / ".." / "a.json"])


def test_in_python_a_foreign_file_needs_overwrite(place):
    grid = Grid((3, 4, 5), np.eye(4))
    (place / "x.nii.gz").write_bytes(FOREIGN)
    with pytest.raises(InputError, match="overwrite=True"):
        write_nifti(place / "x.nii.gz", np.zeros((3, 4, 5), np.uint8), grid)
    write_nifti(place / "x.nii.gz", np.zeros((3, 4, 5), np.uint8), grid, overwrite=True)
    write_nifti(place / "x.nii.gz", np.ones((3, 4, 5), np.uint8), grid)
    assert nib.load(place / "x.nii.gz").get_fdata().all()


@pytest.mark.parametrize("name", ["a.json", "a.md", "a.html", "a.nii", "a.nii.gz"])
def test_any_change_of_a_byte_makes_a_file_somebody_elses(tmp_path, name):
    content = b'{\n  "x": 1\n}\n' if name.endswith(".json") else b"# page\n"
    if ".nii" in name:
        content = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), LPS).to_bytes()
    write_output(tmp_path / name, content)
    assert is_unchanged(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for place in (1, len(whole) // 2, len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not is_unchanged(tmp_path / name)
        with pytest.raises(InputError):
            check_output(tmp_path / name)


_WRITER = """
import sys
import numpy as np
from oncoprompt.geometry import Grid
from oncoprompt.study import write_nifti
from oncoprompt.study.output import write_output
grid = Grid((40, 40, 40), np.eye(4))
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_nifti(sys.argv[1] + "/out.nii.gz", np.full((40, 40, 40), number % 4, np.uint8), grid, schema="brats2023")
    write_output(sys.argv[1] + "/out.json", b'{\\n  "number": %d\\n}\\n' % number)
"""


def test_killed_at_twenty_moments_every_output_is_absent_or_whole_and_the_next_run_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "theirs.nii.gz").write_bytes(FOREIGN)
    for _ in range(20):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.03))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        for name in ("out.nii.gz", "out.json"):
            assert not (tmp_path / name).exists() or is_unchanged(tmp_path / name)
        assert (tmp_path / "theirs.nii.gz").read_bytes() == FOREIGN
    assert (tmp_path / "out.nii.gz").exists()
    # what a killed run left is hidden and taken for nothing
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path.name.endswith(".tmp"))


def test_what_is_no_file_of_ours_is_told_at_once_and_stays(tmp_path):
    header = b'{"__metadata__":[1]}'
    foreign = tmp_path / "a.safetensors"
    foreign.write_bytes(len(header).to_bytes(8, "little") + header)
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (foreign, pipe, foreign / "below.json"):
        with pytest.raises(InputError, match=r"did not write it|is a file, not a folder"):
            check_output(path)


def test_a_name_as_long_as_a_name_can_be_is_written_and_a_longer_one_told(tmp_path):
    write_output(tmp_path / f"{'a' * 250}.json", b"{}\n")
    with pytest.raises(InputError, match="Cannot write"):
        write_output(tmp_path / f"{'a' * 251}.json", b"{}\n")
    assert len(list(tmp_path.iterdir())) == 1
