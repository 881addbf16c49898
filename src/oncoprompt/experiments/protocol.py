"""How a model is asked: a box that is not quite right, clicks, a box and a correction, or nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from oncoprompt.evaluation import dice
from oncoprompt.inference import Segmentation, Session
from oncoprompt.methods.interface import Method
from oncoprompt.prompts import Box, Click, jitter_box, random_clicks
from oncoprompt.prompts.corrections import innermost
from oncoprompt.study import LabelMap, Study

BOX_PROTOCOL = "one box around the whole tumour, each side moved by up to 10 % of its length, mean of {draws} draws"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PromptProtocol:
    """A way of asking: its name, a sentence for people, how often it is drawn, and ask(session, tumour, rng)."""

    name: str
    sentence: str
    draws: int
    ask: Callable[[Session, Mask, np.random.Generator], Segmentation]

    def answers(self, model: Method, study: Study, tumour: Mask) -> Iterator[Segmentation]:
        """The answers to all draws about the whole tumour (I, J, K), which must not be empty.

        Draws depend on the study's name alone, so that models are asked the same.
        """
        rng = np.random.default_rng(zlib.crc32(study.name.encode()))
        for _ in range(self.draws):
            yield self.ask(Session(study, model), tumour, rng)


def moved_box(jitter: float, draws: int = 3) -> PromptProtocol:
    """One box around the whole tumour, each side moved by uniform(-jitter, jitter) of its length; tight where 0."""

    def ask(session: Session, tumour: Mask, rng: np.random.Generator) -> Segmentation:
        return session.segment(_box(session, tumour, jitter, rng))

    if jitter == 0:
        return PromptProtocol("tight box", "the tight box around the whole tumour", 1, ask)
    sentence = f"one box around the whole tumour, each side moved by up to {jitter:.0%} of its length, {_times(draws)}"
    return PromptProtocol(f"box ±{jitter:.0%}", sentence, draws, ask)


def clicked(count: int, draws: int = 3) -> PromptProtocol:
    """Positive clicks at voxels drawn uniformly from the whole tumour, and no box."""

    def ask(session: Session, tumour: Mask, rng: np.random.Generator) -> Segmentation:
        voxels = random_clicks(tumour, count, rng)
        return session.segment([Click.at_voxel(voxel, session.study.grid) for voxel in voxels])

    name = "1 click" if count == 1 else f"{count} clicks"
    return PromptProtocol(name, f"{name} at random voxels of the whole tumour, no box, {_times(draws)}", draws, ask)


def corrected_box(jitter: float, draws: int = 3) -> PromptProtocol:
    """A moved box, then one click in the middle of the largest connected error of the whole tumour."""

    def ask(session: Session, tumour: Mask, rng: np.random.Generator) -> Segmentation:
        first = session.segment(_box(session, tumour, jitter, rng))
        wrong = first.mask("WT") ^ tumour
        if not wrong.any():
            return first
        parts = cc3d.connected_components(wrong, connectivity=26)
        largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        voxel = innermost(largest, session.study.grid.spacing_mm)
        return session.click(Click.at_voxel(voxel, session.study.grid, positive=bool(tumour[voxel])))

    sentence = (
        f"the box moved by up to {jitter:.0%}, then one click in the middle of the largest connected error of the "
        f"whole tumour, {_times(draws)}"
    )
    return PromptProtocol(f"box ±{jitter:.0%} + 1 click", sentence, draws, ask)


def unprompted() -> PromptProtocol:
    """No prompt: the model has to find the tumour itself."""
    return PromptProtocol(
        "none", "no prompt, the model searches the brain", 1, lambda session, _, __: session.segment()
    )


def box_dice(
    model: Method, study: Study, truth: LabelMap, jitter: float = 0.1, draws: int = 3
) -> dict[str, float] | None:
    """Mean Dice of each region that occurs, over seeded draws of the box; None where there is no tumour to box.

    The boxes depend on the study's name alone, so that models are asked the same.
    """
    masks = truth.region_masks()
    return _mean_dice(moved_box(jitter, draws), model, study, masks) if masks["WT"].any() else None


def boxless_dice(model: Method, study: Study, truth: LabelMap) -> dict[str, float]:
    """Dice of each region that occurs, where the model has to find the tumour itself."""
    return _mean_dice(unprompted(), model, study, truth.region_masks())


def _mean_dice(protocol: PromptProtocol, model: Method, study: Study, masks: dict[str, Mask]) -> dict[str, float]:
    present = {region: mask for region, mask in masks.items() if mask.any()}
    scores = [
        {region: dice(answer.mask(region), mask) for region, mask in present.items()}
        for answer in protocol.answers(model, study, masks["WT"])
    ]
    return {region: float(np.mean([score[region] for score in scores])) for region in present}


def _box(session: Session, tumour: Mask, jitter: float, rng: np.random.Generator) -> Box:
    grid = session.study.grid
    tight = Box.around(tumour, grid).to_voxels(grid)
    return Box.from_voxels(jitter_box(tight, jitter, rng, grid.shape), grid)


def _times(draws: int) -> str:
    return "one seeded draw" if draws == 1 else f"mean of {draws} seeded draws"
