"""Ctrl-C and SIGTERM, whenever they come: one sentence, the right exit code, nothing half-written."""

import json
import random
import signal
import time
from pathlib import Path

import nibabel as nib
import pytest

from cli.shell import done, start, write_labels
from training.cases import write_ball

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


def ready(process) -> None:
    """Wait until the program has taken over SIGTERM, which Python itself leaves alone."""
    for _ in range(3000):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError("the program does not listen")


def stopped(*arguments: str | Path, after: float, by: signal.Signals) -> None:
    """Stop a verb some seconds after it has begun, and see that it says so and nothing else."""
    process = start(*arguments)
    ready(process)
    time.sleep(after)
    process.send_signal(by)
    code, _, err = done(process)
    assert (code, err) == (SIGNALS[by], "oncoprompt: Stopped.\n")


def check_whole(folder: Path) -> None:
    """No temporary files, every case complete, every file readable."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert list(folder.rglob(".*")) == []
    for path in files:
        if path.name.endswith(".nii.gz"):
            nib.load(path).get_fdata()
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    for case in folder.glob("OncoPrompt-*"):
        assert len(list(case.glob("*.nii.gz"))) >= 2
        assert (case / f"{case.name}-seg.nii.gz").is_file()
        assert (case / f"{case.name}-record.json").is_file()


def moments(seed: int, latest: float, count: int) -> list[tuple[float, signal.Signals]]:
    """Seeded moments in seconds, the first at once, by one signal and the other."""
    rng = random.Random(seed)
    return [(rng.uniform(0, latest) if n else 0.0, list(SIGNALS)[n % 2]) for n in range(count)]


@linux
@pytest.mark.parametrize(("after", "by"), moments(0, 4.0, 3))
def test_synthesize_stops_at_any_moment_and_leaves_whole_cases(tmp_path: Path, after: float, by) -> None:
    stopped("synthesize", "-n", "500", "-o", tmp_path / "out", "-q", after=after, by=by)
    check_whole(tmp_path)


@linux
@pytest.mark.parametrize(("after", "by"), moments(1, 2.0, 2))
def test_evaluate_stops_at_any_moment_and_writes_no_scores(tmp_path: Path, after: float, by) -> None:
    for case in range(300):
        write_labels(tmp_path / "truth" / f"case{case}.nii.gz", case, (40, 40, 30))
    arguments = ["--truth", tmp_path / "truth", "--prediction", tmp_path / "truth", "--profile", "brats2023-gli"]
    out = ["--json", tmp_path / "s.json", "--html", tmp_path / "s.html"]
    stopped("evaluate", *arguments, *out, "-q", after=after, by=by)
    assert [path.name for path in tmp_path.iterdir()] == ["truth"]


@linux
@pytest.mark.parametrize(("after", "by"), moments(2, 3.0, 2))
def test_mix_stops_at_any_moment_and_leaves_whole_fields(tmp_path: Path, after: float, by) -> None:
    for seed, name in enumerate(("P1", "P2")):
        write_ball(tmp_path / "data", name, schema=None, seed=seed)
    arguments = ["--schema", "brats2024-gli", "--iterations", "100000", "-n", "9"]
    stopped("mix", tmp_path / "data", "-o", tmp_path / "out", *arguments, "-q", after=after, by=by)
    if (tmp_path / "out").exists():
        check_whole(tmp_path / "out")


@linux
def test_evaluate_in_several_processes_stops_without_waiting_for_them(tmp_path: Path) -> None:
    for case in range(300):
        write_labels(tmp_path / "truth" / f"case{case}.nii.gz", case, (40, 40, 30))
    arguments = ["--truth", tmp_path / "truth", "--prediction", tmp_path / "truth", "--profile", "brats2023-gli"]
    stopped("evaluate", *arguments, "--jobs", "2", "-q", after=2.0, by=signal.SIGTERM)
    assert [path.name for path in tmp_path.iterdir()] == ["truth"]


@linux
def test_segment_stops_and_leaves_nothing(tmp_path: Path) -> None:
    write_ball(tmp_path / "data", "P1", schema=None, seed=0)
    stopped("segment", "-i", tmp_path / "data" / "P1", "-o", tmp_path / "x.nii.gz", "-q", after=1.0, by=signal.SIGINT)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
