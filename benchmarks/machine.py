"""What a benchmark says of the machine, and measurements in a process of their own."""

import json
import os
import platform
import resource
import subprocess
import sys
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
