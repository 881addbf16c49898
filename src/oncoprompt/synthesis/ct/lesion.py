"""Lesions of liver, kidney and pancreas: families by organ and phase, plans drawn from them, and what they paint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.ct.contrast import Enhancement
from oncoprompt.synthesis.ct.lattice import Lattice, Region, Triple, level_on
from oncoprompt.synthesis.ct.organs import Pancreas
from oncoprompt.synthesis.ct.shapes import ellipsoid, tube, with_volume
from oncoprompt.synthesis.ct.sketch import Sketch, Structure

Row = tuple[float, float, float, float]
NONE: Row = (0, 0, 0, 0)


@dataclass(frozen=True)
class Family:
    """How lesions of a kind look; rows are HU by phase (native, arterial, portal, excretory), chosen as in contrast.py.

    ``offset`` is added to the organ's parenchyma; ``absolute`` replaces it. ``rim`` and ``core`` are added to the
    lesion's own HU. ``outward`` is how far centres lie outside the organ's surface, in radii (0: inside only).
    """

    name: str
    kind: str
    share: float
    diameter_mm: tuple[float, float]
    count: tuple[int, int]
    offset: Row | None = None
    absolute: Row | None = None
    rim: Row = NONE
    rim_mm: float = 0.0
    core: Row = NONE
    core_chance: float = 0.0
    irregularity: tuple[float, float] = (0.05, 0.2)
    outward: tuple[float, float] = (0.0, 0.0)
    patch: float = 3.0
    nodular: bool = False


FAMILIES = MappingProxyType(
    {
        "liver": (
            Family("metastasis", "tumour", 0.5, (8, 75), (1, 8), offset=(-14, -16, -45, -22), rim=(0, 22, 16, 4),
                   rim_mm=3.0, core=(-6, -8, -22, -18), core_chance=0.5, irregularity=(0.05, 0.25), patch=6),
            Family("hepatocellular carcinoma", "tumour", 0.33, (10, 100), (1, 3), offset=(-9, 42, -20, -22),
                   rim=(0, -8, 18, 18), rim_mm=1.5, core=(-8, -50, -28, -15), core_chance=0.35, patch=12),
            Family("haemangioma", "tumour", 0.17, (10, 70), (1, 3), offset=(-15, -28, -30, 14),
                   core=(0, 0, 0, -10), core_chance=0.2, patch=3, nodular=True),
        ),
        "kidney": (
            Family("clear-cell carcinoma", "tumour", 0.62, (14, 95), (1, 1), absolute=(36, 140, 115, 85),
                   core=(-12, -95, -70, -45), core_chance=0.7, irregularity=(0.06, 0.22), outward=(-0.5, 0.6),
                   rim=(0, 12, 10, 5), rim_mm=2.0, patch=26),
            Family("papillary carcinoma", "tumour", 0.28, (12, 65), (1, 2), absolute=(37, 54, 66, 60),
                   core=(-6, -14, -18, -12), core_chance=0.35, outward=(-0.5, 0.6), patch=5),
            Family("oncocytoma", "tumour", 0.10, (15, 60), (1, 1), absolute=(36, 125, 130, 95),
                   core=(-5, -70, -50, 10), core_chance=0.5, outward=(-0.3, 0.5), patch=6),
        ),
        "pancreas": (
            Family("adenocarcinoma", "tumour", 0.62, (14, 55), (1, 1), offset=(-3, -42, -30, -8),
                   core=(-6, -12, -12, -6), core_chance=0.3, irregularity=(0.1, 0.3), patch=6),
            Family("neuroendocrine tumour", "tumour", 0.18, (8, 45), (1, 1), offset=(2, 65, 34, 12),
                   core=(-8, -70, -40, -15), core_chance=0.25, patch=8),
            Family("cystic tumour", "tumour", 0.20, (9, 55), (1, 1), absolute=(12, 13, 14, 14),
                   rim=(22, 45, 45, 30), rim_mm=1.2, patch=3),
        ),
    }
)  # fmt: skip
"""Tumours by organ. Haemangiomas, oncocytomas and cystic tumours of the pancreas count as tumours here."""

CYSTS = MappingProxyType(
    {
        "liver": Family("cyst", "cyst", 1.0, (5, 60), (1, 4), absolute=(6, 7, 8, 8), irregularity=(0.0, 0.08), patch=1),
        "kidney": Family("cyst", "cyst", 0.88, (6, 70), (1, 4), absolute=(7, 8, 9, 10), outward=(-0.4, 0.8),
                         irregularity=(0.0, 0.06), patch=1),
        "dense kidney": Family("dense cyst", "cyst", 0.12, (8, 35), (1, 1), absolute=(66, 68, 69, 69),
                               outward=(-0.2, 0.8), irregularity=(0.0, 0.06), patch=2),
    }
)  # fmt: skip
"""Cysts, which are no tumour."""

CYST_CHANCE = MappingProxyType({"liver": 0.25, "kidney": 0.45})


@dataclass(frozen=True)
class LesionPlan:
    """One lesion as it was drawn: HU of its tissue, and how far that lies from its organ's parenchyma."""

    organ: str
    family: str
    kind: str
    diameter_mm: float
    centre_mm: Triple
    axes: Triple
    irregularity: float
    hu: float
    contrast_hu: float
    rim_hu: float
    rim_mm: float
    core_hu: float
    core_share: float
    patch: float
    nodular: float


