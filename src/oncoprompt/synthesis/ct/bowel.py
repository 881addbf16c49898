"""Stomach, duodenum, small bowel and colon with fluid, contrast agent, stool and gas above a level."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from oncoprompt.synthesis.ct.lattice import Lattice
from oncoprompt.synthesis.ct.shapes import smooth_path, spread
from oncoprompt.synthesis.ct.sketch import Sketch, Structure, within

Nodes = Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Filling:
    """What the gut holds: HU of its fluids, share of each lumen below the gas, mottling of stool."""

    stomach_hu: float
    bowel_hu: float
    stomach_full: float
    colon_full: float
    stool_hu: float
    stomach_size: float
    colon_size: float
    loops: int

    @staticmethod
    def random(rng: np.random.Generator) -> "Filling":
        """Water, food or positive contrast agent; one patient in five has drunk the latter."""
        positive = rng.random() < 0.2
        return Filling(
            stomach_hu=float(rng.uniform(120, 350) if positive else rng.uniform(0, 45)),
            bowel_hu=float(rng.uniform(100, 400) if positive and rng.random() < 0.7 else rng.uniform(5, 45)),
            stomach_full=float(rng.uniform(0.3, 0.95)),
            colon_full=float(rng.uniform(0.2, 1.0)),
            stool_hu=float(rng.uniform(-60, 50)),
            stomach_size=float(rng.uniform(0.75, 1.25)),
            colon_size=float(rng.uniform(0.7, 1.2)),
            loops=int(rng.integers(6, 11)),
        )


def random_bowel(sketch: Sketch, filling: Filling, hu: dict[str, float], cavity: Lattice) -> list[Structure]:
    """The gut in painting order; solid organs are painted over it."""
    rng = sketch.rng
    made: list[Structure] = []
    front = sketch.physique.front
    for _ in range(filling.loops):
        made += _hollow(sketch, _walk(rng, front), [float(rng.uniform(9, 13))] * 9, filling.bowel_hu, 0.97, hu, cavity)
    size = filling.colon_size
    width = sketch.physique.half_width - 42
    ascending: Nodes = [(width - 4, -12, -130), (width, -14, -80), (width - 2, -8, -44), (width - 14, 24, -34)]
    transverse: Nodes = [
        (width - 14, 24, -34), (55, front - 36, -48), (0, front - 28, -52 + float(rng.normal(0, 12))),
        (-48, front - 34, -22), (-82, 28, 14), (-102, -4, 26),
    ]  # fmt: skip
    descending: Nodes = [(-102, -4, 26), (-width, -26, -20), (-width - 2, -24, -80), (-width + 4, -10, -130)]
    for nodes, radius in ((ascending, 23.0), (transverse, 19.0), (descending, 15.0)):
        made += _hollow(
            sketch, nodes, [radius * size] * len(nodes), filling.stool_hu, filling.colon_full, hu, cavity, stool=True
        )
    duodenum: Nodes = [
        (26, 40, 8),
        (42, 32, 2),
        (47, 14, -16),
        (42, 8, -38),
        (14, 4, -40),
        (-16, 8, -30),
        (-26, 20, -12),
    ]
    made += _hollow(sketch, duodenum, [10.0, 10, 11, 11, 10, 9, 9], filling.bowel_hu, 0.9, hu, cavity, name="duodenum")
    dx, dy, dz = sketch.physique.organ_shift["stomach"]
    s = filling.stomach_size
    stomach: Nodes = [
        (x + dx, y + dy, z + dz)
        for x, y, z in ((-56, 0, 74), (-64, 16, 52), (-62, 36, 26), (-46, 50, 4), (-14, 54, -6), (14, 50, 2))
    ]
    radii = [23 * s, 28 * s, 26 * s, 21 * s, 16 * s, 12.0]
    made += _hollow(sketch, stomach, radii, filling.stomach_hu, filling.stomach_full, hu, cavity, wall=4.0)
    return made


def _walk(rng: np.random.Generator, front: float) -> Nodes:
    """A loop of small bowel: a persistent random walk kept inside the middle of the abdomen."""
    low, high = np.array([-82.0, 8.0, -138.0]), np.array([78.0, front - 26.0, -28.0])
    at = rng.uniform(low, high)
    heading = rng.normal(0, 1, 3)
    nodes = []
    for _ in range(9):
        nodes.append((float(at[0]), float(at[1]), float(at[2])))
        heading = heading / np.linalg.norm(heading) + rng.normal(0, 0.55, 3)
        step = at + heading / np.linalg.norm(heading) * 27
        heading = np.where((step < low) | (step > high), -heading, heading)
        at = np.clip(step, low, high)
    return nodes


def _hollow(
    sketch: Sketch,
    nodes: Nodes,
    radii: Sequence[float],
    content_hu: float,
    full: float,
    hu: dict[str, float],
    cavity: Lattice,
    name: str = "bowel",
    wall: float = 2.5,
    stool: bool = False,
) -> list[Structure]:
    """A tube with a wall, its content, and gas above the level at which the share ``full`` lies below."""
    path = smooth_path(sketch.nodes(nodes, 3.0), 3)
    folded = [r * float(sketch.rng.uniform(0.82, 1.1)) for r in spread(radii, 3)]
    outer = within(Structure(name, sketch.tube([(path, folded)], 3.0), hu["bowel wall"], grain=5), cavity, 1.5)
    level, region = outer.level.values, outer.level.region
    level = level + 1.3 * sketch.noise(region, 12.0)
    inner = level - wall
    made = [
        Structure(name, Lattice(level, region).trimmed(), hu["bowel wall"], grain=5),
        Structure("bowel content", Lattice(inner, region).trimmed(), content_hu,
                  grain=90 if stool else 4, patch=60 if stool else 6, softness_mm=1.5),
    ]  # fmt: skip
    if full < 0.95 and bool((inner > 0).any()):
        y = region.points(sketch.device)[1]
        surface = float(y[inner > 0].quantile(full)) if int((inner > 0).sum()) < 10_000_000 else 0.0
        gas = torch.minimum(inner - 0.5, y - surface)
        made.append(Structure("gas", Lattice(gas, region).trimmed(), hu["air"]))
    return made
