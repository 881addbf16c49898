"""Arteries and veins: aorta and cava, the portal system, renal vessels, and the trees inside the liver."""

import math

import numpy as np
from torch import Tensor

from oncoprompt.synthesis.ct.lattice import Lattice
from oncoprompt.synthesis.ct.organs import KIDNEY_CENTRES, Organ
from oncoprompt.synthesis.ct.shapes import smooth_path, spread, tube
from oncoprompt.synthesis.ct.sketch import Sketch, Structure, within

Path = tuple[Tensor, list[float]]


def random_vessels(sketch: Sketch, hu: dict[str, float], phase: str) -> list[Structure]:
    """Vessels outside organs, painted after them."""
    rng = sketch.rng
    aorta_r, cava_r = float(rng.uniform(8, 11.5)), float(rng.uniform(8.5, 12.5))

    def path(nodes: list[tuple[float, float, float]], radii: list[float], jitter: float = 1.5) -> Path:
        return smooth_path(sketch.nodes(nodes, jitter), 4), spread(radii, 4)

    aorta = [path([(-12, -16, 150), (-8, -10, 90), (-8, -7, 30), (-6, -7, -40), (-3, -9, -92)], [aorta_r * 1.1] * 5)]
    for side in (-1.0, 1.0):
        aorta.append(path([(-3, -9, -90), (side * 14, -12, -118), (side * 30, -18, -150)], [6.0, 5.5, 5.0]))
    celiac = path([(-7, -4, 24), (-5, 10, 22), (-30, 4, 26), (-60, -8, 36), (-80, -14, 44)], [4, 3.5, 2.5, 2.5, 2.0])
    hepatic = path([(-5, 10, 22), (16, 18, 24), (28, 18, 32)], [3.0, 2.5, 2.0])
    mesenteric = path([(-7, -3, 14), (-5, 12, 2), (-3, 18, -20), (2, 24, -60), (8, 30, -100)], [4, 4, 3.5, 3.0, 2.0])
    arteries, veins = [celiac, hepatic, mesenteric], []
    for name, (x, y, z) in KIDNEY_CENTRES.items():
        side = math.copysign(1.0, x)
        dx, dy, dz = sketch.physique.organ_shift[name]
        hilum = (x + dx - side * 24, y + dy + 8, z + dz)
        arteries.append(path([(-7, -10, 0), (side * 24, -18, 0.5 * hilum[2]), hilum], [3.0, 2.8, 2.2], 1.0))
        start = (18.0, -4.0, 0.0) if side > 0 else (14.0, 0.0, 4.0)
        between = (30.0, -14.0, -4.0) if side > 0 else (-14.0, 6.0, 6.0)
        veins.append(path([start, between, (hilum[0], hilum[1] + 4, hilum[2])], [5.0, 4.5, 4.0], 1.0))
    cava = [path([(20, 0, 110), (20, -4, 60), (20, -6, 10), (16, -8, -50), (10, -12, -95)], [cava_r] * 5)]
    for side in (-1.0, 1.0):
        cava.append(path([(10, -12, -93), (side * 16 + 4, -18, -120), (side * 32, -24, -150)], [6.5, 6.0, 6.0]))
    portal_r = float(rng.uniform(5.5, 7.5))
    portal = [
        path([(8, 18, 8), (20, 14, 24), (36, 12, 38)], [portal_r] * 3),
        path([(8, 18, 8), (-15, 14, 14), (-42, 4, 24), (-66, -14, 36), (-82, -22, 44)], [5.0, 4.8, 4.2, 3.6, 2.5]),
        path([(8, 18, 8), (8, 20, -20), (12, 26, -60), (16, 32, -100)], [6.0, 5.5, 4.5, 2.5]),
    ]
    twigs = _mesentery(sketch, rng)
    # Renal veins carry contrast agent back before the rest of the cava's blood does.
    early = 0.4 if phase == "arterial" else 0.0
    veins_hu = hu["cava"] + early * (hu["renal cortex"] - hu["cava"])
    return [
        Structure("vein", tube(twigs, 2.5).trimmed(), 0.8 * hu["portal vein"]),
        Structure("vein", tube(veins, 2.0, flat=0.8).trimmed(), veins_hu),
        Structure("artery", tube(arteries, 2.0).trimmed(), 0.95 * hu["aorta"]),
        Structure("portal vein", tube(portal, 2.0).trimmed(), hu["portal vein"], cloud=4),
        Structure("cava", tube(cava, 3.0, flat=0.8).trimmed(), hu["cava"], cloud=12 if phase != "native" else 0),
        Structure("aorta", tube(aorta, 3.0).trimmed(), hu["aorta"], cloud=3),
    ]


