"""SAM's ViT-B in the encoder of TAGS, from any layout in which SAM is published."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam.checkpoint import read_sam
from oncoprompt.methods.medsam.sam_names import to_original
from oncoprompt.methods.tags.attention import WindowAttention
from oncoprompt.methods.tags.encoder import TagsEncoder

_ENCODER = "image_encoder."
# Ours begin with the first, SAM's with the second.
_PREFIXES = (
    ("patch_embedding.projection.", "patch_embed.proj."),
    ("positions.pos_embed", "pos_embed"),
    ("blocks.", "blocks."),
)
# Parts of a block that SAM has not
_OWN = re.compile(r"\.(adapter\.|attn\.rel_pos_d|attn\.position_scale)")


def read_sam_encoder(encoder: TagsEncoder, path: Path) -> str:
    """Fill an encoder from a file of SAM or MedSAM ViT-B, or a folder of the hub; gives the file's SHA-256.

    Raises WeightsError where the file cannot be read, is of another network or does not fit.
    """
    file = read_sam(path)
    load_sam_encoder(encoder, file.state)
    return file.sha256


@torch.no_grad()
def load_sam_encoder(encoder: TagsEncoder, state: Mapping[str, Tensor]) -> None:
    """Fill an encoder from SAM's state dict in the original's names (`image_encoder.*`) or transformers'.

    Positions and relative-position tables of other lengths are interpolated; each table of the depth becomes the mean
    of those of the plane. Prompt encoder, mask decoder and SAM's own neck are left out. Raises WeightsError where a
    part is missing, unknown or of another shape; the encoder then is as it was.
    """
    theirs = {name.removeprefix(_ENCODER): value for name, value in _original(state).items()}
    own = {sam_name(name): value for name, value in encoder.state_dict().items() if sam_name(name)}
    found = {name: _resized(name, value, own[name]) for name, value in theirs.items() if name in own}
    odd = [f"'{_ENCODER}{name}' is missing" for name in own if name not in found]
    odd += [f"'{_ENCODER}{name}' is unknown" for name in theirs if name not in own]
    odd += [
        f"'{_ENCODER}{name}' is {list(theirs[name].shape)} instead of {list(own[name].shape)}"
        for name, value in found.items()
        if value.shape != own[name].shape
    ]
    if odd:
        raise WeightsError(
            f"The weights do not fit the encoder of TAGS: {odd[0]}"
            + (f", and {len(odd) - 1} more differ. " if len(odd) > 1 else ". ")
            + "Give SAM's ViT-B, such as sam_vit_b_01ec64.pth."
        )
    for name, value in found.items():
        own[name].copy_(value)
    for module in encoder.modules():
        if isinstance(module, WindowAttention):
            module.start_depth()


def sam_name(name: str) -> str | None:
    """The original's name, without `image_encoder.`, of a parameter of our encoder; None for what SAM has not."""
    for ours, theirs in _PREFIXES:
        if name.startswith(ours) and not _OWN.search(name):
            return theirs + name.removeprefix(ours)
    return None


def _original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image encoder's part, without its neck, in the original's names."""
    named = {to_original(name): value for name, value in state.items()}
    return {
        name: value
        for name, value in named.items()
        if name.startswith(_ENCODER) and not name.startswith(f"{_ENCODER}neck.")
    }


def _resized(name: str, value: Tensor, like: Tensor) -> Tensor:
    """Positions [1, n, n, C] or a relative-position table [n, c] at the length of ours; anything else as it is."""
    if value.shape == like.shape or value.ndim != like.ndim or value.shape[-1] != like.shape[-1]:
        return value
    if name == "pos_embed":
        return functional.interpolate(value.float().movedim(-1, 1), like.shape[1:3], mode="bilinear").movedim(1, -1)
    if ".rel_pos_" in name:
        return functional.interpolate(value.float().T[None], len(like), mode="linear")[0].T
    return value
