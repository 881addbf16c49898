"""Parameter names of SAM's original release and those of transformers, translated both ways."""

import re

POSITIONAL = "prompt_encoder.shared_embedding.positional_embedding"
SECOND_COPY = "shared_image_embedding.positional_embedding"
"""Transformers' two names of SAM's one matrix of positional frequencies."""

_MLPS = (
    *(f"mask_decoder.output_hypernetworks_mlps.{token}." for token in range(4)),
    "mask_decoder.iou_prediction_head.",
)

# The first prefix that a name begins with is replaced.
_PREFIXES: tuple[tuple[str, str], ...] = (
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.blocks.", "vision_encoder.layers."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("image_encoder.", "vision_encoder."),
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", POSITIONAL),
    ("prompt_encoder.point_embeddings.", "prompt_encoder.point_embed."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    ("mask_decoder.transformer.norm_final_attn.", "mask_decoder.transformer.layer_norm_final_attn."),
    *((f"{mlp}layers.0.", f"{mlp}proj_in.") for mlp in _MLPS),
    *((f"{mlp}layers.1.", f"{mlp}layers.0.") for mlp in _MLPS),
    *((f"{mlp}layers.2.", f"{mlp}proj_out.") for mlp in _MLPS),
)


def to_transformers(name: str) -> str:
    """Transformers' name of a parameter of the original release."""
    return re.sub(r"(\.\d+)\.norm(\d)\.", r"\1.layer_norm\2.", _replaced(name, _PREFIXES))


def to_original(name: str) -> str:
    """The original release's name of a parameter of transformers' (of `SECOND_COPY` there is none)."""
    reverse = tuple((theirs, original) for original, theirs in _PREFIXES)
    return re.sub(r"(\.\d+)\.layer_norm(\d)\.", r"\1.norm\2.", _replaced(name, reverse))


def _replaced(name: str, prefixes: tuple[tuple[str, str], ...]) -> str:
    for old, new in prefixes:
        if name.startswith(old):
            return new + name[len(old) :]
    return name
