"""The command line as a process of its own, as a shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np

ONCOPROMPT = (sys.executable, "-W", "error::ResourceWarning", "-m", "oncoprompt.cli")
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def start(
    *arguments: str | Path,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    before: Callable[[], object] | None = None,
    code: Sequence[str] = ONCOPROMPT,
) -> subprocess.Popen[bytes]:
    """A process of the command line; variables that are None are taken away, ``before`` runs in it at first."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for name, value in (env or {}).items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    command = [*code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=cwd, env=environment, preexec_fn=before
    )


def done(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process that ends."""
    out, err = process.communicate(timeout=120)
    return process.returncode, (out or b"").decode("utf-8", "replace"), (err or b"").decode("utf-8", "replace")


def write_labels(path: Path, seed: int = 0, shape: tuple[int, int, int] = (24, 24, 16)) -> None:
    """A label map of BraTS 2023 with a tumour of three parts, moved a little by the seed."""
    labels = np.zeros(shape, np.uint8)
    at = 4 + seed % 3
    labels[at : at + 12, 5:18, 3:13] = 2
    labels[at + 2 : at + 10, 7:16, 4:11] = 1
    labels[at + 4 : at + 8, 9:14, 5:10] = 3
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, AFFINE), path)
