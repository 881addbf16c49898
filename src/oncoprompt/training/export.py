"""Weights ready to ship: half-precision safetensors beside a manifest that says where they come from."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from oncoprompt.errors import WeightsError
from oncoprompt.study.output import write_output
from oncoprompt.training.checkpoint import Progress

LICENCE = "Apache-2.0"


def export_weights(
    folder: Path,
    weights: Mapping[str, Tensor],
    progress: Progress,
    config: Mapping[str, Any],
    remarks: Mapping[str, Any] | None = None,
) -> Path:
    """Write `<model>.safetensors` (float16) and its manifest `<model>.json` into `folder`; return the weights' path.

    The names are those under which the model registry looks for weights; `remarks` are added to the manifest.

    Raises `WeightsError` if a weight is not finite in half precision.
    """
    half = {name: _half(name, value) for name, value in weights.items()}
    name = config["model"]["name"]
    manifest = {
        "model": name,
        "dtype": "float16",
        "licence": LICENCE,
        "seed": config["run"]["seed"],
        "steps": progress.step,
        "items": progress.index,
        "trained_minutes": round(progress.elapsed_s / 60.0, 2),
        "commit": source_commit(),
        "torch": torch.__version__,
        "recipe": config,
        **(remarks or {}),
    }
    return write_weights(folder / f"{name}.safetensors", half, manifest)


def write_weights(path: Path, weights: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> Path:
    """Write weights as they are, and beside them a manifest, to which the file's name, SHA-256 and sizes are added."""
    content = write_output(path, save(dict(weights), metadata={"format": "pt"}))
    told = {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "values": sum(value.numel() for value in weights.values()),
    }
    write_output(path.with_suffix(".json"), f"{json.dumps({**manifest, **told}, indent=2)}\n".encode())
    return path


def source_commit() -> str | None:
    """Commit of the source tree this package runs from, with `-dirty` for local changes; None outside of one."""
    here = Path(__file__).resolve().parent
    commit = _git(here, "rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if _git(here.parent, "status", "--porcelain", "--", ".") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _half(name: str, value: Tensor) -> Tensor:
    value = value.detach().cpu()
    if not value.is_floating_point():
        return value.contiguous().clone()
    half = value.to(torch.float16).contiguous()
    if not bool(torch.isfinite(half).all()):
        raise WeightsError(f"Weight '{name}' is not finite in half precision. The training diverged; lower its rate.")
    return half
