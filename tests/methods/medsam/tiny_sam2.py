"""SAM 2.1's video network with a narrow image encoder and a short memory, for slices of 64 pixels."""

import torch
from transformers import (
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
)

from oncoprompt.methods.medsam.sam2_volume import Sam2VolumeModel, VolumeSettings

SIDE = 64
MAPS, POINTERS = 3, 6
"""Slices before the present one whose maps and object pointers are recalled."""


def tiny_sam2(settings: VolumeSettings, score: float = 4.0) -> Sam2VolumeModel:
    """A model whose every parameter is random; ``score`` is about the logit of the target being on a slice."""
    widths = [16, 32, 64, 128]
    trunk = Sam2HieraDetConfig(
        hidden_size=widths[0],
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=widths,
        global_attention_blocks=[3],
    )
    vision = Sam2VisionConfig(
        backbone_config=trunk,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[SIDE // stride] * 2 for stride in (4, 8, 16)],
    )
    network = Sam2VideoModel(
        Sam2VideoConfig(
            vision_config=vision,
            mask_decoder_config=Sam2VideoMaskDecoderConfig(mlp_dim=64),
            prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=SIDE),
            image_size=SIDE,
            memory_attention_rope_feat_sizes=[SIDE // 16] * 2,
            memory_attention_num_layers=2,
            memory_attention_feed_forward_hidden_size=64,
            num_maskmem=MAPS + 1,
            max_object_pointers_in_encoder=POINTERS + 1,
        )
    )
    generator = torch.Generator().manual_seed(8)
    for name, value in network.state_dict().items():
        fan_in = value[0].numel() if value.ndim > 1 else 100
        value.copy_(
            torch.randn(value.shape, generator=generator) / fan_in**0.5 + 1.0 * ("norm" in name and value.ndim == 1)
        )
    network.shared_image_embedding.positional_embedding.copy_(
        network.prompt_encoder.shared_embedding.positional_embedding
    )
    network.mask_decoder.pred_obj_score_head.proj_out.bias.data.fill_(score)
    network.eval().requires_grad_(False)
    return Sam2VolumeModel(network, "tiny", "0" * 64, torch.device("cpu"), settings)
