"""The atlases people are drawn from: the bundled average brain, or a folder of label maps of heads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from oncoprompt.errors import InputError
from oncoprompt.study.channels import EXTENSIONS, split_extension
from oncoprompt.study.nifti import scan_files
from oncoprompt.synthesis.atlas import Atlas, icbm152


@dataclass(frozen=True)
class Atlases:
    """Atlases by name, each made when it is first asked for; the last two stay in memory (about 250 MB each)."""

    files: dict[str, Path]
    device: torch.device

    @property
    def names(self) -> tuple[str, ...]:
        """Names in alphabetical order; the bundled brain is "icbm152"."""
        return tuple(sorted(self.files)) or ("icbm152",)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> Atlas:
        """The atlas of a name; raises InputError for a name that is not there and for a file that is no label map."""
        if name not in self.names:
            raise InputError(f"There is no anatomy '{name}'. Known: {', '.join(self.names)}.")
        return _read(self.files[name], self.device) if self.files else icbm152(self.device)

    def random(self, rng: np.random.Generator) -> Atlas:
        """One of the atlases, each as likely as the other."""
        return self[self.names[int(rng.integers(len(self.names)))]]


def load_atlases(folder: str | os.PathLike[str] | None, device: str | torch.device = "cpu") -> Atlases:
    """The atlases of a folder of label maps (FreeSurfer's numbering), or the bundled one where there is no folder.

    Raises InputError where the folder does not exist, holds no scan file, or its first file is no label map.
    """
    where = torch.device(device)
    if folder is None:
        return Atlases({}, where)
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"The folder of anatomies '{path}' does not exist or is no folder.")
    files = {parts[0]: file for file in scan_files(path.iterdir()) if (parts := split_extension(file.name)) is not None}
    if not files:
        raise InputError(
            f"The folder '{path}' holds no label maps of heads ({', '.join(EXTENSIONS)}). Give a folder of label maps "
            "in FreeSurfer's numbering, or leave it out for the bundled average brain."
        )
    atlases = Atlases(files, where)
    atlases[atlases.names[0]]
    return atlases


@lru_cache(maxsize=2)
def _read(file: Path, device: torch.device) -> Atlas:
    from oncoprompt.synthesis.label_atlas import label_atlas  # cc3d is only needed for these

    return label_atlas(file, device)
