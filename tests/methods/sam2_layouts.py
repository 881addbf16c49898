"""A random SAM 2.1 checkpoint in both published layouts, made from transformers' own video model."""

import re

import torch
from torch import Tensor
from transformers import (
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
)

PIXELS = 64

_TO_META = (
    (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
    (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
    (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
    (r"^(mask_decoder\.(?:iou_|pred_|output_hyper)\S*?|object_pointer_proj)\.layers\.0\.", r"\1.layers.1."),
    (r"^(mask_decoder\.(?:iou_|pred_|output_hyper)\S*?|object_pointer_proj)\.proj_in\.", r"\1.layers.0."),
    (r"^(mask_decoder\.(?:iou_|pred_|output_hyper)\S*?|object_pointer_proj)\.proj_out\.", r"\1.layers.2."),
    (r"^(mask_decoder\.transformer\.layers\.\d+\.mlp)\.proj_in\.", r"\1.layers.0."),
    (r"^(mask_decoder\.transformer\.layers\.\d+\.mlp)\.proj_out\.", r"\1.layers.1."),
    (r"^mask_decoder\.transformer\.layer_norm_final_attn\.", "mask_decoder.transformer.norm_final_attn."),
    (r"^(mask_decoder\.transformer\.layers\.\d+|memory_attention\.layers\.\d+)\.layer_norm(\d)\.", r"\1.norm\2."),
    (r"^memory_attention\.layer_norm\.", "memory_attention.norm."),
    (r"\.o_proj\.", ".out_proj."),
    (r"^prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
    (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
    (r"^prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
    (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
    (r"^prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
    (
        r"^prompt_encoder\.shared_embedding\.positional_embedding$",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    (r"^vision_encoder\.backbone\.patch_embed\.projection\.", "image_encoder.trunk.patch_embed.proj."),
    (r"^vision_encoder\.(backbone\.blocks\.\d+)\.layer_norm(\d)\.", r"vision_encoder.\1.norm\2."),
    (r"^vision_encoder\.(backbone\.blocks\.\d+\.mlp)\.proj_in\.", r"vision_encoder.\1.layers.0."),
    (r"^vision_encoder\.(backbone\.blocks\.\d+\.mlp)\.proj_out\.", r"vision_encoder.\1.layers.1."),
    (r"^vision_encoder\.neck\.convs\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^memory_encoder\.mask_downsampler\.final_conv\.", "memory_encoder.mask_downsampler.encoder.12."),
    (r"^memory_encoder\.feature_projection\.", "memory_encoder.pix_feat_proj."),
    (r"^memory_encoder\.projection\.", "memory_encoder.out_proj."),
    (r"^memory_encoder\.memory_fuser\.(layers\.\d)\.depthwise_conv\.", r"memory_encoder.fuser.\1.dwconv."),
    (r"^memory_encoder\.memory_fuser\.(layers\.\d)\.pointwise_conv(\d)\.", r"memory_encoder.fuser.\1.pwconv\2."),
    (r"^memory_encoder\.memory_fuser\.(layers\.\d)\.layer_norm\.", r"memory_encoder.fuser.\1.norm."),
    (r"^memory_encoder\.memory_fuser\.(layers\.\d)\.scale$", r"memory_encoder.fuser.\1.gamma"),
    (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
    (r"^no_object_pointer$", "no_obj_ptr"),
    (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
    (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
    (r"^object_pointer_proj\.", "obj_ptr_proj."),
    (r"^prompt_encoder\.", "sam_prompt_encoder."),
    (r"^mask_decoder\.", "sam_mask_decoder."),
)


def video_model() -> Sam2VideoModel:
    """Transformers' SAM 2.1 tiny video model for small planes, every parameter random."""
    vision = Sam2VisionConfig(
        backbone_config=Sam2HieraDetConfig(image_size=[PIXELS, PIXELS]),
        backbone_feature_sizes=[[PIXELS // stride] * 2 for stride in (4, 8, 16)],
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=PIXELS),
        image_size=PIXELS,
        memory_attention_rope_feat_sizes=[PIXELS // 16] * 2,
    )
    model = Sam2VideoModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    for value in model.state_dict().values():
        value.copy_(0.05 * torch.randn(value.shape, generator=generator))
    model.shared_image_embedding.positional_embedding.copy_(model.prompt_encoder.shared_embedding.positional_embedding)
    return model


def meta_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the names of SAM 2's original release."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "shared_image_embedding.positional_embedding":
            continue
        if name == "prompt_encoder.point_embed.weight":
            for i in range(4):
                out[f"sam_prompt_encoder.point_embeddings.{i}.weight"] = value[i : i + 1]
            continue
        out[_meta_name(name)] = value
    return out


def _meta_name(name: str) -> str:
    step = re.match(r"^memory_encoder\.mask_downsampler\.layers\.(\d)\.(conv|layer_norm)\.(.*)$", name)
    if step:
        return f"memory_encoder.mask_downsampler.encoder.{3 * int(step[1]) + (step[2] == 'layer_norm')}.{step[3]}"
    for pattern, replacement in _TO_META:
        name = re.sub(pattern, replacement, name)
    return name
