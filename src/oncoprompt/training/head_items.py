"""Training items of stored heads for the network that takes every prompt."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from oncoprompt.training.case_heads import Heads
from oncoprompt.training.head_scenes import random_scene
from oncoprompt.training.stored_heads import HeadConfig
from oncoprompt.training.tags_items import ItemDraw, TagsItem, TagsItemConfig


def _draw() -> TagsItemConfig:
    """Boxes and no prompt at all are what people give most."""
    return TagsItemConfig(
        ct_share=0.0,
        word_share=0.45,
        box_share=0.5,
        click_share=0.25,
        anatomy_share=0.15,
        core_box_share=0.08,
        loose_share=0.15,
        second_question_share=0.35,
        channel_dropout=0.15,
        least_voxels=56,
        least_voxels_unboxed=64,
        most_voxels=88,
    )


@dataclass(frozen=True)
class HeadItemConfig:
    """How items of stored heads are drawn; shares are probabilities.

    ``heads`` says how heads are made, ``draw`` what is asked of them. A head is seen ``reuse`` times among the last
    ``window``, which are kept in ``folder``. Labelled cases of `[data]` show a tumour of ``kind``. Of heads that are
    not stripped half (``thick_share``) have thick slices, and in ``brain_found_share`` the brain is known. Channels are
    shifted with ``shift_share``.
    """

    heads: HeadConfig = field(default_factory=HeadConfig)
    draw: TagsItemConfig = field(default_factory=_draw)
    folder: str = "runs/heads"
    kind: str = "tumour"
    window: int = 384
    reuse: int = 6
    thick_share: float = 0.5
    shift_share: float = 0.2
    brain_found_share: float = 0.6


@dataclass(frozen=True)
class HeadItems:
    """Endless items; ``item(index)`` depends on the seed and the index alone."""

    config: HeadItemConfig
    heads: Heads
    seed: int = 0

    def item(self, index: int) -> TagsItem:
        """Draw item ``index``: a head, the changes it is seen with, and what is asked."""
        rng = np.random.default_rng([self.seed, 6, index])
        c = self.config
        scene = random_scene(self.heads.head(index), rng, c.thick_share, c.shift_share, c.brain_found_share)
        return ItemDraw(c.draw, rng).item(scene)