@dataclass(frozen=True)
class Lesion:
    """A plan with its level in mm, positive inside, and its structures in painting order."""

    plan: LesionPlan
    level: Lattice
    structures: tuple[Structure, ...]


@dataclass(frozen=True)
class Host:
    """An organ that lesions grow in: HU of its parenchyma, its levels (two kidneys), and what a lesion keeps clear of.

    A lesion stays where every level of ``inside`` exceeds its inset and every level of ``outside`` is below -1 mm.
    """

    name: str
    hu: float
    levels: tuple[Lattice, ...]
    inside: tuple[tuple[Lattice, float], ...]
    outside: tuple[Lattice, ...]
    pancreas: Pancreas | None = None


def random_lesions(
    sketch: Sketch, host: Host, enhancement: Enhancement, blood_hu: float, tumours: bool, family_name: str | None = None
) -> list[Lesion]:
    """Draw the cysts, and where asked for the tumours (of one family), of an organ."""
    rng = sketch.rng
    wanted: list[tuple[Family, float]] = []
    if rng.random() < CYST_CHANCE.get(host.name, 0.0):
        dense = host.name == "kidney" and rng.random() < CYSTS["dense kidney"].share
        wanted += _sizes(rng, CYSTS["dense kidney" if dense else host.name])
    if tumours:
        families = [f for f in FAMILIES[host.name] if family_name in (None, f.name)]
        shares = np.array([family.share for family in families])
        wanted += _sizes(rng, families[int(rng.choice(len(families), p=shares / shares.sum()))])
    lesions: list[Lesion] = []
    for family, diameter in wanted:
        centre = _site(sketch, host, family, diameter, [lesion.plan for lesion in lesions])
        plan = _plan(rng, host, family, diameter, centre, enhancement, blood_hu)
        lesions.append(_draw(sketch, plan, host))
    return lesions


def _sizes(rng: np.random.Generator, family: Family) -> list[tuple[Family, float]]:
    """Diameters, log-uniform; the further ones of several are no larger than the first."""
    low, high = family.diameter_mm
    count = min(family.count[1], family.count[0] + int(rng.geometric(0.45)) - 1)
    first = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    rest = [float(np.exp(rng.uniform(np.log(low), np.log(max(first, low * 1.2))))) for _ in range(count - 1)]
    return [(family, diameter) for diameter in (first, *rest)]


