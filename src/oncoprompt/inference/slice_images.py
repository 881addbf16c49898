"""What a slice model is shown of a study: one channel, or a picture's colours, in slices of rescaled grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.intensities import AUTO, Intensities, rescale
from oncoprompt.study import Study
from oncoprompt.study.channels import COLOURS, named
from oncoprompt.study.slices import SliceStack


@dataclass(frozen=True, eq=False)
class SliceImages:
    """Slices [D, H, W] or, in colour, [D, H, W, 3] float32 of a study, and how they were made."""

    values: NDArray[np.float32]
    stack: SliceStack
    channels: tuple[str, ...]
    intensities: Intensities

    @classmethod
    def of(
        cls, study: Study, plane: str | None = None, channel: str | None = None, window: str | None = None
    ) -> SliceImages:
        """Slices across a plane, by default that of the largest spacing; ``window`` is a preset of `rescale`.

        Without ``channel`` the study's only channel is taken, or the colours of a picture. Raises InputError where
        there are several, and for a plane, channel or window that is not known.
        """
        stack = SliceStack.across(study.grid, plane)
        channels = _chosen(study, channel)
        slices = [stack.slices(study.channel(name)) for name in channels]
        values = slices[0] if len(slices) == 1 else np.stack(slices, axis=-1)
        rescaled, done = rescale(values, channels[0], window or AUTO)
        return cls(rescaled, stack, channels, done)

    def slice(self, index: int) -> NDArray[np.float32]:
        """One slice [H, W] or [H, W, 3]."""
        return np.ascontiguousarray(self.values[index])


def _chosen(study: Study, channel: str | None) -> tuple[str, ...]:
    if channel is not None:
        study.channel(channel)
        return (named(channel),)
    names = tuple(study.channels)
    if len(names) == 1 or names == COLOURS:
        return names
    raise InputError(
        f"Study '{study.name}' has channels {', '.join(names)}, and a model of slices sees one. Say which "
        "(--on NAME in the shell, channel in Python)."
    )
