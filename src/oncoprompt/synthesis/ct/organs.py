"""Liver with gallbladder, spleen, kidneys with adrenals, and pancreas with its duct."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oncoprompt.synthesis.ct.body import Body
from oncoprompt.synthesis.ct.lattice import Lattice, Triple, level_on
from oncoprompt.synthesis.ct.shapes import ellipsoid, smooth_path, spread, tube, union, with_volume
from oncoprompt.synthesis.ct.sketch import Physique, Sketch, Structure

KIDNEY_CENTRES: dict[str, Triple] = {"kidney right": (66.0, -40.0, -14.0), "kidney left": (-68.0, -42.0, 4.0)}
_KIDNEY_RADII = (25.0, 24.0, 54.0)

PANCREAS_PATH = ((24, 8, -24), (31, 19, -10), (22, 26, 2), (8, 30, 8), (-14, 27, 14), (-40, 14, 22), (-64, -8, 32),
                 (-82, -22, 38))  # fmt: skip
_PANCREAS_RADII = (8.0, 14.5, 12.5, 9.0, 9.5, 10.0, 9.5, 6.0)


@dataclass(frozen=True)
class Organ:
    """An organ's name, whole level in mm, and the structures that paint it in order."""

    name: str
    level: Lattice
    structures: tuple[Structure, ...]


@dataclass(frozen=True)
class Pancreas(Organ):
    """A pancreas with its middle line ``[M, 3]`` in the body from head to tail and its radii there."""

    path: Tensor
    radii: tuple[float, ...]


def kidney_frame(points: Tensor, name: str, physique: Physique) -> Tensor:
    """Coordinates ``[3, ...]`` of a kidney: away from the spine, forward, upward along its tilted axis; mm."""
    centre, shift = KIDNEY_CENTRES[name], physique.organ_shift[name]
    side = math.copysign(1.0, centre[0])
    x = (points[0] - centre[0] - shift[0]) * side
    y, z = points[1] - centre[1] - shift[1], points[2] - centre[2] - shift[2]
    # The upper pole leans to the spine and backwards; the hilum looks forward.
    x, z = 0.97 * x + 0.24 * z, 0.97 * z - 0.24 * x
    y, z = 0.98 * y + 0.2 * z, 0.98 * z - 0.2 * y
    return torch.stack([0.87 * x - 0.5 * y, 0.5 * x + 0.87 * y, z])


def kidney_outline(points: Tensor, name: str, physique: Physique) -> Tensor:
    """Level of a kidney without its noise, in model space; others keep clear of it."""
    size = (physique.kidney_ml[0 if name == "kidney right" else 1] / 150.0) ** (1 / 3)
    a, b, c = (r * size for r in _KIDNEY_RADII)
    return ellipsoid(kidney_frame(points, name, physique), (0, 0, 0), (a, b, c))


