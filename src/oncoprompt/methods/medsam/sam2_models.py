"""SAM 2 and MedSAM2 by name: their published files, how to get them, and how one is loaded."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam.weights_file import read_weights
from oncoprompt.methods.msm_seg.config import HIERA_SIZES

if TYPE_CHECKING:
    from oncoprompt.methods.medsam.models import SliceModelEntry
    from oncoprompt.methods.medsam.sam2_names import Sam2Kind
    from oncoprompt.methods.medsam.sam2_volume import Sam2VolumeModel

_LOG = logging.getLogger(__name__)

MEDSAM2 = "medsam2-tiny"
_SAM2 = "sam2.1-hiera-"
_MEDSAM2_SIDE, _SAM2_SIDE = 512, 1024


def sam2_cards() -> list[SliceModelEntry]:
    """MedSAM2 and the four sizes of SAM 2.1; each needs a file that the user downloads.

    MedSAM2's fine-tuned files (one for CT lesions, one for liver lesions, ...) are loaded by their paths.
    """
    from oncoprompt.methods.medsam.models import SliceModelEntry

    cards = [
        SliceModelEntry(
            MEDSAM2,
            "MedSAM2: SAM 2.1 Hiera tiny trained on medical volumes at 512 pixels; follows a target through slices.",
            "Apache-2.0 (code); see the hub's page for the weights",
            ("MedSAM2_latest.pt", "MedSAM2_2411.pt", f"{MEDSAM2}.safetensors", f"{MEDSAM2}.pt"),
            "'hf download wanglab/MedSAM2 MedSAM2_latest.pt'",
        )
    ]
    for size in HIERA_SIZES:
        file = f"sam2.1_hiera_{size.replace('-', '_')}.pt"
        cards.append(
            SliceModelEntry(
                _SAM2 + size,
                f"SAM 2.1 Hiera {size} as published by Meta, never trained on medical images; follows likewise.",
                "Apache-2.0",
                (file, f"{_SAM2}{size}.safetensors", f"{_SAM2}{size}/model.safetensors"),
                f"'hf download facebook/sam2.1-hiera-{size} {file}'",
            )
        )
    return cards


def load_sam2(path: Path, device: str | torch.device = "cpu", name: str | None = None) -> Sam2VolumeModel:
    """The model in a file of SAM 2, SAM 2.1 or MedSAM2, in Meta's layout or the hub's; what it is gets logged.

    ``name`` is that of a card; without it, a file called MedSAM2... is taken as MedSAM2, because weights do not tell it
    from SAM 2.1 Hiera tiny. Raises WeightsError where the file is missing, damaged or of another network or size.
    """
    # transformers takes seconds to import
    from oncoprompt.methods.medsam.sam2_names import sam2_kind, to_video_names
    from oncoprompt.methods.medsam.sam2_network import load_video_network
    from oncoprompt.methods.medsam.sam2_volume import Sam2VolumeModel

    file = read_weights(path)
    medical = name == MEDSAM2 if name else path.stem.lower().startswith("medsam2")
    side = _MEDSAM2_SIDE if medical else _SAM2_SIDE
    weights = to_video_names(file.state)
    kind = sam2_kind(weights)
    _check(file.name, kind, name)
    network = load_video_network(weights, kind, side)
    _LOG.info("%s", _told(file.name, kind, medical, side))
    nn.Module.to(network, torch.device(device))
    stem = path.name if path.is_dir() else path.stem
    return Sam2VolumeModel(network, name or stem, file.sha256, torch.device(device))


def _check(file: str, kind: Sam2Kind, name: str | None) -> None:
    wanted = "tiny" if name == MEDSAM2 else (name or "").removeprefix(_SAM2)
    if name and (kind.size, kind.version) != (wanted, "2.1"):
        raise WeightsError(f"'{file}' holds {kind}, which is not '{name}'. Give its path, or the file of '{name}'.")


def _told(file: str, kind: Sam2Kind, medical: bool, side: int) -> str:
    text = f"'{file}' holds {kind}, run at {side}x{side} pixels"
    if (kind.size, kind.version) != ("tiny", "2.1"):
        return f"{text}."
    taken, other = ("MedSAM2", "SAM 2.1") if medical else ("SAM 2.1", "MedSAM2")
    return f"{text} and taken as {taken} by its name; its shapes are those of {other} too, so they do not tell."
