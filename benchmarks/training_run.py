"""The training run that never stops: start or resume it, stop it, and tell how it stands.

    python benchmarks/training_run.py on [--cores 1]     # `make train-on`: starts or resumes in the background, returns
    python benchmarks/training_run.py status             # `make train-status`: steps, items, speed, newest scores
    python benchmarks/training_run.py off                # saves the state and stops
    python benchmarks/training_run.py keep               # packs the state into benchmarks/state/ for a commit

The run is `oncoprompt train` with CONFIG. Beside it, `training_scores.py` scores the averaged weights every 45 minutes.
Where there is no run yet but a kept state, as on another machine, the run goes on from that.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from oncoprompt.training.packed_state import pack_state, unpack_state

ROOT = Path(__file__).resolve().parents[1]
NAME = "oncoprompt-compact-synthetic"
CONFIG = ROOT / "configs" / f"{NAME}.toml"
RUN = ROOT / "runs" / NAME
KEPT = ROOT / "benchmarks" / "state" / f"{NAME}.safetensors"
SCORES = ROOT / "benchmarks" / "results" / "training" / f"{NAME}.csv"
SCORE_EVERY_S = 45 * 60.0
PROCESS = RUN / "process"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("on", "off", "status", "keep", "watch"))
    parser.add_argument("--cores", type=int, default=1, help="1 while somebody works here, 2 when nobody does")
    options = parser.parse_args()
    {"on": lambda: on(options.cores), "off": off, "status": status, "keep": keep, "watch": watch}[options.action]()


def on(cores: int) -> None:
    """Start the watching process in a session of its own, so that it outlives the shell."""
    if (process := running()) is not None:
        print(f"Already running (process {process}).")
        return
    RUN.mkdir(parents=True, exist_ok=True)
    if not (RUN / "state.pt").exists() and KEPT.exists():
        unpack_state(KEPT, RUN / "state.pt")
    available = sorted(os.sched_getaffinity(0))
    chosen = set(available[-max(1, min(cores, len(available))) :])
    with (RUN / "output.txt").open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, __file__, "watch"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: (os.sched_setaffinity(0, chosen), os.nice(19)),
        )
    PROCESS.write_text(f"{started.pid}\n")
    print(f"Started (process {started.pid}) on {len(chosen)} core(s), in {RUN.relative_to(ROOT)}.")


def watch() -> None:
    """Train, start again after a crash, and score from time to time, until a signal asks to stop."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda given, _: stopped.append(given))
    trainer, scorer, scored, failures = None, None, last_scored(), 0
    while not stopped:
        if trainer is None:
            trainer = subprocess.Popen(training_command(), cwd=ROOT)
        elif trainer.poll() is not None:
            failures += 1
            time.sleep(min(600, 10 * failures))
            trainer = None
        weights = RUN / f"{NAME}.safetensors"
        idle = scorer is None or scorer.poll() is not None
        if idle and weights.exists() and time.time() - scored >= SCORE_EVERY_S and weights.stat().st_mtime > scored:
            scored = time.time()
            script = ROOT / "benchmarks" / "training_scores.py"
            scorer = subprocess.Popen([sys.executable, script, "--weights", weights, "--csv", SCORES], cwd=ROOT)
        time.sleep(2.0)
    for process in (trainer, scorer):
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait()


def training_command() -> list[str]:
    """`oncoprompt train`, going on where there is a state."""
    command = [sys.executable, "-m", "oncoprompt.cli", "train", "-c", str(CONFIG), "-o", str(RUN), "--quiet"]
    return [*command, "--resume"] if (RUN / "state.pt").exists() else command


def last_scored() -> float:
    """When scores were written last, in seconds since 1970."""
    return SCORES.stat().st_mtime if SCORES.exists() else 0.0


def running() -> int | None:
    """The watching process, None where there is none."""
    try:
        process = int(PROCESS.read_text())
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return process if b"training_run.py" in command else None


def off() -> None:
    """Stop the run; the trainer saves its state first."""
    process = running()
    if process is None:
        print("Not running.")
        return
    os.kill(process, signal.SIGTERM)
    while running() is not None:
        time.sleep(0.5)
    print("Stopped; the state is saved.")


def keep() -> None:
    """Pack what another machine needs: averaged weights, second moments, progress."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    pack_state(RUN / "state.pt", KEPT)
    print(f"{KEPT.relative_to(ROOT)}: {KEPT.stat().st_size / 1e6:.1f} MB")


def status() -> None:
    """Print how far the run is, how fast it goes, and its newest scores."""
    process = running()
    print(f"{NAME}: {'not running' if process is None else f'running (process {process})'}")
    manifest = RUN / f"{NAME}.json"
    if manifest.exists():
        facts = json.loads(manifest.read_text())
        print(f"exported: {facts['steps']} steps, {facts['items']} items, {facts['trained_minutes'] / 60:.1f} hours")
    log = RUN / "log.csv"
    if log.exists():
        with log.open(newline="") as stream:
            rows = list(csv.DictReader(stream))[-200:]
        if rows:
            seconds = sum(float(row["seconds"]) for row in rows)
            loss = sum(float(row["loss"]) for row in rows) / len(rows)
            print(f"step {rows[-1]['step']}: loss {loss:.3f}, {3600 * len(rows) / seconds:.0f} steps an hour")
    if SCORES.exists():
        print(*SCORES.read_text().splitlines()[:1], *SCORES.read_text().splitlines()[-5:], sep="\n")


if __name__ == "__main__":
    main()
