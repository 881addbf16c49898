"""Smooth random fields in two dimensions."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Field = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, side: int, knots: int, fields: int = 1) -> Field:
    """Gaussian fields [fields, side, side] with ``knots`` knots a side, cubic between them, about unit variance."""
    size = max(2, min(knots, side))
    drawn = torch.from_numpy(rng.standard_normal((1, fields, size + 2, size + 2), dtype=np.float32))
    scale = round(side * (size + 2) / size)
    field = functional.interpolate(drawn, (scale, scale), mode="bicubic", align_corners=False)[0]
    start = (scale - side) // 2
    return np.asarray(1.25 * field[:, start : start + side, start : start + side].numpy())


def texture(rng: np.random.Generator, side: int) -> Field:
    """A field [side, side] of zero mean and unit deviation with a random share of fine, middle and coarse detail."""
    out = np.zeros((side, side), dtype=np.float32)
    for knots in (4, 10, 25, 60, side):
        strength = rng.gamma(0.6)
        if strength > 0.2:
            out += np.float32(strength) * smooth_noise(rng, side, knots)[0]
    deviation = float(out.std())
    return (out - out.mean()) / deviation if deviation > 0 else out


def warped(rng: np.random.Generator, plane: Field, strength_px: float, knots: int) -> Field:
    """A plane [side, side] moved by a smooth random displacement of about ``strength_px`` pixels."""
    side = plane.shape[0]
    shift = smooth_noise(rng, side, knots, 2) * np.float32(2.0 * strength_px / side)
    axis = (torch.arange(side, dtype=torch.float32) + 0.5) * (2.0 / side) - 1.0
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1) + torch.from_numpy(shift).permute(1, 2, 0)
    image = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))[None, None]
    moved = functional.grid_sample(image, grid[None], padding_mode="border", align_corners=False)
    return np.asarray(moved[0, 0].numpy())
