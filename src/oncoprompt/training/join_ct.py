"""Weights of TAGS compact for MRI and those of a run on CT alone, in one file."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.tags.compact import SHARED_WITH_CT
from oncoprompt.methods.tags.compact_weights import joined, parted
from oncoprompt.methods.weight_files import read_own
from oncoprompt.study.writer import write_whole


def join_ct(mri: Path, ct: Path, folder: Path) -> Path:
    """Write `tags-compact.safetensors` and its manifest, that of MRI with the CT run's under "ct"; returns the weights.

    Raises InputError where it would overwrite, WeightsError for weights whose deepest layers, which both use, differ.
    """
    path = folder / "tags-compact.safetensors"
    if path.exists():
        raise InputError(f"'{path}' exists. Give another folder.")
    first, second = read_own(mri), read_own(ct)
    ours, theirs = parted(first.state, ct=False), parted(second.state, ct=True)
    if set(ours) != set(theirs):
        raise WeightsError(f"'{mri.name}' and '{ct.name}' are weights of different networks.")
    shared = [name for name in ours if name.startswith(SHARED_WITH_CT)]
    apart = [name for name in shared if not torch.equal(ours[name], theirs[name])]
    if apart:
        raise WeightsError(
            f"'{ct.name}' does not go with '{mri.name}': {len(apart)} of the {len(shared)} parameters that CT shares "
            f"with MRI differ, the first is '{apart[0]}'. Train CT with ct_share = 1 from these very weights."
        )
    state = joined(ours, theirs)
    content = save(state, metadata={"format": "pt"})
    manifest = dict(first.manifest) | {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "values": sum(value.numel() for value in state.values()),
        "trained_minutes_of_all_runs": sum(_minutes(own.manifest) for own in (first, second)),
        "ct": dict(second.manifest),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    write_whole(path.with_suffix(".json"), f"{json.dumps(manifest, indent=2)}\n".encode())
    return path


def _minutes(manifest: Mapping[str, Any]) -> float:
    """How long weights were trained, in all the runs they come from."""
    return float(manifest.get("trained_minutes_of_all_runs", manifest.get("trained_minutes", 0.0)))