def _site(sketch: Sketch, host: Host, family: Family, diameter: float, others: Sequence[LesionPlan]) -> Triple:
    """A centre away from other lesions where the family likes to grow; the last try is kept if all collide."""
    rng = sketch.rng
    centre: Triple = (0.0, 0.0, 0.0)
    for _ in range(12):
        if host.pancreas is not None:
            centre = _along_pancreas(rng, host.pancreas)
        else:
            lattice = host.levels[int(rng.integers(len(host.levels)))]
            centre = _in_organ(rng, lattice, family, diameter)
        if all(math.dist(centre, o.centre_mm) > 0.55 * (diameter + o.diameter_mm) for o in others):
            break
    return centre


def _in_organ(rng: np.random.Generator, lattice: Lattice, family: Family, diameter: float) -> Triple:
    exophytic = family.outward != (0.0, 0.0)
    depth = 0.0 if exophytic else min(0.35 * diameter, 10.0)
    values = lattice.values
    allowed = ((values > depth) & (values < 4.0) if exophytic else values > depth).flatten().nonzero().flatten()
    if not len(allowed):
        allowed = values.flatten().argmax().reshape(1)
    index = int(allowed[int(rng.integers(len(allowed)))])
    k, j, i = np.unravel_index(index, tuple(values.shape))
    region = lattice.region
    point = np.array([float(n) * s + o for n, s, o in zip((i, j, k), region.spacing_mm, region.origin_mm, strict=True)])
    if exophytic:
        inside = (values > 0).nonzero().float().mean(0).cpu().numpy()[::-1]
        middle = inside * np.array(region.spacing_mm) + np.array(region.origin_mm)
        away = point - middle
        # Outward from the kidney's long axis rather than from its middle, so poles do not collect all lesions.
        away[2] *= 0.5
        point = point + away / max(float(np.linalg.norm(away)), 1e-3) * rng.uniform(*family.outward) * 0.5 * diameter
    return float(point[0]), float(point[1]), float(point[2])


def _along_pancreas(rng: np.random.Generator, pancreas: Pancreas) -> Triple:
    """Two of three in the head, the others in body or tail."""
    last = len(pancreas.radii) - 1
    position = int(rng.integers(2, int(0.4 * last)) if rng.random() < 0.65 else rng.integers(int(0.4 * last), last - 1))
    aside = rng.normal(0, 0.25, 3) * pancreas.radii[position]
    x, y, z = (float(v) + float(d) for v, d in zip(pancreas.path[position], aside, strict=True))
    return x, y, z


def _plan(
    rng: np.random.Generator,
    host: Host,
    family: Family,
    diameter: float,
    centre: Triple,
    enhancement: Enhancement,
    blood_hu: float,
) -> LesionPlan:
    strength = float(np.exp(rng.normal(0, 0.22)))
    if family.offset is not None:
        hu = host.hu + strength * enhancement.value(family.offset)
    else:
        row = family.absolute or NONE
        hu = enhancement.value(row) + float(rng.normal(0, 3)) + (strength - 1) * 0.5 * (enhancement.value(row) - row[0])
    has_core = rng.random() < family.core_chance and diameter > 15
    axes = np.exp(rng.normal(0, 0.12, 3))
    axes /= axes.prod() ** (1 / 3)
    return LesionPlan(
        organ=host.name,
        family=family.name,
        kind=family.kind,
        diameter_mm=diameter,
        centre_mm=centre,
        axes=(float(axes[0]), float(axes[1]), float(axes[2])),
        irregularity=float(rng.uniform(*family.irregularity)),
        hu=hu,
        contrast_hu=hu - host.hu,
        rim_hu=strength * enhancement.value(family.rim),
        rim_mm=family.rim_mm * float(rng.uniform(0.6, 1.4)) if rng.random() < 0.6 else 0.0,
        core_hu=strength * enhancement.value(family.core),
        core_share=float(rng.uniform(0.3, 0.7)) if has_core else 0.0,
        patch=family.patch * float(rng.uniform(0.6, 1.4)),
        nodular=max(blood_hu - hu, 0.0) if family.nodular else 0.0,
    )


