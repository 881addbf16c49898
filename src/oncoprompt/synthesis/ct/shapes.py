"""Signed levels in mm, positive inside, of simple bodies: ellipsoids, tubes, outlines."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from oncoprompt.synthesis.ct.lattice import FAR_MM, Lattice, Region, Triple


def ellipsoid(points: Tensor, centre: Triple, radii: Triple) -> Tensor:
    """Level of an ellipsoid at points ``[3, ...]``: k0 (1 - k0) / k1, k0 = |p / r|, k1 = |p / r^2|."""
    # Axis by axis: a reduction over the leading dimension of three is many times slower.
    x, y, z = (((p - c) / r).square_() for p, c, r in zip(points, centre, radii, strict=True))
    k0 = (x + y + z).sqrt_()
    k1 = (x / radii[0] ** 2 + y / radii[1] ** 2 + z / radii[2] ** 2).sqrt_()
    return torch.where(k0 < 1e-3, min(radii), k0 * (1 - k0) / k1.clamp_min(1e-9))


def outline(x: Tensor, y: Tensor, half_width: float, front: float, back: float, power: float = 2.4) -> Tensor:
    """Radial level of a super-ellipse that reaches ``front`` ahead and ``back`` behind its centre."""
    depth = torch.where(y > 0, front, back)
    f = ((x / half_width).abs() ** power + (y / depth).abs() ** power) ** (1 / power)
    radius = torch.hypot(x, y)
    return radius * (1 / f.clamp_min(1e-4) - 1) + torch.where(radius < 1e-3, min(half_width, front, back), 0.0)


def union(one: Tensor, two: Tensor, blend_mm: float) -> Tensor:
    """Smooth union (polynomial) of two levels with a fillet of a radius."""
    h = (blend_mm - (one - two).abs()).clamp_min(0.0) / blend_mm
    return torch.maximum(one, two) + h * h * blend_mm / 4


def tube(
    paths: Sequence[tuple[Tensor, Sequence[float]]],
    spacing_mm: float,
    margin_mm: float | None = None,
    flat: float = 1.0,
) -> Lattice:
    """Level of tapering tubes: each path has nodes ``[M, 3]`` in mm and M radii; ``flat`` squeezes along A.

    The level is right up to ``margin_mm`` outside (default two nodes), FAR_MM beyond.
    """
    every = torch.cat([nodes for nodes, _ in paths])
    margin = 2 * spacing_mm + 1.5 if margin_mm is None else margin_mm
    widest = max(max(radii) for _, radii in paths) + margin
    low, high = ((every.amin(0) - widest).tolist(), (every.amax(0) + widest).tolist())
    region = Region.spanning((low[0], low[1], low[2]), (high[0], high[1], high[2]), spacing_mm)
    device = every.device
    level = torch.full(region.shape, FAR_MM, device=device)
    z, y, x = (region.axis(index, device) for index in range(3))
    for nodes, radii in paths:
        corners = nodes.tolist()
        for a, b, start, end in zip(corners, corners[1:], radii, radii[1:], strict=False):
            reach = max(start, end) + margin
            block = region.block(
                (min(a[0], b[0]) - reach, min(a[1], b[1]) - reach, min(a[2], b[2]) - reach),
                (max(a[0], b[0]) + reach, max(a[1], b[1]) + reach, max(a[2], b[2]) + reach),
            )
            if block is None:
                continue
            d = [q - p for p, q in zip(a, b, strict=True)]
            length = max(sum(v * v for v in d), 1e-6)
            dx = (x[block[2]] - a[0])[None, None, :]
            dy = (y[block[1]] - a[1])[None, :, None]
            dz = (z[block[0]] - a[2])[:, None, None]
            along = ((dx * (d[0] / length) + dy * (d[1] / length)) + dz * (d[2] / length)).clamp_(0.0, 1.0)
            squared = (dx - along * d[0]) ** 2 + ((dy - along * d[1]) / flat) ** 2 + (dz - along * d[2]) ** 2
            near = level[block]
            torch.maximum(near, (start + (end - start) * along) - squared.sqrt_(), out=near)
    return Lattice(level, region)


def smooth_path(nodes: Tensor, steps: int) -> Tensor:
    """Catmull-Rom curve ``[(M - 1) steps + 1, 3]`` through nodes ``[M, 3]``."""
    padded = torch.cat([2 * nodes[:1] - nodes[1:2], nodes, 2 * nodes[-1:] - nodes[-2:-1]])
    t = (torch.arange(steps, device=nodes.device) / steps)[None, :, None]
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return torch.cat([curve.flatten(0, 1), nodes[-1:]])


def spread(values: Sequence[float], steps: int) -> list[float]:
    """Values of nodes, linear between them, for a path of `smooth_path`."""
    inner = [a + (b - a) * s / steps for a, b in pairwise(values) for s in range(steps)]
    return [*inner, values[-1]]


def with_volume(shape: Tensor, allowed: Tensor, target_ml: float, spacing_mm: float) -> Tensor:
    """``min(shape + t, allowed)`` with the shift t at which it is positive over ``target_ml``, or all that is allowed.

    Equal volume through the quantile of the level inside what is allowed, so no search is needed.
    """
    inside = shape[allowed > 0]
    wanted = min(len(inside), max(1, math.floor(target_ml * 1000 / spacing_mm**3)))
    threshold = float(inside.kthvalue(len(inside) - wanted + 1).values) if len(inside) else 0.0
    return torch.minimum(shape - threshold + 1e-3, allowed)
