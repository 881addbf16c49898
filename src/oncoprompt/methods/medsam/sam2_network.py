"""SAM 2's video network as transformers has it, for slices of any size, filled from a checkpoint."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from transformers import Sam2VideoConfig, Sam2VideoModel, Sam2VideoPromptEncoderConfig, Sam2VisionModel

from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam.sam2_names import Sam2Kind
from oncoprompt.methods.msm_seg.config import HieraConfig
from oncoprompt.methods.msm_seg.hiera import build_encoder

_STRIDE = 16


def video_config(kind: Sam2Kind, image_size: int) -> Sam2VideoConfig:
    """The published configuration of a kind for square images; raises InputError unless 32 divides ``image_size``.

    Prompts, memory and rotary positions all follow the image size, as in MedSAM2's configuration for 512 pixels.
    """
    # No memory is taken: of the encoder only its configuration is wanted.
    with torch.device("meta"):
        encoder = cast(Sam2VisionModel, build_encoder(HieraConfig(kind.size, image_size)))
    new = kind.version == "2.1"
    return Sam2VideoConfig(
        vision_config=encoder.config,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=image_size),
        image_size=image_size,
        memory_attention_rope_feat_sizes=[image_size // _STRIDE] * 2,
        enable_occlusion_spatial_embedding=new,
        enable_temporal_pos_encoding_for_object_pointers=new,
    )


def load_video_network(weights: dict[str, Tensor], kind: Sam2Kind, image_size: int) -> Sam2VideoModel:
    """The network of a kind with weights in transformers' names, ready to answer.

    Raises WeightsError where a parameter is missing, unknown or of another shape.
    """
    network = Sam2VideoModel(video_config(kind, image_size))
    own = network.state_dict()
    odd = sorted(set(own) ^ set(weights)) or [name for name in own if own[name].shape != weights[name].shape]
    if odd:
        raise WeightsError(
            f"The weights do not fit {kind}: {len(odd)} parameters differ, the first is '{odd[0]}'. "
            "They belong to another model, or to a changed one."
        )
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    return network
