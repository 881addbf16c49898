"""SAM's network as transformers has it, with the original's layer norms, for images and prompts in its own pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam.sam_names import POSITIONAL, SECOND_COPY

# The original's nn.LayerNorm in the mask decoder has torch's default; transformers' configuration has 1e-6 there.
_DECODER_EPSILON = 1e-5

_SIZES: Mapping[str, dict[str, Any]] = {
    "vit-b": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "global_attn_indexes": [2, 5, 8, 11],
    },
    "vit-l": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "global_attn_indexes": [5, 11, 17, 23],
    },
    "vit-h": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
    },
}


@dataclass(frozen=True, eq=False)
class SamPrompts:
    """Prompts of N targets in the network's pixels; of each kind all targets have equally many, or none.

    ``boxes`` (N, 4) x0, y0, x1, y1; ``points`` (N, P, 2) x, y with ``positive`` (N, P); ``masks`` [N, 1, 4h, 4w] for an
    embedding [C, h, w]; ``tokens`` [N, T, C] are further sparse tokens, such as those of words.
    """

    boxes: Tensor | None = None
    points: Tensor | None = None
    positive: Tensor | None = None
    masks: Tensor | None = None
    tokens: Tensor | None = None

    def to(self, device: torch.device) -> SamPrompts:
        """The same on a device."""
        return SamPrompts(**{kind: None if t is None else t.to(device) for kind, t in vars(self).items()})


def sam_config(size: str = "vit-b", image_size: int = 1024) -> SamConfig:
    """The published configuration of a size; raises InputError for one that is not known."""
    if size not in _SIZES:
        raise InputError(f"SAM has no size '{size}'. Known: {', '.join(_SIZES)}.")
    vision = SamVisionConfig(image_size=image_size, **_SIZES[size])
    return _config(vision, SamPromptEncoderConfig(image_size=image_size), SamMaskDecoderConfig())


def config_of(state: Mapping[str, Tensor]) -> SamConfig:
    """The configuration that a state dict in transformers' names has, read from its shapes.

    The mask decoder's number of heads leaves no trace and is taken as the published 8. Raises WeightsError where a part
    is missing.
    """
    try:
        return _config_of(state)
    except (KeyError, IndexError, ValueError) as error:
        raise WeightsError(f"The weights are no whole SAM: {error} is missing or odd. Get them again.") from error


def build_sam(config: SamConfig) -> SamModel:
    """A network with weights drawn from torch's generator; the positional matrix, a constant in SAM, is not trained."""
    return _tied(SamModel(config))


def load_sam(state: Mapping[str, Tensor]) -> SamModel:
    """A network that holds a state dict in transformers' names, in single precision.

    Raises WeightsError where a parameter is missing, unknown or of another shape.
    """
    config = config_of(state)
    with torch.device("meta"):
        network = SamModel(config)
    weights = {name: value.to(torch.float32) for name, value in state.items()}
    weights.setdefault(SECOND_COPY, weights[POSITIONAL])
    own = network.state_dict()
    odd = sorted(set(own) ^ set(weights)) or [name for name in own if own[name].shape != weights[name].shape]
    if odd:
        raise WeightsError(
            f"The weights do not fit SAM: {len(odd)} parameters differ, the first is '{odd[0]}'. "
            "They belong to another model, or to a changed one."
        )
    network.load_state_dict(weights, assign=True)
    return _tied(network)


def size_name(config: SamConfig) -> str:
    """ "ViT-B", "ViT-L" or "ViT-H", or the width and depth of another encoder."""
    vision = vision_config(config)
    for name, size in _SIZES.items():
        if (vision.hidden_size, vision.num_hidden_layers) == (size["hidden_size"], size["num_hidden_layers"]):
            return f"ViT-{name[-1].upper()}"
    return f"ViT of width {vision.hidden_size} and depth {vision.num_hidden_layers}"


def vision_config(config: SamConfig) -> SamVisionConfig:
    """The image encoder's part of a configuration."""
    # transformers lets it be a mapping before the configuration is made
    return cast(SamVisionConfig, config.vision_config)


