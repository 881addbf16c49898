"""Training items of slice models: a slice, one of its targets, and a box, a point or words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError, in_shell
from oncoprompt.geometry import mask_bounds
from oncoprompt.training.kept import Kept, case_order
from oncoprompt.training.slice_stack import LabelledSlices, SliceCase, cleaned

Prompt = Literal["box", "point", "words"]
JITTER_SIDE = 1024
"""Pixels of the side at which shifts of a box are told, as MedSAM's."""


@dataclass(frozen=True)
class SliceItem:
    """Slice [3, H, W] of 0 to 255, target [1, H, W] in 0 and 1, prompts for it in pixels, and the case's name.

    ``box`` [4] is x0, y0, x1, y1, half-open; ``point`` [2] is x, y of a pixel of the target; ``words`` are a name of
    the target, or None.
    """

    image: Tensor
    mask: Tensor
    box: Tensor
    point: Tensor
    name: str
    words: str | None = None


@dataclass(frozen=True)
class SliceItemConfig:
    """How items are drawn: one target of one slice, chosen evenly among those of the slice.

    Each side of the tight box moves by a whole number of pixels from -``inwards_px`` to ``outwards_px``, evenly drawn,
    of a slice JITTER_SIDE pixels wide, and by up to ``jitter`` of the box's side in or out. ``prompt`` says what the
    model is asked with; for "words", ``words`` holds names by number of the target (those of the case's label schema
    are used where it has none). ``slices_in_a_row`` items come from one case before the next. The rest is passed to
    `cleaned` and to the readers. The defaults are MedSAM's.
    """

    prompt: Prompt = "box"
    outwards_px: int = 20
    inwards_px: int = 0
    jitter: float = 0.0
    flips: bool = False
    slices_in_a_row: int = 1
    least_pixels: int = 100
    least_voxels: int = 1000
    instances: bool = False
    preset: str = "auto"
    plane: str | None = None
    channel: str | None = None
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges, and that no side is flipped that words tell apart; raises InputError."""
        for name, value, least in (
            ("outwards_px", self.outwards_px, 0),
            ("inwards_px", self.inwards_px, 0),
            ("jitter", self.jitter, 0.0),
            ("slices_in_a_row", self.slices_in_a_row, 1),
            ("least_pixels", self.least_pixels, 1),
            ("least_voxels", self.least_voxels, 1),
        ):
            if value < least:
                raise InputError(
                    f"Training configuration: data.options.{name} is {value}. It must be at least {least}."
                )
        if self.prompt == "words":
            if self.instances:
                raise InputError("Training configuration: parts of a label (data.options.instances) have no words.")
            # transformers, which comes with it, takes seconds to import
            from oncoprompt.methods.medsam.text_prompt import check_flips

            check_flips([phrase for names in self.words.values() for phrase in names], self.flips)


class SliceItems:
    """Items of labelled cases as a function of (seed, index).

    All cases are seen, each ``slices_in_a_row`` times, before any is seen again, and every time in another order; one
    without a target gives way to the next. The last ``kept`` cases stay in memory.
    """

    def __init__(self, cases: Sequence[SliceCase], config: SliceItemConfig, seed: int, kept: int = 64) -> None:
        if not cases:
            raise InputError("There is no labelled case to train on.")
        self.cases = tuple(cases)
        self.config = config
        self.seed = seed
        self._stacks: Kept[LabelledSlices] = Kept(kept)

    def item(self, index: int) -> SliceItem:
        """Item ``index``; raises InputError with the name of a case that cannot be used."""
        rng = np.random.default_rng([self.seed, index])
        stack = self._stack_for(index)
        chosen = int(rng.integers(len(stack.labels)))
        labels, image = stack.labels[chosen], stack.images[chosen]
        label = int(rng.choice(np.unique(labels[labels > 0])))
        mask = labels == label
        for axis in (0, 1):
            if self.config.flips and rng.random() < 0.5:
                mask, image = np.flip(mask, axis), np.flip(image, axis)
        y, x = np.unravel_index(int(rng.choice(np.flatnonzero(mask))), mask.shape)
        planes = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        return SliceItem(
            image=planes.expand(3, *planes.shape) if planes.ndim == 2 else planes.permute(2, 0, 1),
            mask=torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))[None],
            box=torch.tensor(moved_box(rng, mask, self.config)),
            point=torch.tensor([float(x), float(y)]),
            name=stack.name,
            words=self._words(rng, stack, label),
        )

    def _stack_for(self, index: int) -> LabelledSlices:
        position, count = index // self.config.slices_in_a_row, len(self.cases)
        order = case_order(count, self.seed, position // count)
        for step in range(count):
            number = int(order[(position + step) % count])
            stack = self._stacks.get(number, partial(self._read, number))
            if len(stack.labels):
                return stack
        raise InputError(
            f"None of the {count} cases has a target of at least {self.config.least_pixels} pixels in a slice. "
            "Lower data.options.least_pixels and least_voxels."
        )

    def _read(self, number: int) -> LabelledSlices:
        """A cleaned case."""
        config = self.config
        try:
            slices = self.cases[number].read()
            return cleaned(slices, config.least_pixels, config.least_voxels, config.instances)
        except InputError as error:
            raise InputError(f"Case '{self.cases[number].name}' cannot be used: {in_shell(error)}") from error

    def _words(self, rng: np.random.Generator, stack: LabelledSlices, label: int) -> str | None:
        if self.config.prompt != "words":
            return None
        phrases = self.config.words.get(str(label)) or ((stack.names[label],) if label in stack.names else ())
        if not phrases:
            raise InputError(f"Target {label} of case '{stack.name}' has no name; give data.options.words one for it.")
        return str(rng.choice(phrases))


def moved_box(
    rng: np.random.Generator, mask: NDArray[np.bool_], config: SliceItemConfig
) -> tuple[float, float, float, float]:
    """The tight box of a mask [H, W] with its sides moved as a person would, on the slice and never empty.

    No side moves inwards by more than a quarter of the box, so that what is left still shows the target.
    """
    edges = mask_bounds(mask)[::-1].T.ravel().astype(np.float64)
    sides, sizes = np.tile(edges[2:] - edges[:2], 2), np.tile([mask.shape[1], mask.shape[0]], 2)
    outwards = rng.integers(-config.inwards_px, config.outwards_px + 1, 4) * sizes / JITTER_SIDE
    outwards += rng.uniform(-config.jitter, config.jitter, 4) * sides
    moved = edges + np.maximum(outwards, -sides / 4) * np.array([-1, -1, 1, 1])
    x0, y0, x1, y1 = np.clip(moved, 0, sizes).tolist()
    return x0, y0, x1, y1
