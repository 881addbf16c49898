"""MSM-Seg visiting channels in another order than the usual one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.methods.interface import Encoding, Method, Prompt, RegionProbabilities
from oncoprompt.methods.msm_seg.tensors import Pyramid
from oncoprompt.study import Study


@dataclass(frozen=True)
class InOrder:
    """MSM-Seg visiting the channels of every slice in another order than a study's, with the same encodings.

    The encoder treats channels as a set, so that frames can be put in order after it.
    """

    model: Method
    order: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    @property
    def weights_sha256(self) -> str:
        """Hash of the model's weights."""
        return self.model.weights_sha256

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        """The model's encoding."""
        return self.model.encode(study, region)

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """What the model answers when it visits the channels in ``order``; raises InputError for another method."""
        if not isinstance(encoding.features, Pyramid):
            raise InputError(f"Model '{self.name}' does not visit channels one after the other; take an MSM-Seg model.")
        features = visited(encoding.features, self.order)
        return self.model.decode(replace(encoding, features=features), prompts, study, previous)


def visited(pyramid: Pyramid, order: Sequence[str]) -> Pyramid:
    """The same frames with their channels in another order."""
    index = [pyramid.roles.index(name) for name in order]

    def permuted(level: Tensor) -> Tensor:
        return level if level.shape[2] == 1 else level[:, :, index]

    return replace(
        pyramid,
        coarse=permuted(pyramid.coarse),
        middle=permuted(pyramid.middle),
        fine=permuted(pyramid.fine),
        detail=None if pyramid.detail is None else permuted(pyramid.detail),
        roles=tuple(order),
    )
