"""What a benchmark says of the machine, and measurements in a process of their own."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def peak_mib() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def processor() -> str:
    """Name of the processor and whether it multiplies bfloat16 numbers by itself."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    own = "amx_bf16" in text or "avx512_bf16" in text
    return f"{names[0] if names else platform.machine()}, {'with' if own else 'without'} bfloat16 instructions"


def in_a_process(script: str, arguments: Sequence[object], threads: int) -> Any:
    """What a script run again with other arguments prints as JSON on its last line."""
    words = [str(word) for word in arguments]
    # threads that wait must not count as working
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, script, *words], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    line = done.stdout.splitlines()[-1]
    print(*words, line, file=sys.stderr)
    return json.loads(line)


def whole_run(arguments: Sequence[object], threads: int | None = None) -> tuple[float, float]:
    """Wall seconds and peak MiB of one whole run of `oncoprompt segment`; ends the benchmark where it fails."""
    words = [str(word) for word in arguments]
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "oncoprompt.cli", "segment", *words], env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"The command failed: oncoprompt segment {' '.join(words)}")
    return seconds, usage.ru_maxrss / 1024


def load() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def load_sentence(loads: Sequence[float], threads: int) -> str:
    """What loads say of wall seconds taken with so many threads."""
    return (
        f"Load averages while this ran, on {os.cpu_count()} cores: {', '.join(f'{value:.1f}' for value in loads)}. "
        f"Above {threads} other programs took part of the cores, and wall seconds are too high."
    )
