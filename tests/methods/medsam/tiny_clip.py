"""CLIP's text tower and tokeniser at toy size, in the hub's layout, with random weights."""

import json
from pathlib import Path

import torch
from transformers import CLIPTextConfig, CLIPTextModel

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tiny_clip_config() -> CLIPTextConfig:
    """Two layers of width 64 and twelve tokens, with a letter a token."""
    return CLIPTextConfig(
        vocab_size=2 * len(_LETTERS) + 2,
        hidden_size=64,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=1,
        max_position_embeddings=12,
        projection_dim=64,
        bos_token_id=2 * len(_LETTERS),
        eos_token_id=2 * len(_LETTERS) + 1,
        pad_token_id=2 * len(_LETTERS) + 1,
    )


def write_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """A folder as the hub's `clip-vit-base-patch16`: config.json, model.safetensors, vocab.json, merges.txt."""
    torch.manual_seed(seed)
    CLIPTextModel(tiny_clip_config()).save_pretrained(folder)
    tokens = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder
