"""SAM 2 and MedSAM2 checkpoints: which network they are of, and their parameters under transformers' names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from oncoprompt.errors import WeightsError
from oncoprompt.methods.msm_seg.config import HIERA_SIZES, HieraSize
from oncoprompt.methods.msm_seg.hiera import hiera_shape
from oncoprompt.nn.sam2_names import to_transformers

_POINTS = "prompt_encoder.point_embed"
_POSITIONAL = "prompt_encoder.shared_embedding.positional_embedding"
_SECOND_COPY = "shared_image_embedding.positional_embedding"
_PATCHES = "vision_encoder.backbone.patch_embed.projection.weight"
_POINTER_TIMES = "temporal_positional_encoding_projection_layer.weight"
_OCCLUSION = "occlusion_spatial_embedding_parameter"


@dataclass(frozen=True)
class Sam2Kind:
    """What the names and shapes of a checkpoint tell: the size of Hiera, and SAM 2.1 or the first SAM 2.

    They do not tell the image size, hence not MedSAM2 (512) from SAM 2.1 Hiera tiny (1024).
    """

    size: HieraSize
    version: str

    def __str__(self) -> str:
        return f"SAM {self.version} Hiera {self.size}"


def to_video_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint in Meta's layout or the hub's, under the names of transformers' Sam2VideoModel, in single precision.

    Meta's four point embeddings become one table [4, C], and the positional matrix gets its second name. Raises
    WeightsError where two parameters would get one name or a point embedding is missing.
    """
    out: dict[str, Tensor] = {}
    points: dict[int, Tensor] = {}
    for name, value in state.items():
        hub = to_transformers(name)
        number = re.fullmatch(re.escape(_POINTS) + r"\.(\d)\.weight", hub)
        if number:
            points[int(number[1])] = value.to(torch.float32)
        elif hub in out:
            raise WeightsError(f"The weights hold '{hub}' twice, in Meta's layout and the hub's. Get the file again.")
        else:
            out[hub] = value.to(torch.float32)
    if points:
        if sorted(points) != [0, 1, 2, 3]:
            raise WeightsError(f"SAM 2 has point embeddings 0 to 3; the weights hold {sorted(points)}. Get them again.")
        out[f"{_POINTS}.weight"] = torch.cat([points[number] for number in range(4)])
    if _POSITIONAL in out:
        out.setdefault(_SECOND_COPY, out[_POSITIONAL])
    return out


def sam2_kind(state: Mapping[str, Tensor]) -> Sam2Kind:
    """The kind of a state dict in transformers' names.

    Raises WeightsError where its image encoder is none of Hiera's four sizes, or parts of a version are missing.
    """
    if _PATCHES not in state:
        raise WeightsError(
            "The weights have no Hiera image encoder: they are of EfficientTAM (the efficient MedSAM2), which is not "
            "supported, or of another network. Use MedSAM2_latest.pt or a sam2.1_hiera file."
        )
    width = len(state[_PATCHES])
    blocks = {
        match[1] for match in (re.match(r"vision_encoder\.backbone\.blocks\.(\d+)\.", name) for name in state) if match
    }
    for size in HIERA_SIZES:
        shape = hiera_shape(size)
        if (shape.dim, sum(shape.blocks)) == (width, len(blocks)):
            return Sam2Kind(size, _version(state))
    raise WeightsError(
        f"The weights have an image encoder of width {width} and {len(blocks)} blocks; Hiera's sizes are "
        f"{', '.join(HIERA_SIZES)} (width and blocks 96/12, 96/16, 112/24, 144/48). Use a sam2.1_hiera or MedSAM2 file."
    )


def _version(state: Mapping[str, Tensor]) -> str:
    parts = {name for name in (_POINTER_TIMES, _OCCLUSION) if name in state}
    if len(parts) == 1:
        raise WeightsError(f"The weights have '{parts.pop()}' of SAM 2.1 but not its other new part. Get them again.")
    return "2.1" if parts else "2"
