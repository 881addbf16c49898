"""`oncoprompt data` from a shell's point of view."""

import json
from pathlib import Path

import pytest

from cohort.writing import brats_case, labels, save
from oncoprompt.cli import main


def call(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.fixture
def data(tmp_path):
    """Ten sound cases of nine patients."""
    for number in range(9):
        brats_case(tmp_path / "data", f"BraTS-MET-{number:05d}-000", channels=("t1n", "t1c", "t2w", "t2f"))
    brats_case(tmp_path / "data", "BraTS-MET-00000-001")
    return tmp_path / "data"


def test_a_sound_data_set_says_so_and_exits_with_zero(data, tmp_path, capsys):
    assert call("data", "check", data, "--json", tmp_path / "report.json") == 0
    told = capsys.readouterr()
    assert told.out == "10 cases, no problems (layout brats2023)\n"
    assert told.err == ""
    report = json.loads((tmp_path / "report.json").read_text())
    assert report.pop("written_by").startswith("oncoprompt ")
    assert report == {"layout": "brats2023", "cases": 10, "labelled": 10, "problems": [], "unused_files": []}


def test_a_line_a_problem_and_exit_code_two(data, tmp_path, capsys):
    (data / "BraTS-MET-00003-000" / "BraTS-MET-00003-000-t1c.nii.gz").write_bytes(b"")
    save(data / "BraTS-MET-00007-000" / "BraTS-MET-00007-000-seg.nii.gz", labels())
    assert call("data", "check", data, "--json", tmp_path / "report.json") == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["BraTS-MET-00003-000", "BraTS-MET-00007-000"]
    assert lines[2:] == ["10 cases, 2 problems (layout brats2023): 1 unreadable file, 1 empty label map"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(problem["case"], problem["kind"]) for problem in report["problems"]] == [
        ("BraTS-MET-00003-000", "unreadable file"),
        ("BraTS-MET-00007-000", "empty label map"),
    ]
    assert call("data", "check", data, "--quiet") == 2
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_split_is_written_and_found_sound(data, tmp_path, capsys):
    out = tmp_path / "split.json"
    assert call("data", "split", data, "-o", out, "--seed", 3, "--shares", 0.6, 0.2, 0.2) == 0
    said = capsys.readouterr().out
    parts = json.loads(out.read_text())["parts"]
    assert {part: len(patients) for part, patients in parts.items()} == {"train": 5, "validation": 2, "test": 2}
    counts = {part: sum(map(len, patients.values())) for part, patients in parts.items()}
    assert said == f"{out}: {', '.join(f'{part} {count}' for part, count in counts.items())} cases\n"
    assert call("data", "check", data, "--split", out) == 0
    again = tmp_path / "again.json"
    assert call("data", "split", data, "-o", again, "--seed", 3, "--shares", 0.6, 0.2, 0.2, "-q") == 0
    assert again.read_bytes() == out.read_bytes()


def test_a_part_of_share_zero_is_left_out_and_folds_are_numbered(data, tmp_path):
    assert call("data", "split", data, "-o", tmp_path / "s.json", "--shares", 0.8, 0, 0.2) == 0
    assert list(json.loads((tmp_path / "s.json").read_text())["parts"]) == ["train", "test"]
    assert call("data", "split", data, "-o", tmp_path / "s.json", "--folds", 3) == 0
    held_out = [json.loads((tmp_path / f"s-{fold}.json").read_text())["parts"]["validation"] for fold in (1, 2, 3)]
    assert sorted(patient for patients in held_out for patient in patients) == [f"BraTS-MET-{n:05d}" for n in range(9)]


def test_a_leaking_split_file_is_a_problem_and_the_check_goes_on(data, tmp_path, capsys):
    save(data / "BraTS-MET-00007-000" / "BraTS-MET-00007-000-seg.nii.gz", labels())
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"seed": 0, "parts": {"train": {"P": ["a"]}, "test": {"P": ["b"]}}}))
    assert call("data", "check", data, "--split", split) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "Patient 'P' is in part 'train' and in part 'test'" in lines[0]
    assert "holds no tumour" in lines[1]


def test_cases_are_listed_with_what_they_hold(data, capsys):
    brats_case(data, "BraTS-PED-00001-000", None, ("t1c",))
    assert call("data", "list", data) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["case", "patient", "channels", "label", "map", "schema"]
    assert lines[1].split()[:2] == ["BraTS-MET-00000-000", "BraTS-MET-00000"]
    assert lines[-2].split() == ["BraTS-PED-00001-000", "BraTS-PED-00001", "t1c", "-", "-"]
    assert lines[-1] == "Layout brats2023; cases: 11, labelled: 10, patients: 10"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "{}/nowhere"), "There is no file or folder"),
        (("check", "{}"), "holds no case that can be made out. Found: nothing"),
        (("list", "{}", "--layout", "dicom"), "There is no layout 'dicom'. Known: brats2021"),
        (("split", "{}/data", "-o", "{}/s.json", "--shares", "0.5", "0.1", "0.1"), "Shares must be positive"),
        (("split", "{}/data", "-o", "{}/no/s.json"), "Cannot write"),
        (("split", "{}/data", "-o", "{}/s.json", "--folds", "20"), "The number of folds is 20; it must be 2 to 3"),
    ],
)
def test_wrong_input_is_told_in_a_sentence(tmp_path, capsys, arguments, said):
    if any("data" in argument for argument in arguments):
        for number in range(3):
            brats_case(tmp_path / "data", f"P{number}", (1,))
    assert call("data", *(argument.format(tmp_path) for argument in arguments)) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""


def test_what_is_left_out_of_a_list_or_a_split_is_named_and_the_exit_code_is_four(data, tmp_path, capsys):
    twice, nameless, unread = (data / f"BraTS-MET-{number:05d}-000" for number in (2, 3, 4))
    save(twice / f"{twice.name}-T1post.nii.gz", labels(1))
    for number, path in enumerate(sorted(nameless.glob("*.nii.gz"))):
        path.rename(path.with_name(f"x{number}_T1_T2.nii.gz"))
    (unread / f"{unread.name}-t2f.nii.gz").unlink()
    (unread / f"{unread.name}-t2f.mnc").write_bytes(b"CDF\x01" + bytes(400))
    save(data / "BraTS-MET-00005-000" / "BraTS-MET-00005-000-adc.nii.gz", labels(1))
    assert call("data", "list", data) == 4
    told = capsys.readouterr()
    assert "cases: 8, labelled: 8" in told.out
    for name in (twice.name, nameless.name):
        assert name not in told.out
        assert f"{name}: " in told.err
    assert "several channels (t1, t2)" in told.err
    assert "BraTS-MET-00005-000-adc.nii.gz is not used: diffusion" in told.err
    assert call("data", "split", data, "-o", tmp_path / "split.json") == 4
    assert twice.name in capsys.readouterr().err
    assert twice.name not in (tmp_path / "split.json").read_text()
    assert call("data", "check", data, "--json", tmp_path / "report.json") == 2
    assert f"{unread.name}-t2f.mnc" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert {problem["case"] for problem in report["problems"]} == {twice.name, nameless.name, unread.name}
    assert "BraTS-MET-00005-000-adc.nii.gz" in str(report["unused_files"])


def test_unlabelled_cases_are_named_as_not_in_the_split(data, tmp_path, capsys):
    for path in data.glob("*-0000[0-3]-*/*-seg.nii.gz"):
        path.unlink()
    call("data", "split", data, "-o", tmp_path / "split.json")
    assert "Not in the split, for they have no label map: BraTS-MET-00000-000" in capsys.readouterr().err
