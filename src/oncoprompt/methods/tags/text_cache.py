"""Vectors of known words on disk, so that a person who has them needs no CLIP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.tags.phrases import KNOWN_WORDS, meaning_of
from oncoprompt.methods.weight_files import find_file, user_folders
from oncoprompt.study.whole_file import write_whole

if TYPE_CHECKING:
    from oncoprompt.methods.tags.clip_text import TextTower

CLIP_TEXT = "clip-vit-large-patch14"
"""Folder with CLIP's towers and tokeniser, as `hf download openai/clip-vit-large-patch14` leaves it."""

CACHE_FILE = "tags-text.safetensors"
"""Name of the file in the user's folders for weights."""


@dataclass(frozen=True)
class TextCache:
    """A safetensors file with matrices [C, 2] by the tower that made them and the words they stand for."""

    path: Path

    def get(self, words: str, width: int, tower: str | None = None) -> Tensor | None:
        """The matrix of words for vectors of `width`, of a tower or, without one, of the only tower that knows them.

        Raises WeightsError for a damaged file and where several towers have other vectors for the words.
        """
        found = {
            key: matrix
            for key, matrix in self._read().items()
            if key.endswith(f"/{words}") and len(matrix) == width and tower in (None, key.split("/")[0])
        }
        if len(found) > 1:
            raise WeightsError(
                f"'{self.path}' has vectors for '{words}' of {len(found)} text towers. Delete it, so that they are "
                "made again by the one that you have."
            )
        return next(iter(found.values()), None)

    def put(self, tower: str, matrices: dict[str, Tensor]) -> None:
        """Add matrices by their words, whole or not at all; raises WeightsError for a damaged file."""
        added = {f"{tower}/{words}": matrix.contiguous() for words, matrix in matrices.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, save({**self._read(), **added}))

    def _read(self) -> dict[str, Tensor]:
        if not self.path.is_file():
            return {}
        try:
            return load(self.path.read_bytes())
        except (OSError, SafetensorError, ValueError) as error:
            raise WeightsError(
                f"The vectors of words in '{self.path}' are damaged. Delete the file; it is made again from CLIP."
            ) from error


def user_cache() -> TextCache:
    """The cache in the user's folders: the first that exists, else a new one in the first folder."""
    folders = user_folders()
    return TextCache(find_file(CACHE_FILE, folders) or folders[0] / CACHE_FILE)


def user_tower() -> Path:
    """The folder of CLIP in the user's folders, whether or not it is there."""
    folders = [folder / CLIP_TEXT for folder in user_folders()]
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


def remember(tower: TextTower, cache: TextCache) -> dict[str, Tensor]:
    """Matrices [C, 2] of all known words by a tower; those that a cache lacks are made and put into it.

    Raises WeightsError where the cache is damaged.
    """
    known = {words: cache.get(words, tower.width, tower.identity) for words in KNOWN_WORDS}
    made = {words: tower.matrix(words) for words, matrix in known.items() if matrix is None}
    if made:
        cache.put(tower.identity, made)
    return {words: matrix for words, matrix in {**known, **made}.items() if matrix is not None}


def text_vectors(words: str, width: int = 768) -> Tensor:
    """Unit vectors [2, C] of the healthy organ and of the tumour that words mean, from the cache or from CLIP.

    Raises InputError for words that are not known, and where neither the cache nor CLIP is there.
    """
    meant = meaning_of(words)
    cache = user_cache()
    matrix = cache.get(meant, width)
    if matrix is None:
        folder = user_tower()
        if not folder.is_dir():
            raise InputError(
                f"Words need '{CACHE_FILE}' from a training run, or CLIP's text tower, in one of "
                f"{', '.join(map(str, user_folders()))}. Get CLIP with 'hf download openai/{folder.name} --local-dir "
                f"{folder}', or leave the words out."
            )
        # transformers takes seconds to import
        from oncoprompt.methods.tags.clip_text import read_text_tower

        matrix = remember(read_text_tower(folder), cache)[meant]
    if len(matrix) != width:
        raise InputError(
            f"The text tower in '{user_tower()}' gives vectors of {len(matrix)} numbers, these weights need {width}. "
            "Leave the words out, or put CLIP ViT-L/14 there."
        )
    return matrix.T.contiguous()
