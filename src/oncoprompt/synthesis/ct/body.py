"""What surrounds the organs: skin, fat, muscle, ribs and spine, lung bases, and the fat between organs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oncoprompt.synthesis.ct.lattice import Lattice
from oncoprompt.synthesis.ct.shapes import ellipsoid, outline, smooth_path, spread, tube, union
from oncoprompt.synthesis.ct.sketch import HIGH_MM, LOW_MM, Physique, Sketch, Structure

_SPACING_MM = 5.0
_CENTRE_Y = -6.0
_VERTEBRA_MM = 33.0


@dataclass(frozen=True)
class Body:
    """Structures outside the organs in painting order, and levels of the cavity in the wall and of what is above the
    diaphragm, which organs are clipped to.
    """

    structures: tuple[Structure, ...]
    cavity: Lattice
    chest: Lattice


def _cavity_level(points: Tensor, physique: Physique) -> Tensor:
    """Level of the abdominal cavity inside the wall of muscle, in model space."""
    x, y, _ = points
    muscle = physique.muscle
    level = outline(x, y - _CENTRE_Y, physique.half_width - muscle, physique.front + 6 - muscle, physique.back - 18)
    level = torch.minimum(level, -ellipsoid_column(points, 0.0, -50.0, 26.0, 34.0))
    for side in (-1.0, 1.0):
        level = torch.minimum(level, -ellipsoid_column(points, side * 36.0, -86.0, 33.0, 23.0))
    return torch.minimum(level, -ellipsoid_column(points, 0.0, -92.0, 18.0, 24.0))


def ellipsoid_column(points: Tensor, x: float, y: float, half_width: float, half_depth: float) -> Tensor:
    """Level of an elliptic column along S."""
    return outline(points[0] - x, points[1] - y, half_width, half_depth, half_depth, power=2.0)


def _dome_level(points: Tensor, physique: Physique) -> Tensor:
    """Level above the diaphragm, positive in the chest: two domes, a tendon between them, recesses around."""
    x, y, z = points
    behind = ((y - 24) / 104) ** 2
    right = physique.dome[0] - 85 * (((x - 62) / 80) ** 2 + behind) ** 1.5
    left = physique.dome[1] - 85 * (((x + 62) / 80) ** 2 + behind) ** 1.5
    middle = 0.5 * sum(physique.dome) - 14 - 85 * ((x / 90) ** 2 + behind) ** 1.5
    level: Tensor = (z - union(union(right, left, 30.0), middle, 15.0)) * 0.6
    return level


def random_body(sketch: Sketch, hu: dict[str, float]) -> Body:
    """Draw everything around the organs."""
    physique = sketch.physique
    region = sketch.region(LOW_MM, HIGH_MM, _SPACING_MM)
    points = sketch.model_points(region)
    x, y, _ = points
    front_fat, side_fat, back_fat = physique.wall_fat[1], physique.wall_fat[0], physique.wall_fat[2]
    groove = 12.0 * torch.exp(-((x / 13) ** 2)) * (y < 0)
    bumps = sketch.noise(region, 60.0)
    skin = outline(
        x,
        y - _CENTRE_Y,
        physique.half_width + side_fat,
        physique.front + 6 + front_fat,
        physique.back + back_fat + 2,
    )
    skin = skin + 2.5 * bumps - groove
    wall = outline(x, y - _CENTRE_Y, physique.half_width, physique.front + 6, physique.back + 2) - groove
    # A wall never nears the skin by less than two millimetres.
    wall = torch.minimum(wall, skin - 3.0)
    cavity = torch.minimum(_cavity_level(points, physique), wall - 6.0)
    dome = _dome_level(points, physique)
    chest = torch.minimum(dome, cavity + 4.0)

    def paint(name: str, level: Tensor, tissue: str, **texture: float) -> Structure:
        return Structure(name, Lattice(level, region).trimmed(), hu[tissue], **texture)

    structures = [
        *_table(sketch, hu),
        paint("skin", skin, "skin"),
        paint("fat", skin - 2.0, "fat", grain=6, patch=5),
        paint("muscle", wall, "muscle", grain=8, patch=7, softness_mm=1.5),
        paint("fat", cavity, "fat", grain=10, patch=10),
        *_muscles(sketch, hu),
        paint("muscle", chest + 2.5, "muscle"),
        paint("lung", chest, "lung", grain=40, patch=35),
        *_heart(sketch, hu, Lattice(chest, region)),
        *_spine(sketch, hu),
        *_ribs(sketch, hu),
    ]
    return Body(tuple(structures), Lattice(cavity, region), Lattice(dome, region))


def _table(sketch: Sketch, hu: dict[str, float]) -> list[Structure]:
    """The thin shell of the patient table beneath the back."""
    region = sketch.region((-200, -152, -144), (200, -100, 144), _SPACING_MM)
    x, y, _ = region.points(sketch.device)
    physique = sketch.physique
    top = -(physique.back + physique.wall_fat[2]) - 14 + 0.0012 * x**2
    return [Structure("table", Lattice(3.0 - (y - top).abs(), region), hu["table"])]


def _muscles(sketch: Sketch, hu: dict[str, float]) -> list[Structure]:
    """Psoas, quadratus lumborum and the crura of the diaphragm."""
    size = float(sketch.rng.uniform(0.85, 1.2))
    psoas, others = [], []
    for side in (-1.0, 1.0):
        path = smooth_path(sketch.nodes([(side * 29, -38, 12), (side * 38, -36, -50), (side * 52, -26, -150)], 1.5), 4)
        psoas.append((path, spread([5 * size, 17 * size, 24 * size], 4)))
        path = sketch.nodes([(side * 58, -70, 20), (side * 68, -66, -60), (side * 72, -64, -120)], 2)
        others.append((path, [7 * size, 11 * size, 12 * size]))
        crus = smooth_path(sketch.nodes([(side * 13, -12, -25), (side * 15, -10, 25), (side * 17, 0, 75)], 1), 4)
        others.append((crus, spread([2.5, 4.5, 5.0], 4)))
    made = []
    for paths, flat in ((psoas, 0.9), (others, 0.6)):
        level = tube(paths, 3.0, margin_mm=12.0, flat=flat)
        uneven = Lattice(level.values + 1.6 * sketch.noise(level.region, 18.0), level.region)
        made.append(Structure("muscle", uneven.trimmed(), hu["muscle"], grain=7, patch=5, softness_mm=1.5))
    return made


def _heart(sketch: Sketch, hu: dict[str, float], chest: Lattice) -> list[Structure]:
    region = sketch.region((-110, -20, 60), (60, 90, 150), _SPACING_MM)
    points = sketch.model_points(region)
    level = ellipsoid(points, (-22, 38, 128), (60, 45, 42)) + 3 * sketch.noise(region, 40.0)
    found = chest.on(region)
    if found is not None:
        level[found[0]] = torch.minimum(level[found[0]], found[1] - 1.0)
    return [
        Structure("fat", Lattice(level + 4, region).trimmed(), hu["fat"], grain=10, softness_mm=2),
        Structure("heart", Lattice(level, region).trimmed(), hu["heart"], cloud=10, softness_mm=2),
    ]


def _spine(sketch: Sketch, hu: dict[str, float]) -> list[Structure]:
    """Vertebral bodies with discs between, the canal, arches with spinous and transverse processes."""
    region = sketch.region((-36, -74, -144), (36, -4, 144), 3.0)
    points = sketch.model_points(region)
    x, y, z = points
    waist = torch.remainder(z / _VERTEBRA_MM, 1.0) - 0.5
    height = (0.5 - waist.abs()) * _VERTEBRA_MM
    column = outline(x, y + 34, 21.5, 15, 15, power=2.3) + 3.0 * (waist.abs() * 2) ** 3 - 1.5
    column = column + 0.6 * sketch.noise(region, 9.0)
    vertebra = torch.minimum(column, height - 4.0)
    canal = ellipsoid_column(points, 0.0, -59.0, 11.0, 9.0)
    arches, processes = [], []
    for level in range(-5, 6):
        z0 = (level + 0.5) * _VERTEBRA_MM
        ring = [(-11, -46, z0 + 3), (-15, -60, z0), (-9, -71, z0 - 4), (0, -76, z0 - 6)]
        arches.append((sketch.nodes(ring, 0.5), [5.0, 5.0, 4.5, 4.0]))
        arches.append((sketch.nodes([(-a, b, c) for a, b, c in ring], 0.5), [5.0, 5.0, 4.5, 4.0]))
        processes.append((sketch.nodes([(0, -74, z0 - 6), (0, -93, z0 - 15)], 1), [4.5, 5.0]))
        for side in (-1.0, 1.0):
            processes.append((sketch.nodes([(side * 15, -58, z0), (side * 38, -67, z0 + 3)], 1.5), [4.5, 3.0]))
    bones = [Lattice(vertebra, region), tube(arches, 2.5), tube(processes, 2.5)]
    made = [Structure("disc", Lattice(column - 0.5, region).trimmed(), hu["disc"], grain=8)]
    for bone, shell in zip(bones, (1.6, 1.8, 1.8), strict=True):
        made.append(Structure("bone", bone.trimmed(), 0.75 * hu["cortical bone"], grain=60))
        core = Lattice(bone.values - shell, bone.region).trimmed()
        made.append(Structure("marrow", core, hu["marrow"], grain=35, patch=20, softness_mm=1.5))
    made.append(Structure("canal", Lattice(canal, region).trimmed(), hu["canal"]))
    return made


def _ribs(sketch: Sketch, hu: dict[str, float]) -> list[Structure]:
    """Ribs 6 to 12 falling from the spine around the wall; the front of 6 to 10 is cartilage."""
    physique = sketch.physique
    bone, cartilage = [], []
    width = physique.half_width - 0.5 * physique.muscle
    drop = float(sketch.rng.uniform(70, 95))
    for rib, reach in ((6, 150), (7, 150), (8, 145), (9, 140), (10, 125), (11, 85), (12, 50)):
        start = (12 - rib) * 31.0 + 58.0
        for side in (-1.0, 1.0):
            path = []
            for angle in range(14, reach + 1, 10):
                a = math.radians(angle)
                depth = physique.front + 2 if angle > 90 else physique.back - 12
                radius = (
                    (abs(math.sin(a)) / width) ** 2.4 + (abs(math.cos(a)) / (depth - 0.4 * physique.muscle)) ** 2.4
                ) ** (-1 / 2.4)
                fall = drop * math.sin(math.radians(min(angle, 120) * 0.75))
                path.append((side * radius * math.sin(a), _CENTRE_Y - radius * math.cos(a), start - fall))
            nodes = sketch.nodes(path, 0.8)
            split = 11 if rib <= 10 else len(nodes)
            bone.append((nodes[:split], [5.0] * min(split, len(nodes))))
            if len(nodes) > split:
                cartilage.append((nodes[split - 1 :], [4.5] * (len(nodes) - split + 1)))
    level = tube(bone, 2.5)
    made = [
        Structure("bone", level.trimmed(), 0.6 * hu["cortical bone"], grain=40),
        Structure("marrow", Lattice(level.values - 1.7, level.region).trimmed(), 0.8 * hu["marrow"], grain=40),
    ]
    if cartilage:
        made.append(Structure("muscle", tube(cartilage, 3.0).trimmed(), hu["cartilage"], patch=15))
    return made
