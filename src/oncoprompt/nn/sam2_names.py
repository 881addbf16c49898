"""Parameter names of SAM 2's original release, translated to those of transformers (verified by equal outputs)."""

import re
from collections.abc import Callable

Replacement = str | Callable[[re.Match[str]], str]

_MLP_OF_THREE = {"0": "proj_in", "1": "layers.0", "2": "proj_out"}
_MLP_OF_TWO = {"0": "proj_in", "1": "proj_out"}


def _downsampler(match: re.Match[str]) -> str:
    index = int(match[1])
    if index == 12:
        return "memory_encoder.mask_downsampler.final_conv."
    part = "conv." if index % 3 == 0 else "layer_norm."
    return f"memory_encoder.mask_downsampler.layers.{index // 3}.{part}"


_RULES: tuple[tuple[str, Replacement], ...] = (
    (
        r"^(sam_mask_decoder\.(?:iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d+))\.layers\.(\d)\.",
        lambda m: f"{m[1]}.{_MLP_OF_THREE[m[2]]}.",
    ),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.", "vision_encoder.neck."),
    (r"^(vision_encoder\.backbone\.blocks\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^(vision_encoder\.backbone\.blocks\.\d+\.mlp)\.layers\.(\d)\.", lambda m: f"{m[1]}.{_MLP_OF_TWO[m[2]]}."),
    (r"^vision_encoder\.backbone\.patch_embed\.proj\.", "vision_encoder.backbone.patch_embed.projection."),
    (r"^(vision_encoder\.neck\.convs\.\d+)\.conv\.", r"\1."),
    (r"^(mask_decoder\.transformer\.layers\.\d+\.mlp)\.layers\.(\d)\.", lambda m: f"{m[1]}.{_MLP_OF_TWO[m[2]]}."),
    (r"^((?:mask_decoder|memory_attention)\..*)\.out_proj\.", r"\1.o_proj."),
    (r"^memory_attention\.norm\.", "memory_attention.layer_norm."),
    (r"^(memory_attention\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"^(memory_encoder\.memory_fuser\..*)\.dwconv\.", r"\1.depthwise_conv."),
    (r"^(memory_encoder\.memory_fuser\..*)\.pwconv(\d)\.", r"\1.pointwise_conv\2."),
    (r"^(memory_encoder\.memory_fuser\.layers\.\d+)\.norm\.", r"\1.layer_norm."),
    (r"^(memory_encoder\.memory_fuser\.layers\.\d+)\.gamma$", r"\1.scale"),
    (r"^memory_encoder\.mask_downsampler\.encoder\.(\d+)\.", _downsampler),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"^obj_ptr_proj\.layers\.(\d)\.", lambda m: f"object_pointer_proj.{_MLP_OF_THREE[m[1]]}."),
    (r"^mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
    (r"^(mask_decoder\.transformer\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^mask_decoder\.transformer\.norm_final_attn\.", "mask_decoder.transformer.layer_norm_final_attn."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (
        r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
        "prompt_encoder.shared_embedding.positional_embedding",
    ),
)


def to_transformers(name: str) -> str:
    """Transformers' name of a parameter; a name that is transformers' already stays as it is.

    The four point embeddings, one table in transformers, keep their numbers.
    """
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name
