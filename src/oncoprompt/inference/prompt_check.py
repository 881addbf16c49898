"""Whether prompts can be meant as they were given: on the scan, in the body, and not against each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.methods.interface import Prompt
from oncoprompt.methods.tags.intensities import BRAIN, organ_in
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study import Study
from oncoprompt.study.channels import CHANNELS, COLOURS, GREY
from oncoprompt.study.foreground import foreground_mask

NEAR_MM = 5.0
"""A click so near to the body is not in air: a person's hand, and the threshold, are not finer."""
NEARLY_ALL = 0.95
"""Share of the scan, or of head or body, from which on a box is told to cover it all."""
LEAST_ANATOMY = 0.5
"""Share of an anatomy mask that should lie in the scan."""
_AIR_HU = -500.0
_MRI_OF_BRAIN = frozenset({"t1n", "t1c", "t2w", "t2f"})


class PromptCheck:
    """What speaks against prompts on a study, whichever model answers them."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def of(self, prompts: Sequence[Prompt]) -> tuple[tuple[Prompt, ...], list[str]]:
        """The prompts without those given twice, and sentences about what a person should look at again.

        Raises InputError for prompts outside the scan, a positive click or a box in air, a voxel clicked as inside and
        as outside, and an anatomy mask outside the scan.
        """
        kept, said = _once(prompts, self.study.grid)
        boxes = [prompt.to_voxels(self.study.grid) for prompt in kept if isinstance(prompt, Box)]
        clicks = [(prompt.to_voxel(self.study.grid), prompt.positive) for prompt in kept if isinstance(prompt, Click)]
        organs = [prompt for prompt in kept if isinstance(prompt, Anatomy)]
        _check_not_both_ways(clicks)
        for box in boxes:
            said += self._about_box(box)
        for voxel, positive in clicks:
            said += self._about_click(voxel, positive, boxes)
        said += self._about_organs(organs, boxes, clicks)
        for prompt in kept:
            if isinstance(prompt, Text):
                said += self._about_words(prompt.words)
        pointed = boxes or any(positive for _, positive in clicks) or any(isinstance(item, Text) for item in kept)
        if clicks and not pointed:
            said.append(
                "Only clicks outside a tumour were given, so the whole scan is searched. Add a click on the tumour, or "
                "a box around it."
            )
        return kept, said

    @cached_property
    def foreground(self) -> NDArray[np.bool_]:
        """Head or body (I, J, K) in any channel; everything in a picture."""
        inside = np.zeros(self.study.grid.shape, dtype=bool)
        for name, array in self.study.channels.items():
            # a scan in Hounsfield units whose name says nothing is a CT, too
            kind = "ct" if name not in CHANNELS and array.min() < _AIR_HU else name
            inside |= True if name in (*COLOURS, GREY) else foreground_mask(array, kind)
        return inside

    @property
    def _knows_air(self) -> bool:
        """Whether air can be told for certain: in MRI and CT; in scans of unknown kinds it is a guess."""
        return all(name in CHANNELS for name in self.study.channels)

    def _about_box(self, box: NDArray[np.int64]) -> list[str]:
        inside = self.foreground[_window(box)]
        if not inside.any() and self._in_air((box[:, 0] + box[:, 1]) // 2):
            told = f"The box {box.tolist()} lies wholly in air. Check its voxel order and orientation."
            if self._knows_air:
                raise InputError(told)
            return [told]
        covered = inside.size / self.foreground.size
        if covered >= NEARLY_ALL:
            what = f"{covered:.0%} of the scan"
        elif np.count_nonzero(inside) >= NEARLY_ALL * np.count_nonzero(self.foreground) and not self.foreground.all():
            what = "nearly all of the head or body"
        else:
            return []
        return [
            f"The box {box.tolist()} covers {what}. It is taken for a box around one tumour, not for a search; draw it "
            "around the tumour."
        ]

    def _about_click(self, voxel: NDArray[np.int64], positive: bool, boxes: Sequence[NDArray[np.int64]]) -> list[str]:
        where = f"The click at voxel {voxel.tolist()}"
        if self._in_air(voxel):
            if not positive:
                return [f"{where} lies in air, outside head and body, where there is nothing to leave out."]
            told = (
                f"{where} lies in air, outside head and body. Check the order of its numbers, which count from 0, and "
                "the orientation."
            )
            if self._knows_air:
                raise InputError(told)
            return [told]
        holding = [box for box in boxes if bool(np.all((voxel >= box[:, 0]) & (voxel < box[:, 1])))]
        if boxes and positive and not holding:
            return [f"{where} lies outside every box. Give a tumour there a box of its own, or draw its box larger."]
        if len(holding) > 1:
            return [f"{where} lies in {len(holding)} boxes, and may change the answer in each of them."]
        return []

    def _in_air(self, voxel: NDArray[np.int64]) -> bool:
        """Whether a voxel is no part of head or body: far from them, and not enclosed by them in any plane.

        What is enclosed is dark inside the body: a ventricle, a lung, a resection cavity.
        """
        near = np.ceil(NEAR_MM / np.asarray(self.study.grid.spacing_mm)).astype(int)
        around = np.stack([np.maximum(voxel - near, 0), voxel + near + 1], axis=1)
        if self.foreground[_window(around)].any():
            return False
        for axis in range(3):
            plane = np.take(self.foreground, voxel[axis], axis=axis)
            if min(plane.shape) > 1 and not _reaches_edge(~plane, np.delete(voxel, axis)):
                return False
        return True

    def _about_organs(
        self,
        organs: Sequence[Anatomy],
        boxes: Sequence[NDArray[np.int64]],
        clicks: Sequence[tuple[NDArray[np.int64], bool]],
    ) -> list[str]:
        """What speaks against the anatomy masks, and for prompts that lie outside all of them."""
        grid = self.study.grid
        said = []
        for organ in organs:
            share = organ.share_in(grid)
            if share == 0.0:
                raise InputError("The anatomy mask lies outside the scan. Check that it was made for this scan.")
            if share < LEAST_ANATOMY:
                said.append(f"Only {share:.0%} of the anatomy mask lies in the scan. Check that it was made for it.")
        shown = [(f"The box {box.tolist()}", box) for box in boxes] + [
            (f"The click at voxel {voxel.tolist()}", np.stack([voxel, voxel + 1], axis=1))
            for voxel, positive in clicks
            if positive
        ]
        for what, ranges in shown:
            if organs and not any(organ.touches(Box.from_voxels(ranges, grid)) for organ in organs):
                said.append(
                    f"{what} lies outside the anatomy mask, and is followed all the same. Check what the mask is of."
                )
        return said

    def _about_words(self, words: str) -> list[str]:
        organ, channels = organ_in(words), set(self.study.channels)
        if organ not in (None, BRAIN) and channels and channels <= _MRI_OF_BRAIN:
            return [
                f"'{words}' speaks of the {organ}, but {', '.join(self.study.channels)} are channels of brain MRI. "
                "Check the words and the scan."
            ]
        if organ == BRAIN and channels == {"ct"}:
            return [
                f"'{words}' speaks of the brain, but CT is read here for the abdomen. Check the words and the scan."
            ]
        return []


def _once(prompts: Sequence[Prompt], grid: Grid) -> tuple[tuple[Prompt, ...], list[str]]:
    """Prompts without boxes and clicks that are there already; raises InputError for those outside the scan."""
    kept: list[Prompt] = []
    said: list[str] = []
    seen: set[tuple[object, ...]] = set()
    for prompt in prompts:
        if isinstance(prompt, Box | Click):
            box = isinstance(prompt, Box)
            place = prompt.to_voxels(grid).tolist() if isinstance(prompt, Box) else prompt.to_voxel(grid).tolist()
            key = (box, str(place), isinstance(prompt, Click) and prompt.positive)
            if key in seen:
                said.append(f"The {'box' if box else 'click at voxel'} {place} is given twice and counts once.")
                continue
            seen.add(key)
        kept.append(prompt)
    return tuple(kept), list(dict.fromkeys(said))


def _check_not_both_ways(clicks: Sequence[tuple[NDArray[np.int64], bool]]) -> None:
    inside, outside = ({tuple(voxel.tolist()) for voxel, sign in clicks if sign is wanted} for wanted in (True, False))
    if both := sorted(inside & outside):
        raise InputError(
            f"Voxel {list(both[0])} is clicked both as inside and as outside of the tumour. Leave one of the two out."
        )


def _window(ranges: NDArray[np.int64]) -> tuple[slice, slice, slice]:
    (i0, i1), (j0, j1), (k0, k1) = ranges.tolist()
    return slice(i0, i1), slice(j0, j1), slice(k0, k1)


def _reaches_edge(empty: NDArray[np.bool_], pixel: NDArray[np.int64]) -> bool:
    """Whether the empty area (R, C) that holds a pixel reaches the edge of the plane."""
    areas, _ = label(empty)
    edge = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    return bool(np.isin(areas[tuple(pixel)], edge))
