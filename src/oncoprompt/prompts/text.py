"""A text prompt: what to look for, in words."""

from __future__ import annotations

from dataclasses import dataclass

from oncoprompt.errors import InputError

MAX_CHARACTERS = 1000


@dataclass(frozen=True)
class Text:
    """Words that say what to segment, for example "tumour in the left kidney"; raises InputError for none."""

    words: str

    def __post_init__(self) -> None:
        words = " ".join(self.words.split())
        if not words:
            raise InputError("The text prompt is empty; say what to segment, for example 'brain tumour'.")
        if len(words) > MAX_CHARACTERS:
            raise InputError(f"The text prompt has {len(words)} characters; at most {MAX_CHARACTERS} are read.")
        object.__setattr__(self, "words", words)