def random_kidney(sketch: Sketch, body: Body, name: str, hu: dict[str, float]) -> Organ:
    """Cortex, pyramids of medulla, fat of the sinus and the renal pelvis."""
    physique, rng = sketch.physique, sketch.rng
    centre, shift = KIDNEY_CENTRES[name], physique.organ_shift[name]
    target = physique.kidney_ml[0 if name == "kidney right" else 1]
    size = (target / 150.0) ** (1 / 3)
    low, high = (
        tuple(c + d + sign * r for c, d, r in zip(centre, shift, (46, 42, 66), strict=True)) for sign in (-1, 1)
    )
    region = sketch.region((low[0], low[1], low[2]), (high[0], high[1], high[2]), 2.5)
    points = sketch.model_points(region)
    p = kidney_frame(points, name, physique) / size
    bumps = sketch.noise(region, 24.0)
    whole = ellipsoid(p, (0, 0, 0), _KIDNEY_RADII) * size + 1.1 * bumps + 0.5 * sketch.noise(region, 10.0)
    fatty = float(rng.uniform(0.75, 1.15))
    sinus = union(
        ellipsoid(p, (-15, 2, 0), (16 * fatty, 8 * fatty, 25 * fatty)),
        ellipsoid(p, (-30, 4, 0), (14, 9, 17)),
        6.0,
    )
    sinus = sinus * size + 1.2 * sketch.noise(region, 7.0)
    cavity = level_on(body.cavity, region) - 4.0
    parenchyma = with_volume(whole, torch.minimum(-sinus, cavity), target, 2.5)
    medulla = torch.full_like(whole, -30.0)
    for index in range(int(rng.integers(9, 14))):
        angle, lift = index * 2.4 + float(rng.normal(0, 0.15)), float(rng.uniform(-0.9, 0.9))
        ring = math.sqrt(1 - lift**2)
        at = (15.0 * math.cos(angle) * ring, 14.5 * math.sin(angle) * ring, 38.0 * lift)
        radius = float(rng.uniform(6.0, 8.5))
        medulla = torch.maximum(medulla, ellipsoid(p, at, (radius, radius, radius * 1.1)))
    cortex_mm = float(rng.uniform(4.5, 7.0))
    medulla = torch.minimum(medulla * size, parenchyma - 0.3)
    medulla = torch.minimum(medulla, torch.minimum(whole, cavity) - cortex_mm)
    wide = float(rng.uniform(0.6, 1.1))
    pelvis = ellipsoid(p, (-19, 3, -2), (11 * wide, 4.5 * wide, 9 * wide))
    for lift in (-16.0, 0.0, 16.0):
        pelvis = union(pelvis, ellipsoid(p, (-10, 2, lift), (7.0, 2.6 * wide, 3.5 * wide)), 4.0)
    pelvis = torch.minimum(pelvis * size, sinus)
    fat = torch.minimum(sinus, torch.minimum(whole + 2.0, cavity))

    def paint(kind: str, level: Tensor, tissue: str, **texture: float) -> Structure:
        return Structure(kind, Lattice(level, region).trimmed(), hu[tissue], **texture)

    structures = (
        paint("sinus", fat, "fat", grain=12),
        paint("kidney", parenchyma, "renal cortex", grain=4, patch=3),
        paint("kidney", medulla, "renal medulla", grain=4, softness_mm=2.0),
        paint("sinus", pelvis, "renal pelvis"),
    )
    return Organ(name, Lattice(parenchyma, region), structures)


def random_liver(sketch: Sketch, body: Body, hu: dict[str, float]) -> Organ:
    """Both lobes under the diaphragm, with the gallbladder and the fissure of the round ligament."""
    physique, rng = sketch.physique, sketch.rng
    dx, dy, dz = physique.organ_shift["liver"]
    region = sketch.region((-110, -100, -90), (160, 110, 125), 4.0)
    points = sketch.model_points(region)
    p = points - torch.tensor([dx, dy, dz], device=sketch.device).view(3, 1, 1, 1)
    right = ellipsoid(p, (78, 0, 32), (74, 86, 82))
    left = ellipsoid(p, (2, 46, 62), (float(rng.uniform(68, 92)), 36, 40))
    caudate = ellipsoid(p, (18, -4, 50), (16, 20, 30))
    shape = union(union(right, left, 24.0), caudate, 8.0)
    # The visceral face: a plane that rises to the left keeps the lower border oblique.
    px, py, pz = p
    reach = float(rng.uniform(80, 125))
    rise = ((px + 12) / 105).clamp(0.0, 1.0)
    border = 32 - reach * rise * rise * (3 - 2 * rise) - 0.15 * (py - 20)
    shape = torch.minimum(shape, 0.75 * (pz - border))
    shape = torch.minimum(shape, -ellipsoid(p, (22, 4, -12), (36, 44, 38)))
    shape = shape + 2.0 * sketch.noise(region, 36.0) + 0.7 * sketch.noise(region, 14.0)
    allowed = torch.minimum(level_on(body.cavity, region) - 1.5, -level_on(body.chest, region) - 2.5)
    for name in KIDNEY_CENTRES:
        allowed = torch.minimum(allowed, -kidney_outline(points, name, physique) - 4.0)
    fissure = 2.0 - ((px + 0.25 * (py - 50)) - 6).abs()
    fissure = torch.minimum(fissure, torch.minimum(62 - 0.4 * py - pz, py - 22)).clamp_max(2.0)
    allowed = torch.minimum(allowed, -fissure)
    stomach_bed = ellipsoid(p, (-52, 24, 46), (30, 34, 46))
    allowed = torch.minimum(allowed, -stomach_bed)
    bladder_at = (float(rng.normal(48, 5)), float(rng.normal(46, 4)), float(rng.normal(-2, 6)))
    bladder_size = float(rng.uniform(0.7, 1.25))
    bladder = ellipsoid(p, bladder_at, (14 * bladder_size, 16 * bladder_size, 26 * bladder_size))
    allowed = torch.minimum(allowed, -bladder - 1.5)
    level = with_volume(shape, allowed, physique.liver_ml, 4.0)
    texture = float(rng.uniform(2, 5))
    lattice = Lattice(level, region)
    filled = Lattice(torch.minimum(bladder, level_on(body.cavity, region) - 2), region)
    structures = (
        Structure("liver", lattice.trimmed(), hu["liver"], grain=texture, patch=2.0, cloud=2.5),
        Structure("gallbladder", filled.trimmed(), hu["bowel wall"]),
        Structure("gallbladder", Lattice(filled.values - 1.8, region).trimmed(), hu["bile"]),
    )
    return Organ("liver", lattice, structures)


