"""Consoles that cannot show a letter, readers that go away, disks that are full, places that are not there."""

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

from cli.shell import done, start, write_labels
from training.cases import write_ball

linux = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
CONSOLES = (
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "cp1252"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None},
)
NAMES = ("consoles of ASCII", "of cp1252", "of the C locale")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with names that few consoles can show."""
    folder = tmp_path_factory.mktemp("data") / "Иван и Zoë"
    for seed, name in enumerate(("Äpfel", "患者 1")):
        write_labels(folder / name / f"{name}-seg.nii.gz", seed)
        write_labels(folder / name / f"{name}-t1c.nii.gz", seed)
    return folder


def scored(folder: Path, *more: str | Path) -> list[str | Path]:
    """Arguments that score two cases against themselves."""
    for seed in range(2):
        write_labels(folder / "truth" / f"case{seed}.nii.gz", seed)
    return [
        "evaluate",
        "--truth",
        folder / "truth",
        "--prediction",
        folder / "truth",
        "--profile",
        "brats2023-gli",
        *more,
    ]


@pytest.mark.parametrize("console", CONSOLES, ids=NAMES)
def test_letters_that_a_console_cannot_show_are_replaced(cohort: Path, console) -> None:
    code, out, err = done(start("data", "list", cohort, env=console))
    assert (code, err) == (0, "")
    assert "?" in out
    assert "cases: 2" in out


@pytest.mark.parametrize("console", CONSOLES, ids=NAMES)
def test_an_error_about_a_name_that_cannot_be_shown_is_a_sentence(cohort: Path, console) -> None:
    code, out, err = done(start("segment", "-i", cohort / "нет", "-o", cohort / "x.nii.gz", env=console))
    assert (code, out) == (2, "")
    assert err.startswith("oncoprompt: --input:")
    assert err.count("\n") == 1


@pytest.mark.parametrize("console", CONSOLES, ids=NAMES)
def test_help_comes_on_every_console(console) -> None:
    code, out, err = done(start("segment", "--help", env=console))
    assert (code, err) == (0, "")
    assert "Example: oncoprompt segment" in out


def test_json_stays_json_on_a_console_of_ascii(tmp_path: Path) -> None:
    weights = tmp_path / "Gewichte für 患者"
    weights.mkdir()
    (weights / "dynunet.safetensors").touch()
    environment = {"PYTHONIOENCODING": "ascii", "ONCOPROMPT_WEIGHTS": str(weights)}
    code, out, _ = done(start("models", "list", "--json", env=environment))
    assert code == 0
    found = {model["name"]: model["weights"] for model in json.loads(out)["models"]}
    assert found["dynunet"] == str(weights / "dynunet.safetensors")


@pytest.mark.parametrize("arguments", [["data", "list", "{cohort}"], ["models", "list", "--json"]])
def test_a_reader_that_goes_away_ends_the_program_quietly_as_shells_expect(cohort: Path, arguments) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        given = [part.replace("{cohort}", str(cohort)) for part in arguments]
        code, _, err = done(start(*given, stdout=pipe))
    assert (code, err) == (141, "")


def test_head_gets_its_line_and_nothing_is_said_of_the_rest(cohort: Path) -> None:
    command = f'set -o pipefail; "{sys.executable}" -m oncoprompt.cli data list "{cohort}" | head -1'
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert found.returncode in (0, 141)
    assert found.stderr == ""
    assert found.stdout.startswith("case")


def test_errors_that_nobody_reads_leave_the_exit_code_as_it_is() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        assert done(start("segment", "-i", "nowhere", "-o", "x.nii.gz", stderr=pipe))[0] == 2


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_streams_lead_nowhere_and_the_work_is_done(tmp_path: Path, closed) -> None:
    """The label maps and pages that are written must not get the numbers of the closed streams."""
    process = start(*scored(tmp_path, "--json", tmp_path / "s.json"), before=lambda: [os.close(n) for n in closed])
    code, out, err = done(process)
    assert code == 0
    assert "Traceback" not in out + err
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))


@linux
@pytest.mark.parametrize("arguments", [["data", "list", "{cohort}"], ["--help"], ["--version"]])
def test_a_full_disk_under_standard_output_is_told(cohort: Path, arguments) -> None:
    with Path("/dev/full").open("wb") as full:
        code, _, err = done(start(*[part.replace("{cohort}", str(cohort)) for part in arguments], stdout=full))
    assert code == 1
    assert err == "oncoprompt: Cannot write to standard output: No space left on the disk.\n"


def test_a_file_that_the_disk_does_not_take_is_told_and_nothing_half_written_stays(tmp_path: Path) -> None:
    """A limit on the size of files is a full disk to a program."""
    arguments = scored(tmp_path, "--json", tmp_path / "s.json", "--html", tmp_path / "s.html")
    code, out, err = done(start(*arguments, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))))
    assert code not in (0, 120)
    assert "s.json" in err
    assert "Traceback" not in out + err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["truth"]


def test_room_is_looked_for_before_work_begins(tmp_path: Path) -> None:
    """A million studies fit no disk."""
    code, _, err = done(start("synthesize", "-n", "1000000000", "-o", tmp_path / "many"))
    assert code == 2
    assert err.startswith("oncoprompt: No space left on the disk for ")
    assert list(tmp_path.iterdir()) == []


def test_without_a_home_or_temporary_folder_everything_works(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    missing = str(tmp_path / "file" / "home")
    nowhere = {"HOME": missing, "TMPDIR": missing, "MPLCONFIGDIR": None, "XDG_CACHE_HOME": None}
    code, _, err = done(start(*scored(tmp_path, "--html", tmp_path / "s.html"), env=nowhere))
    assert code == 0
    assert "Traceback" not in err
    assert "<html" in (tmp_path / "s.html").read_text(encoding="utf-8")


def test_a_current_folder_that_was_deleted_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code, _, err = done(start("--version", cwd=gone, before=gone.rmdir))
    assert code == 2
    assert err == "oncoprompt: The current folder does not exist any more. Change to another one.\n"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pipe", "not a file or folder"),
        ("socket", "not a file or folder"),
        ("device", "not a file or folder"),
        ("loop", "symbolic links"),
        ("dangling", "a link that leads nowhere"),
        ("through a file", "Not a directory"),
        ("too long", "File name too long"),
        ("NUL", "null byte"),
    ],
)
def test_what_is_no_file_is_refused_at_once_and_not_waited_for(tmp_path, capsys, kind: str, said: str) -> None:
    path = tmp_path / "t1c.nii.gz"
    listening = socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        listening.bind(os.path.relpath(path))
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "through a file":
        path.write_bytes(b"")
        path /= "t1c.nii.gz"
    elif kind == "too long":
        path = tmp_path / ("t1c" * 100)
    else:
        path = Path(f"{path}\0")
    from oncoprompt.cli import main

    for arguments in (["-i", path], ["--channel", f"t1c={path}"], ["-i", tmp_path, "--anatomy", path]):
        with pytest.raises(SystemExit) as left:
            main(["segment", "-o", str(tmp_path / "x.nii.gz"), *map(str, arguments)])
        told = capsys.readouterr().err
        assert left.value.code == 2
        assert said in told
        assert told.count("\n") == 1
    listening.close()


def test_a_file_without_permission_is_told(tmp_path: Path, capsys) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    path = tmp_path / "t1c.nii.gz"
    path.touch(0o000)
    from oncoprompt.cli import main

    with pytest.raises(SystemExit):
        main(["segment", "-i", str(path), "-o", str(tmp_path / "x.nii.gz")])
    told = capsys.readouterr().err
    assert "--input" in told
    assert "is not readable" in told


def test_paths_with_spaces_letters_dots_and_links_are_paths(tmp_path: Path) -> None:
    folder = tmp_path / "ein Ordner mit Ümläuten 患者"
    scored(folder)
    (tmp_path / "link").symlink_to(folder)
    arguments = ["evaluate", "--truth", "link/truth", "--prediction", f"link/../{folder.name}/truth"]
    code, _, err = done(start(*arguments, "--profile", "brats2023-gli", "--json", "link/ü s.json", cwd=tmp_path))
    assert (code, err) == (0, "")
    assert (folder / "ü s.json").is_file()


def test_segment_writes_its_result_and_tells_its_doubts_on_a_console_without_the_letters_of_its_path(tmp_path) -> None:
    """With the bundled network: a click outside the box is told, in JSON as well, and the label map is whole."""
    folder = tmp_path / "Иван"
    write_ball(folder, "P1")
    prompts = ["--box", "16", "30", "16", "32", "14", "30", "--click", "12", "24", "20"]
    arguments = ["segment", "-i", folder / "P1", "-o", folder / "seg.nii.gz", *prompts, "--json"]
    code, out, err = done(start(*arguments, env={"PYTHONIOENCODING": "cp1252"}))
    assert code == 0
    summary = json.loads(out)
    assert summary["outputs"]["label_map"] == str(folder / "seg.nii.gz")
    assert any("outside every box" in sentence for sentence in summary["warnings"])
    assert "outside every box" in err
    assert nib.load(folder / "seg.nii.gz").shape == (40, 48, 40)
