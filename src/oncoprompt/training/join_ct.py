"""Weights of TAGS compact for MRI and those of a run on CT alone, in one file."""

from pathlib import Path

import torch

from oncoprompt.errors import WeightsError
from oncoprompt.methods.tags.compact import SHARED_WITH_CT
from oncoprompt.methods.tags.compact_weights import joined, parted
from oncoprompt.methods.tags.names import COMPACT
from oncoprompt.methods.weight_files import read_own, trained_minutes
from oncoprompt.study.output import check_outputs
from oncoprompt.training.export import write_weights


def join_ct(mri: Path, ct: Path, folder: Path) -> Path:
    """Write `tags-compact.safetensors` and its manifest, that of MRI with the CT run's under "ct"; returns the weights.

    Raises InputError where it would overwrite, WeightsError for weights whose deepest layers, which both use, differ.
    """
    path = folder / f"{COMPACT}.safetensors"
    check_outputs([path, path.with_suffix(".json")], [mri, ct])
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
    minutes = sum(trained_minutes(own.manifest) or 0.0 for own in (first, second))
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {**first.manifest, "trained_minutes_of_all_runs": minutes, "ct": dict(second.manifest)}
    return write_weights(path, joined(ours, theirs), manifest)