def encode_pixels(network: SamModel, pixels: Tensor) -> Tensor:
    """Images [B, 3, S, S] on 0..1 -> embeddings [B, C, S / 16, S / 16]."""
    embeddings: Tensor = network.vision_encoder(pixels).last_hidden_state
    return embeddings


def decode_masks(network: SamModel, embeddings: Tensor, prompts: SamPrompts) -> Tensor:
    """Logits [N, 4h, 4w] of the single-mask token for embeddings [N, C, h, w], or [1, C, h, w] of one image for all."""
    boxes = None if prompts.boxes is None else prompts.boxes[:, None]
    points = None if prompts.points is None else prompts.points[:, None]
    labels = None if prompts.positive is None else prompts.positive[:, None].to(torch.int64)
    sparse, dense = network.prompt_encoder(points, labels, boxes, prompts.masks)
    if prompts.tokens is not None:
        tokens = prompts.tokens[:, None]
        sparse = tokens if sparse is None else torch.cat([sparse, tokens], dim=2)
    count = len(sparse) if sparse is not None else len(dense)
    position = network.get_image_wide_positional_embeddings().expand(count, -1, -1, -1)
    embeddings = embeddings.expand(count, -1, -1, -1)
    masks: Tensor = network.mask_decoder(embeddings, position, sparse, dense, multimask_output=False)[0]
    return masks[:, 0, 0]


def _config(vision: SamVisionConfig, prompt: SamPromptEncoderConfig, decoder: SamMaskDecoderConfig) -> SamConfig:
    decoder.layer_norm_eps = _DECODER_EPSILON
    return SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def _tied(network: SamModel) -> SamModel:
    matrix = network.prompt_encoder.shared_embedding.positional_embedding
    network.shared_image_embedding.positional_embedding = matrix
    matrix.requires_grad_(False)
    network.eval()
    return network


def _config_of(state: Mapping[str, Tensor]) -> SamConfig:
    width, _, patch, _ = state["vision_encoder.patch_embed.projection.weight"].shape
    grid = state["vision_encoder.pos_embed"].shape[1]
    depth = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("vision_encoder.layers."))
    reaches = [len(state[f"vision_encoder.layers.{layer}.attn.rel_pos_h"]) for layer in range(depth)]
    whole = 2 * grid - 1
    decoder = "mask_decoder.transformer.layers."
    features = state["mask_decoder.iou_token.weight"].shape[1]
    inner = len(state[f"{decoder}0.cross_attn_token_to_image.q_proj.weight"])
    vision = SamVisionConfig(
        hidden_size=width,
        output_channels=len(state["vision_encoder.neck.conv1.weight"]),
        num_hidden_layers=depth,
        num_attention_heads=width // state["vision_encoder.layers.0.attn.rel_pos_h"].shape[1],
        image_size=grid * patch,
        patch_size=patch,
        window_size=(next((reach for reach in reaches if reach != whole), whole) + 1) // 2,
        global_attn_indexes=[layer for layer, reach in enumerate(reaches) if reach == whole],
        num_pos_feats=state[POSITIONAL].shape[1],
        mlp_dim=len(state["vision_encoder.layers.0.mlp.lin1.weight"]),
    )
    prompt = SamPromptEncoderConfig(
        hidden_size=features,
        image_size=grid * patch,
        patch_size=patch,
        mask_input_channels=len(state["prompt_encoder.mask_embed.conv2.weight"]),
    )
    masks = SamMaskDecoderConfig(
        hidden_size=features,
        mlp_dim=len(state[f"{decoder}0.mlp.lin1.weight"]),
        num_hidden_layers=1 + max(int(name.split(".")[3]) for name in state if name.startswith(decoder)),
        attention_downsample_rate=features // inner,
        num_multimask_outputs=len(state["mask_decoder.mask_tokens.weight"]) - 1,
        iou_head_hidden_dim=len(state["mask_decoder.iou_prediction_head.proj_in.weight"]),
    )
    return _config(vision, prompt, masks)
