"""How long a method decodes, in a way that a busy machine does not change."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt.methods.interface import Encoding, Method, Prompt, RegionProbabilities
from oncoprompt.study import Study

clock = time.perf_counter if torch.cuda.is_available() else time.process_time
"""Seconds of the processor; where there is an accelerator, seconds of the day."""


class Timed:
    """A method that adds up the seconds it decodes."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.decode_s = 0.0

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._method.name

    @property
    def weights_sha256(self) -> str:
        """Hash of the model's weights."""
        return self._method.weights_sha256

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        """The method's encoding."""
        return self._method.encode(study, region)

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """The method's answer."""
        began = clock()
        answer = self._method.decode(encoding, prompts, study, previous)
        self.decode_s += clock() - began
        return answer
