"""Words as a prompt: CLIP's text tower, frozen, and a linear layer that turns its token states into SAM's tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, SamModel

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam.sam_network import load_sam

CLIP_TEXT = "clip-vit-base-patch16"
"""Folder with CLIP's text tower and tokeniser, as `hf download openai/clip-vit-base-patch16` leaves it."""

_LATERAL = frozenset(
    ("left", "right", "lt", "rt", "l", "r", "lh", "rh", "ipsilateral", "contralateral", "sinister", "dexter")
)


class TextPrompt(nn.Module):
    """Token numbers (N, T) -> states of CLIP's tower (N, T, 512) -> SAM's sparse tokens (N, T, C).

    The tower is frozen, the linear layer trained. Without a configuration it has the sizes of CLIP ViT-B/16.
    """

    def __init__(self, width: int = 256, config: CLIPTextConfig | None = None) -> None:
        super().__init__()
        self.tower = CLIPTextModel(config or clip_text_config())
        self.tower.requires_grad_(False).eval()
        self.project = nn.Linear(self.tower.config.hidden_size, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Sparse tokens (N, T, C) for token numbers (N, T) padded to the tower's length."""
        with torch.no_grad():
            states = self.tower(token_ids).last_hidden_state
        tokens: Tensor = self.project(states)
        return tokens

    def train(self, mode: bool = True) -> TextPrompt:
        """Training mode for the linear layer alone."""
        super().train(mode)
        self.tower.eval()
        return self


class TextSam(nn.Module):
    """A SAM network and the text prompt that is trained with it; image and prompt encoder and tower stay frozen."""

    def __init__(self, sam: SamModel, text: TextPrompt) -> None:
        super().__init__()
        self.sam, self.text = sam, text
        sam.vision_encoder.requires_grad_(False)
        sam.prompt_encoder.requires_grad_(False)


@dataclass(frozen=True, eq=False)
class WordReader:
    """A trained text prompt with its tokeniser: phrases -> sparse tokens (N, T, C)."""

    text: TextPrompt
    tokenizer: CLIPTokenizer

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Tokens of each phrase, padded to the tower's length; raises InputError for an empty phrase."""
        if not all(phrase.strip() for phrase in phrases):
            raise InputError('A phrase is empty. Name the target, for example "liver".')
        tokens: Tensor = self.text(self.token_ids(phrases))
        return tokens

    def token_ids(self, phrases: Sequence[str]) -> Tensor:
        """Token numbers (N, T) on the text prompt's device; longer phrases are cut at the tower's length."""
        length = self.text.tower.config.max_position_embeddings
        found = self.tokenizer(
            list(phrases), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        ids: Tensor = found.input_ids.to(self.text.project.weight.device)
        return ids


def clip_text_config() -> CLIPTextConfig:
    """The text tower of CLIP ViT-B/16: 12 layers of width 512, 77 tokens."""
    return CLIPTextConfig(projection_dim=512)


def text_sam(medsam: SamModel, text: TextPrompt) -> TextSam:
    """A text-prompted network whose SAM part is a copy of MedSAM's parameters, the positional matrix included."""
    return TextSam(load_sam({name: value.clone() for name, value in medsam.state_dict().items()}), text)


def read_clip_text(folder: Path, width: int = 256) -> TextPrompt:
    """A text prompt whose tower is CLIP's in a folder of the hub's layout and whose linear layer is fresh.

    Raises WeightsError where the folder lacks it.
    """
    if not folder.is_dir():
        raise WeightsError(f"CLIP's text tower is missing: there is no folder '{folder}'. {how_to_get(folder)}")
    try:
        tower = CLIPTextModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise WeightsError(f"'{folder}' holds no CLIP text tower. {how_to_get(folder)}") from error
    text = TextPrompt(width, tower.config)
    text.tower.load_state_dict(tower.state_dict())
    return text


def read_tokenizer(folder: Path, published: str = CLIP_TEXT) -> CLIPTokenizer:
    """CLIP's tokeniser in a folder (vocab.json with merges.txt, or tokenizer.json); raises WeightsError without it."""
    wanted = ("tokenizer.json", "vocab.json")
    if not any((folder / name).is_file() for name in wanted):
        raise WeightsError(
            f"CLIP's tokeniser is missing: no {' or '.join(wanted)} in '{folder}'. {how_to_get(folder, published)}"
        )
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def load_reader(state: Mapping[str, Tensor], beside: Sequence[Path], device: torch.device) -> WordReader:
    """The reader in the "text." part of a checkpoint, with CLIP's tokeniser from the first folder that has it.

    Raises WeightsError where parameters are missing or odd, or no folder has a `CLIP_TEXT` with a tokeniser.
    """
    folders = [folder / CLIP_TEXT for folder in beside]
    folder = next((folder for folder in folders if folder.is_dir()), folders[-1])
    text = TextPrompt(len(state["project.bias"]), _config_of(state))
    try:
        text.load_state_dict({name: value.to(torch.float32) for name, value in state.items()})
    except RuntimeError as error:
        raise WeightsError("The text tower of these weights does not fit CLIP's. Get the file again.") from error
    return WordReader(text.eval().requires_grad_(False).to(device), read_tokenizer(folder))


def lateral_words(phrases: Sequence[str]) -> tuple[str, ...]:
    """The phrases that tell left from right ("left kidney", "kidney_r", "RightLung")."""
    return tuple(phrase for phrase in phrases if _LATERAL & set(_words(phrase)))


def check_flips(phrases: Sequence[str], flips: bool) -> None:
    """Refuse left-right flips in training with lateral words: a flipped left kidney would be taught as a right one."""
    lateral = lateral_words(phrases)
    if flips and lateral:
        raise InputError(
            f"Left-right flips cannot be used with words that tell sides: {', '.join(repr(p) for p in lateral[:3])}. "
            "Turn flips off, or take the sides out of the words."
        )


def _config_of(state: Mapping[str, Tensor]) -> CLIPTextConfig:
    """CLIP's configuration from the shapes of its parameters; heads have 64 channels, as in every published CLIP."""
    try:
        vocabulary, width = state["tower.embeddings.token_embedding.weight"].shape
        return CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=len(state["tower.encoder.layers.0.mlp.fc1.bias"]),
            num_hidden_layers=1 + max(int(n.split(".")[3]) for n in state if n.startswith("tower.encoder.layers.")),
            num_attention_heads=width // 64,
            max_position_embeddings=len(state["tower.embeddings.position_embedding.weight"]),
            projection_dim=width,
        )
    except (KeyError, ValueError) as error:
        raise WeightsError(f"The text tower of these weights is incomplete: {error}. Get the file again.") from error


def _words(phrase: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", phrase)
    return re.split(r"[^a-z0-9]+", spaced.lower())


def how_to_get(folder: Path, published: str = CLIP_TEXT) -> str:
    """The command that fetches a CLIP as OpenAI publishes it."""
    return f"Get it with 'hf download openai/{published} --local-dir {folder}'."
