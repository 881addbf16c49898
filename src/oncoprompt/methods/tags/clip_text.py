"""CLIP's text tower, frozen, and the vectors it gives to an organ, healthy and with a tumour."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from oncoprompt.methods.medsam.text_prompt import read_tokenizer
from oncoprompt.methods.tags.clip_files import read_frozen
from oncoprompt.methods.tags.phrases import sentences
from oncoprompt.methods.tags.text_cache import CLIP_TEXT

_SENTENCES_AT_ONCE = 68


@dataclass(frozen=True, eq=False)
class TextTower:
    """The frozen tower with its tokeniser; `identity` tells towers with other weights apart."""

    tower: CLIPTextModelWithProjection
    tokenizer: CLIPTokenizer
    identity: str

    @property
    def width(self) -> int:
        """Length of its vectors."""
        return len(self.tower.text_projection.weight)

    def matrix(self, words: str, dataset_key: bool = False) -> Tensor:
        """`text_matrix` of this tower."""
        return text_matrix(words, self.tower, self.tokenizer, dataset_key)


def clip_text_config() -> CLIPTextConfig:
    """The text tower of CLIP ViT-L/14: 12 layers of width 768, 77 tokens, vectors of 768."""
    return CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768
    )


def read_text_tower(folder: Path) -> TextTower:
    """CLIP's text tower from a folder of the hub's layout, that of the text alone or of the whole CLIP.

    Raises WeightsError where the folder lacks tower or tokeniser, or where some of its weights are missing.
    """
    tower: CLIPTextModelWithProjection = read_frozen(CLIPTextModelWithProjection, folder, "text")
    projection = tower.text_projection.weight.detach().numpy().tobytes()
    identity = hashlib.sha256(projection).hexdigest()[:12]
    return TextTower(tower, read_tokenizer(folder, CLIP_TEXT), identity)


def text_matrix(
    words: str, tower: CLIPTextModelWithProjection, tokenizer: CLIPTokenizer, dataset_key: bool = False
) -> Tensor:
    """Unit columns [C, 2]: the healthy organ, and the organ with a tumour, for one of `phrases.KNOWN_WORDS`.

    A column is normalise(mean over sentences of normalise(tower(sentence))). Raises InputError for other words.
    """
    columns = [ensemble(told, tower, tokenizer) for told in sentences(words, dataset_key)]
    return torch.stack(columns, dim=1)


@torch.no_grad()
def ensemble(told: Sequence[str], tower: CLIPTextModelWithProjection, tokenizer: CLIPTokenizer) -> Tensor:
    """The unit vector [C] in the middle of those of some sentences."""
    length = tower.config.max_position_embeddings
    vectors = []
    for start in range(0, len(told), _SENTENCES_AT_ONCE):
        some = list(told[start : start + _SENTENCES_AT_ONCE])
        tokens = tokenizer(some, padding=True, truncation=True, max_length=length, return_tensors="pt")
        ids = tokens.input_ids.to(tower.text_projection.weight.device)
        vectors.append(normalize(tower(ids).text_embeds.float(), dim=1).cpu())
    return normalize(torch.cat(vectors).mean(0), dim=0)