def random_spleen(sketch: Sketch, body: Body, hu: dict[str, float], phase: str) -> Organ:
    """A cap against the left wall; in the arterial phase the red pulp is striped."""
    physique = sketch.physique
    dx, dy, dz = physique.organ_shift["spleen"]
    region = sketch.region((-165, -105, -40), (-45, 45, 130), 3.0)
    points = sketch.model_points(region)
    p = points - torch.tensor([dx, dy, dz], device=sketch.device).view(3, 1, 1, 1)
    shape = ellipsoid(p, (-104, -36, 52), (32, 50, 52)) + 1.6 * sketch.noise(region, 24.0)
    hilum = ellipsoid(p, (-66, -6, 56), (22, 28, 40))
    allowed = torch.minimum(level_on(body.cavity, region) - 1.5, -level_on(body.chest, region) - 2.5)
    allowed = torch.minimum(allowed, -kidney_outline(points, "kidney left", physique) - 4.0)
    allowed = torch.minimum(allowed, -hilum)
    lattice = Lattice(with_volume(shape, allowed, physique.spleen_ml, 3.0), region)
    stripes = 28.0 if phase == "arterial" else 2.0
    return Organ("spleen", lattice, (Structure("spleen", lattice.trimmed(), hu["spleen"], grain=4, patch=stripes),))


def random_pancreas(sketch: Sketch, body: Body, hu: dict[str, float]) -> Pancreas:
    """A lobulated, tapering tube from the uncinate process and head to the tail at the spleen."""
    physique, rng = sketch.physique, sketch.rng
    shift = _held(physique.organ_shift["pancreas"])
    model = [(x + shift[0], y + shift[1], z + shift[2]) for x, y, z in PANCREAS_PATH]
    path = smooth_path(sketch.nodes(model, 2.5), 4)
    radii = spread([r * float(rng.uniform(0.88, 1.12)) for r in _PANCREAS_RADII], 4)
    rough = tube([(path, radii)], 2.0, margin_mm=12.0)
    region = rough.region
    points = sketch.model_points(region)
    lobes = 2.0 * sketch.noise(region, 7.0) + 0.8 * sketch.noise(region, 4.0)
    allowed = level_on(body.cavity, region) - 3.0
    for name in KIDNEY_CENTRES:
        allowed = torch.minimum(allowed, -kidney_outline(points, name, physique) - 3.0)
    level = with_volume(
        rough.values + (0.6 + 0.5 * physique.fatty_pancreas) * lobes, allowed, physique.pancreas_ml, 2.0
    )
    lattice = Lattice(level, region)
    fatty = physique.fatty_pancreas
    value = hu["pancreas"] - 32 * fatty
    structure = Structure(
        "pancreas", lattice.trimmed(), value, grain=6 + 14 * fatty, patch=4 + 8 * fatty, softness_mm=2.0
    )
    return Pancreas("pancreas", lattice, (structure,), path, tuple(radii))


def _held(shift: Triple) -> Triple:
    """A shift halved along S, where the pancreas is held by its vessels."""
    return shift[0], shift[1], 0.5 * shift[2]


def random_adrenals(sketch: Sketch, hu: dict[str, float]) -> list[Structure]:
    """Thin limbs above each kidney."""
    paths = []
    for side, z in ((1.0, 42.0), (-1.0, 48.0)):
        start = (side * 36, -28, z + 8)
        for end in ((side * 40, -46, z - 8), (side * 54, -36, z - 14)):
            paths.append((sketch.nodes([start, end], 2), [3.0, 2.0]))
    return [Structure("adrenal", tube(paths, 2.0).trimmed(), hu["adrenal"])]
