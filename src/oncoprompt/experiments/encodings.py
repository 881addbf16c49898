"""Encodings shared by settings that differ only in how they are decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oncoprompt.methods.interface import Encoding, Method, Prompt, RegionProbabilities
from oncoprompt.study import Study

MOST_ENCODINGS = 12
"""Regions are kept as long as there are no more of them; the whole study is kept always."""


class EncodedOnce:
    """A method that keeps the encodings of the study it saw last, and may decode with another method of its kind.

    ``decoder`` must read the encodings of ``encoder``, that is, have the same weights up to there.
    """

    def __init__(self, encoder: Method, decoder: Method | None = None) -> None:
        self._encoder = encoder
        self._decoder = decoder or encoder
        self._study: Study | None = None
        self._encodings: dict[bytes, Encoding] = {}

    @property
    def name(self) -> str:
        """Name of the model that decodes."""
        return self._decoder.name

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights of the model that decodes."""
        return self._decoder.weights_sha256

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        """The encoding of a region or of the whole brain, computed once while it is kept."""
        if self._study is not study:
            self._study, self._encodings = study, {}
        key = b"" if region is None else region.tobytes()
        if key not in self._encodings:
            regions = [kept for kept in self._encodings if kept]
            if len(regions) >= MOST_ENCODINGS:
                del self._encodings[regions[0]]
            self._encodings[key] = self._encoder.encode(study, region)
        return self._encodings[key]

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """What the decoding method answers."""
        return self._decoder.decode(encoding, prompts, study, previous)
