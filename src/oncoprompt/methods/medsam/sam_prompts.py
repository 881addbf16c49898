"""Prompts on a slice's own pixels, moved to the pixels of SAM's square image and put together in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.sam_network import SamPrompts
from oncoprompt.methods.medsam.slice_model import SlicePrompt


def batches(prompts: Sequence[SlicePrompt], at_most: int) -> list[list[int]]:
    """Indices of prompts that can be decoded together: the same kinds, as many points, at most so many at once.

    SAM's padding token would take part in attention, so prompts are grouped rather than padded.
    """
    groups: dict[tuple[bool, int, bool, bool], list[int]] = {}
    for index, prompt in enumerate(prompts):
        points = 0 if prompt.points is None else len(prompt.points)
        kinds = (prompt.box is not None, points, prompt.mask is not None, prompt.words is not None)
        if kinds == (False, 0, False, False):
            raise InputError("A target has no prompt. Give it a box, a point, a drawing or words.")
        groups.setdefault(kinds, []).append(index)
    return [group[at : at + at_most] for group in groups.values() for at in range(0, len(group), at_most)]


def to_square(prompts: Sequence[SlicePrompt], shape: tuple[int, int], side: int, mask_side: int) -> SamPrompts:
    """Prompts of the same kinds on a slice [H, W], in the pixels of an image of ``side``; words are left out.

    Box corners, which lie between pixels, are scaled by side / W and side / H; points are pixel centres and stay so.
    Raises InputError for a box or point outside the slice, and for a mask of another shape.
    """
    scale = torch.tensor([side / shape[1], side / shape[0]], dtype=torch.float32)
    boxes = points = positive = masks = None
    if prompts[0].box is not None:
        boxes = torch.stack([_box(prompt, shape) for prompt in prompts]) * scale.repeat(2)
    if prompts[0].points is not None and len(prompts[0].points):
        points = (torch.stack([_points(prompt, shape) for prompt in prompts]) + 0.5) * scale - 0.5
        positive = torch.stack([torch.as_tensor(np.asarray(prompt.positive, dtype=np.bool_)) for prompt in prompts])
    if prompts[0].mask is not None:
        masks = torch.stack([dense_mask(_mask(prompt, shape), mask_side) for prompt in prompts])
    return SamPrompts(boxes, points, positive, masks)


def dense_mask(mask: Tensor, side: int) -> Tensor:
    """A drawing [H, W] as SAM's dense prompt [1, side, side]: in each cell the value farthest from 0.

    So a line one pixel thin is kept at its full value, which an average would fade.
    """
    high = functional.adaptive_max_pool2d(mask[None], (side, side))
    low = -functional.adaptive_max_pool2d(-mask[None], (side, side))
    return torch.where(high >= -low, high, low)


def _box(prompt: SlicePrompt, shape: tuple[int, int]) -> Tensor:
    x0, y0, x1, y1 = (float(value) for value in prompt.box or ())
    if x0 >= shape[1] or y0 >= shape[0] or x1 <= 0 or y1 <= 0:
        raise InputError(
            f"The box {[x0, y0, x1, y1]} lies outside the slice, which is {shape[1]} wide and {shape[0]} high."
        )
    return torch.tensor([max(x0, 0.0), max(y0, 0.0), min(x1, float(shape[1])), min(y1, float(shape[0]))])


def _points(prompt: SlicePrompt, shape: tuple[int, int]) -> Tensor:
    points = torch.as_tensor(np.asarray(prompt.points, dtype=np.float32))
    for x, y in points.tolist():
        if not (-0.5 <= x < shape[1] - 0.5 and -0.5 <= y < shape[0] - 0.5):
            raise InputError(
                f"The point ({x:g}, {y:g}) lies outside the slice, which is {shape[1]} wide and {shape[0]} high."
            )
    return points


def _mask(prompt: SlicePrompt, shape: tuple[int, int]) -> Tensor:
    mask = np.ascontiguousarray(prompt.mask, dtype=np.float32)
    if mask.shape != shape:
        raise InputError(f"The drawing has shape {mask.shape}, the slice {shape}. Draw it on the slice's own pixels.")
    return torch.from_numpy(mask)