def _mesentery(sketch: Sketch, rng: np.random.Generator) -> list[Path]:
    """Small vessels and strands that fan out through the mesenteric fat."""
    twigs = []
    for _ in range(int(rng.integers(16, 28))):
        start = (float(rng.uniform(-2, 14)), 24.0, float(rng.uniform(-90, -10)))
        end = (float(rng.uniform(-75, 75)), float(rng.uniform(20, 62)), start[2] + float(rng.normal(-15, 22)))
        middle = tuple(0.5 * (a + b) + float(rng.normal(0, 7)) for a, b in zip(start, end, strict=True))
        twigs.append((smooth_path(sketch.nodes([start, middle, end], 0.0), 3), spread([2.0, 1.6, 1.0], 3)))
    return twigs


def liver_vessels(sketch: Sketch, liver: Organ, hu: dict[str, float]) -> list[Structure]:
    """Portal and hepatic veins inside the liver, which belong to its label."""
    rng = sketch.rng
    portal: list[Path] = []
    for direction, radius in (((0.85, -0.15, 0.2), 5.5), ((-0.5, 0.7, 0.35), 4.6)):
        _branch(sketch, rng, np.array([36.0, 12.0, 38.0]), np.array(direction), 30.0, radius, 4, portal)
    hepatic: list[Path] = []
    for direction in ((0.85, -0.1, -0.35), (0.45, 0.7, -0.35), (-0.45, 0.8, -0.2)):
        _branch(sketch, rng, np.array([21.0, 2.0, 82.0]), np.array(direction), 36.0, 4.6, 3, hepatic)
    limit = Lattice(liver.level.values, liver.level.region)
    return [
        within(Structure("liver", tube(paths, 2.5).trimmed(5.0), hu[tissue]), limit)
        for tissue, paths in (("portal vein", portal), ("hepatic vein", hepatic))
    ]


def _branch(
    sketch: Sketch,
    rng: np.random.Generator,
    start: np.ndarray,
    direction: np.ndarray,
    length: float,
    radius: float,
    depth: int,
    paths: list[Path],
) -> None:
    """Grow a vessel and its two daughters; radii follow Murray's law r^3 = r1^3 + r2^3."""
    direction = direction / np.linalg.norm(direction)
    bend = rng.normal(0, 0.12, 3)
    middle = start + 0.5 * length * (direction + bend)
    end = start + length * direction
    nodes = sketch.nodes([start.tolist(), middle.tolist(), end.tolist()])
    paths.append((nodes, [radius, 0.93 * radius, 0.86 * radius]))
    if depth <= 1:
        return
    side = np.cross(direction, rng.normal(0, 1, 3))
    side /= np.linalg.norm(side)
    share = float(rng.uniform(0.35, 0.65))
    for sign, part in ((1.0, share), (-1.0, 1 - share)):
        turned = direction + sign * float(rng.uniform(0.45, 0.8)) * side
        _branch(sketch, rng, end, turned, length * float(rng.uniform(0.68, 0.9)), 0.86 * radius * part ** (1 / 3),
                depth - 1, paths)  # fmt: skip
