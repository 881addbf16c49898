"""SAM and MedSAM from any published layout, told to the user in a sentence, and back to the original's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam.sam_names import POSITIONAL, SECOND_COPY, to_original, to_transformers
from oncoprompt.methods.medsam.weights_file import Kind, WeightsFile, read_weights

if TYPE_CHECKING:
    from transformers import SamModel

_LOG = logging.getLogger(__name__)

PUBLISHED: Mapping[str, tuple[str, str]] = {
    "3bb6db55bd0c9ca30b61248bca72f8d6": (
        "medsam-vit-b",
        "MedSAM's published ViT-B (medsam_vit_b.pth of Zenodo)",
    ),
    "01ec64d29a2fca3f0661936605ae66f8": ("sam-vit-b", "SAM's published ViT-B (sam_vit_b_01ec64.pth), not MedSAM"),
    "0b3195507c641ddb6910d2bb5adee89c": ("sam-vit-l", "SAM's published ViT-L (sam_vit_l_0b3195.pth), not MedSAM"),
    "4b8939a88964f0f4ff5f5b2642c598a6": ("sam-vit-h", "SAM's published ViT-H (sam_vit_h_4b8939.pth), not MedSAM"),
}
"""MD5 of published files, -> our name of the model and what the file is."""


@dataclass(frozen=True, eq=False)
class SamCheckpoint:
    """Weights in transformers' names, those of words apart, what the file is in a sentence, and its SHA-256.

    ``published`` is our name of a model whose published file this is, by its MD5; None where it is none of those.
    """

    state: dict[str, Tensor]
    text: dict[str, Tensor]
    told: str
    sha256: str
    published: str | None = None


def read_sam(path: Path) -> SamCheckpoint:
    """SAM or MedSAM in any of its layouts: original or transformers', bare, wrapped or prefixed, .pth or .safetensors.

    Raises WeightsError as `read_weights` does, and where the file is of another network, saying which.
    """
    return sam_of(read_weights(path))


def sam_of(file: WeightsFile) -> SamCheckpoint:
    """The SAM in a file that was read, which is logged in a sentence, as a warning where its origin is not known.

    Raises WeightsError for another network.
    """
    if file.kind not in (Kind.SAM_ORIGINAL, Kind.SAM_TRANSFORMERS):
        raise WeightsError(_refusal(file))
    text = {name.removeprefix("text."): value for name, value in file.state.items() if name.startswith("text.")}
    state = {name: value for name, value in file.state.items() if not name.startswith("text.")}
    if file.kind is Kind.SAM_ORIGINAL:
        state = {to_transformers(name): value for name, value in state.items()}
    second = state.pop(SECOND_COPY, None)
    if second is not None:
        state.setdefault(POSITIONAL, second)
    published, told = _told(file, state)
    if text:
        told += " It has a text tower and reads words."
    _LOG.log(logging.INFO if published or file.trained else logging.WARNING, "%s", told)
    return SamCheckpoint(state, text, told, file.sha256, published)


def original_state(network: SamModel) -> dict[str, Tensor]:
    """The network's weights in segment_anything's layout, for `sam_model_registry["vit_b"]` and its like."""
    return {to_original(name): value for name, value in network.state_dict().items() if name != SECOND_COPY}


def _told(file: WeightsFile, state: Mapping[str, Tensor]) -> tuple[str | None, str]:
    # transformers takes seconds to import
    from oncoprompt.methods.medsam.sam_network import config_of, size_name, vision_config

    layout = str(file.kind).removeprefix("SAM ") + (f" ({file.wrapped_in} taken off)" if file.wrapped_in else "")
    if file.md5 in PUBLISHED:
        published, what = PUBLISHED[file.md5]
        return published, f"'{file.name}' is {what}, {layout}."
    config = config_of(state)
    side = vision_config(config).image_size
    what = f"'{file.name}' holds a SAM {size_name(config)} for {side}x{side} pixels, {layout}"
    if file.trained:
        return None, f"{what}, trained here as '{file.trained}' by its manifest."
    return None, (
        f"{what}. Its checksum is that of no published file known here; whether it is SAM, MedSAM or a fine-tuned one "
        "cannot be told from the shapes."
    )


def _refusal(file: WeightsFile) -> str:
    match file.kind:
        case Kind.SAM_2:
            return f"'{file.name}' is of SAM 2 or MedSAM2, another network than SAM. A SAM or MedSAM file is wanted."
        case Kind.TINY_VIT:
            return (
                f"'{file.name}' is LiteMedSAM or MobileSAM (TinyViT encoder), which is not supported. "
                "Use medsam_vit_b.pth, or medsam-compact for speed."
            )
        case Kind.SAM_HQ:
            return f"'{file.name}' is SAM-HQ, whose decoder has further parts and is not supported. Use SAM or MedSAM."
        case Kind.COMPACT:
            return f"'{file.name}' is MedSAM compact. A SAM or MedSAM file is wanted."
    first = ", ".join(sorted(file.state)[:3])
    return f"'{file.name}' is no SAM: its parameters are called {first}, ... Give a file such as medsam_vit_b.pth."
