"""The two-step interface of every method: the slow step once, the quick one as often as the person prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oncoprompt.geometry import Grid
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study import Study

Prompt = Box | Click | Text | Anatomy


def listed(prompt: Prompt | Sequence[Prompt] | None) -> tuple[Prompt, ...]:
    """One prompt, several or none, as people may give them, one after the other."""
    if prompt is None:
        return ()
    return tuple(prompt) if isinstance(prompt, Sequence) else (prompt,)


SEEN = 0.05
"""A lesion of which a look at a whole scan shows something reaches as far as tumour is at least so likely."""


@dataclass(frozen=True)
class Encoding:
    """Prompt-free features of a region of interest; ``features`` belongs to the method that made it.

    ``seen``: SEEN of this method, for a look at a whole scan. ``enough``: where nobody points, lesions that are at
    least so likely are answered by this look itself, because a closer one would know no better; None: there are none.
    """

    region: Grid
    features: Any
    seen: float = SEEN
    enough: float | None = None


def enough_for(encoding: Encoding, prompts: Sequence[Prompt]) -> float | None:
    """``enough`` of a look, None where one of the prompts points."""
    return None if any(isinstance(item, Box | Click) for item in prompts) else encoding.enough


@dataclass(frozen=True)
class RegionProbabilities:
    """Nested probabilities ``[3, I, J, K]`` float32 (WT, TC, ET) of a window of the study's grid, zero elsewhere.

    ``offset`` is the window's first voxel.
    """

    values: NDArray[np.float32]
    offset: tuple[int, int, int]


class Method(Protocol):
    """A published system with its weights, ready to segment."""

    @property
    def name(self) -> str: ...

    @property
    def weights_sha256(self) -> str: ...

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        """Features of the surroundings of a half-open voxel box (3, 2), or of the whole brain."""
        ...

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """Probabilities for prompts on the study's grid; ``previous`` is the answer they correct."""
        ...