def _draw(sketch: Sketch, plan: LesionPlan, host: Host) -> Lesion:
    radius = 0.5 * plan.diameter_mm
    spacing = min(max(radius / 6, 0.8), 2.5)
    reach = 1.45 * radius + 5.0
    x, y, z = plan.centre_mm
    region = Region.spanning((x - reach, y - reach, z - reach), (x + reach, y + reach, z + reach), spacing)
    points = region.points(sketch.device)
    a, b, c = (radius * axis for axis in plan.axes)
    shape = ellipsoid(points, plan.centre_mm, (a, b, c))
    shape = shape + plan.irregularity * radius * (
        sketch.noise(region, max(0.9 * radius, 2 * spacing))
        + 0.4 * sketch.noise(region, max(0.4 * radius, 2 * spacing))
    )
    # Within 1.35 radii, however little room the neighbours leave.
    allowed = ellipsoid(points, plan.centre_mm, (1.35 * a, 1.35 * b, 1.35 * c))
    for limit, inset in host.inside:
        allowed = torch.minimum(allowed, level_on(limit, region) - inset)
    for neighbour in host.outside:
        allowed = torch.minimum(allowed, -level_on(neighbour, region) - 1.0)
    level = with_volume(shape, allowed, math.pi / 6 * plan.diameter_mm**3 / 1000, spacing)
    made = [_piece(plan, region, level, plan.hu + (plan.rim_hu if plan.rim_mm > 0 else 0.0))]
    if plan.rim_mm > 0:
        made.append(_piece(plan, region, level - plan.rim_mm, plan.hu))
    if plan.core_share > 0:
        core = (
            level
            - (1 - plan.core_share) * radius
            + 0.3 * plan.core_share * radius * sketch.noise(region, max(0.6 * radius, 2 * spacing))
        )
        made.append(_piece(plan, region, torch.minimum(core, level - 2.0), plan.hu + plan.core_hu, softness_mm=2.5))
    if plan.nodular > 0:
        beads = torch.minimum(level, 0.45 * radius - level) - 0.35 * radius
        beads = beads + 0.35 * radius * sketch.noise(region, max(0.4 * radius, 2 * spacing)).clamp_min(0.0)
        made.append(_piece(plan, region, torch.minimum(beads, level), plan.hu + plan.nodular, softness_mm=2.0))
    return Lesion(plan, Lattice(level, region), tuple(made))


def _piece(plan: LesionPlan, region: Region, level: Tensor, hu: float, softness_mm: float = 1.5) -> Structure:
    return Structure(
        plan.kind,
        Lattice(level, region).trimmed(),
        hu,
        grain=0.4 * plan.patch,
        patch=plan.patch,
        softness_mm=softness_mm,
    )


def pancreatic_duct(sketch: Sketch, pancreas: Pancreas, lesions: Sequence[Lesion], fluid_hu: float) -> Structure:
    """The duct: under 3 mm wide, and widened between an adenocarcinoma and the tail."""
    count = len(pancreas.path)
    radii = [float(sketch.rng.uniform(0.7, 1.2))] * count
    blocking = [lesion.plan for lesion in lesions if lesion.plan.family == "adenocarcinoma"]
    if blocking and sketch.rng.random() < 0.7:
        at = torch.tensor(blocking[0].centre_mm, device=sketch.device)
        start = int((pancreas.path - at).norm(dim=1).argmin())
        wide = float(sketch.rng.uniform(1.8, 4.0))
        radii = [wide if index > start else r for index, r in enumerate(radii)]
    end = max(4, count - 4)
    level = tube([(pancreas.path[2:end], radii[2:end])], 1.5)
    return Structure("duct", level.trimmed(4.0), fluid_hu)
