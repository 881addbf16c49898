"""The whole of CLIP, both towers with their projections, at toy size, in the hub's layout, with random weights."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel

from methods.medsam.tiny_clip import tiny_clip_config, write_tiny_clip


def write_whole_clip(folder: Path, width: int = 24) -> Path:
    """A folder as the hub's `clip-vit-large-patch14`, with pictures of 28 pixels in 4 x 4 patches."""
    write_tiny_clip(folder)
    text = tiny_clip_config().to_dict() | {"max_position_embeddings": 24, "projection_dim": width}
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 7,
        "projection_dim": width,
    }
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=width)).save_pretrained(folder)
    return folder
