"""CLIP's text tower with its projection at toy size, in the hub's layout, with random weights."""

from pathlib import Path

import torch
from transformers import CLIPTextModelWithProjection

from methods.medsam.tiny_clip import tiny_clip_config, write_tiny_clip


def write_text_tower(folder: Path, width: int = 24, seed: int = 0, tokens: int = 24) -> Path:
    """A folder as the hub's `clip-vit-large-patch14`, whose vectors have `width` numbers."""
    write_tiny_clip(folder)
    config = tiny_clip_config()
    config.projection_dim, config.max_position_embeddings = width, tokens
    torch.manual_seed(seed)
    CLIPTextModelWithProjection(config).save_pretrained(folder)
    return folder
