"""Slice models by name: where their weights lie, what to do where they are missing, and how they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam.checkpoint import SamCheckpoint, sam_of
from oncoprompt.methods.medsam.sam2_models import load_sam2, sam2_cards
from oncoprompt.methods.medsam.slice_model import SliceModel
from oncoprompt.methods.medsam.weights_file import Kind, file_in, read_weights, recognise
from oncoprompt.methods.names import WEIGHTS_ENDINGS
from oncoprompt.methods.weight_files import BUNDLED, find_file, user_folders

COMPACT = "medsam-compact"
_SAM_FILES = {"b": "sam_vit_b_01ec64.pth", "l": "sam_vit_l_0b3195.pth", "h": "sam_vit_h_4b8939.pth"}


@dataclass(frozen=True)
class SliceModelEntry:
    """A slice model's name, what it is, the file names its weights go by, and where they come from."""

    name: str
    description: str
    licence: str
    files: tuple[str, ...]
    source: str
    method: str = "medsam"

    @property
    def weights(self) -> Path | None:
        """The file in the user's folders, or the bundled one."""
        folders = [*user_folders(), BUNDLED]
        return next((path for path in (find_file(file, folders) for file in self.files) if path is not None), None)


def slice_models() -> Mapping[str, SliceModelEntry]:
    """All slice models this version knows."""
    entries = [
        SliceModelEntry(
            COMPACT,
            "One box a target on any picture or slice, for processors; trained on synthetic images alone.",
            "Apache-2.0",
            (f"{COMPACT}.safetensors",),
            "'pip install --force-reinstall oncoprompt'",
        ),
        SliceModelEntry(
            "medsam-vit-b",
            "MedSAM: SAM ViT-B trained on 1.6 million medical images; slices of any kind, one box a target.",
            "Apache-2.0 (code), CC-BY-4.0 (weights on Zenodo)",
            ("medsam_vit_b.pth", "medsam-vit-b.safetensors", "medsam-vit-b.pth", "medsam-vit-base/model.safetensors"),
            "https://zenodo.org/records/10689643, or 'hf download wanglab/medsam-vit-base --local-dir medsam-vit-base'",
        ),
        *(_sam(size, file) for size, file in _SAM_FILES.items()),
        *sam2_cards(),
    ]
    return {entry.name: entry for entry in entries}


def _sam(size: str, file: str) -> SliceModelEntry:
    hub = {"b": "base", "l": "large", "h": "huge"}[size]
    return SliceModelEntry(
        f"sam-vit-{size}",
        f"SAM ViT-{size.upper()} as published by Meta, never trained on medical images, with MedSAM's pre-processing.",
        "Apache-2.0",
        (file, f"sam-vit-{size}.safetensors", f"sam-vit-{size}.pth", f"sam-vit-{hub}/model.safetensors"),
        f"https://dl.fbaipublicfiles.com/segment_anything/{file}, or 'hf download facebook/sam-vit-{hub} "
        f"--local-dir sam-vit-{hub}'",
    )


def is_slice_model(name: str) -> bool:
    """Whether a name is that of a slice model, or a path that of weights which only a slice model can have."""
    path = Path(name)
    if name in slice_models() or path.suffix in WEIGHTS_ENDINGS[1:] or file_in(path) != path:
        return True
    if path.suffix != WEIGHTS_ENDINGS[0] or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return recognise(list(file.keys())) is not Kind.UNKNOWN
    except SafetensorError:
        return False


def load_by_name(name: str, device: str | torch.device = "cpu") -> SliceModel:
    """A slice model ready to answer: a known name, or the path of weights in any published layout.

    Raises InputError for a name that is not known and WeightsError where weights are missing, damaged or another
    model's.
    """
    entry = slice_models().get(name)
    if entry is None:
        path = Path(name)
        if path.suffix in WEIGHTS_ENDINGS or file_in(path) != path:
            return load_file(path, device)
        raise InputError(
            f"There is no slice model '{name}'. Known: {', '.join(slice_models())}, or the path of weights "
            f"({', '.join(WEIGHTS_ENDINGS)})."
        )
    return load_file(weights_of(entry), device, name)


def weights_of(entry: SliceModelEntry) -> Path:
    """The file of a model's weights; raises WeightsError where there is none, saying how to get it."""
    if entry.weights is None:
        raise WeightsError(
            f"The weights of '{entry.name}' are missing: {' or '.join(entry.files)} was looked for in "
            f"{', '.join(map(str, user_folders()))}. To get it: {entry.source}. Put it there, or "
            "set ONCOPROMPT_WEIGHTS to its folder."
        )
    return entry.weights


def load_file(path: Path, device: str | torch.device = "cpu", name: str | None = None) -> SliceModel:
    """The slice model in a file, told by its content; raises WeightsError for a published file of another ``name``."""
    file = read_weights(path)
    if file.kind is Kind.COMPACT:
        from oncoprompt.methods.medsam.compact_model import load_compact

        return load_compact(path, device)
    if file.kind is Kind.SAM_2:
        return load_sam2(path, device, name)
    checkpoint = sam_of(file)
    if name is not None and checkpoint.published not in (None, name):
        raise WeightsError(f"{checkpoint.told} It is not '{name}'; ask for '{checkpoint.published}' or give its path.")
    return _medsam(checkpoint, name or checkpoint.published or path.stem, path, torch.device(device))


def _medsam(checkpoint: SamCheckpoint, name: str, path: Path, device: torch.device) -> SliceModel:
    # transformers takes seconds to import
    from oncoprompt.methods.medsam.sam import MedSAM
    from oncoprompt.methods.medsam.sam_network import load_sam
    from oncoprompt.methods.medsam.text_prompt import load_reader

    network = load_sam(checkpoint.state)
    nn.Module.to(network, device).requires_grad_(False)
    reader = load_reader(checkpoint.text, [path.parent, *user_folders()], device) if checkpoint.text else None
    return MedSAM(network, name, checkpoint.sha256, device, reader=reader)
