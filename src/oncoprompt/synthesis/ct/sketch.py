"""Where organs are drawn: a body's measures, its smooth deformation, and structures in the order they are painted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.ct.lattice import Lattice, Region, Triple, sampled
from oncoprompt.synthesis.ct.shapes import tube
from oncoprompt.synthesis.fields import random_field

LOW_MM: Triple = (-208.0, -152.0, -144.0)
HIGH_MM: Triple = (208.0, 152.0, 144.0)
"""The abdominal box (R, A, S): the origin lies on the disc between L1 and L2, 30 mm ahead of the vertebral centres."""

_WARP_MM = 16.0
_REACH_MM = 14.0

REGIONS = (
    "air", "table", "skin", "fat", "muscle", "lung", "heart", "bone", "marrow", "canal", "disc", "bowel", "gas",
    "bowel content", "liver", "gallbladder", "spleen", "kidney", "sinus", "adrenal", "pancreas", "duct", "aorta",
    "cava", "portal vein", "artery", "vein", "tumour", "cyst", "duodenum",
)  # fmt: skip
"""Names of what a voxel can be; a label map of regions holds indices into this tuple."""


@dataclass(frozen=True)
class Physique:
    """Measures of a person in mm: wall of muscle, fat under the skin, sizes; volumes in ml."""

    half_width: float
    front: float
    back: float
    wall_fat: tuple[float, float, float]
    muscle: float
    scale: Triple
    warp: float
    warp_knot: float
    dome: tuple[float, float]
    liver_ml: float
    spleen_ml: float
    kidney_ml: tuple[float, float]
    pancreas_ml: float
    fatty_pancreas: float
    organ_shift: dict[str, Triple]

    @staticmethod
    def random(rng: np.random.Generator) -> "Physique":
        """Adults; fat under the skin is thin at the sides of lean people and up to 4 cm in front."""
        fat = float(np.exp(rng.uniform(np.log(5), np.log(32))))
        kidney = float(np.clip(rng.normal(155, 28), 105, 235))
        sigma = {"liver": 4, "spleen": 6, "kidney right": 7, "kidney left": 7, "pancreas": 5, "stomach": 8}
        return Physique(
            half_width=float(rng.normal(143, 8)),
            front=float(rng.normal(90, 9)),
            back=float(rng.normal(101, 4)),
            wall_fat=(fat * float(rng.uniform(0.6, 1.1)), fat, 8 + fat * float(rng.uniform(0.5, 1.0))),
            muscle=float(rng.uniform(8, 15)),
            scale=(float(rng.normal(1, 0.035)), float(rng.normal(1, 0.035)), float(rng.normal(1, 0.05))),
            warp=float(rng.uniform(2.0, 5.0)),
            warp_knot=float(rng.uniform(55, 80)),
            dome=(float(rng.normal(98, 7)), float(rng.normal(86, 7))),
            liver_ml=float(np.clip(rng.normal(1500, 210), 1080, 2050)),
            spleen_ml=float(np.exp(np.clip(rng.normal(np.log(200), 0.3), np.log(90), np.log(420)))),
            kidney_ml=(kidney * float(rng.uniform(0.95, 1.05)), kidney * float(rng.uniform(0.95, 1.06))),
            pancreas_ml=float(np.clip(rng.normal(78, 18), 46, 128)),
            fatty_pancreas=float(rng.uniform(0, 1)),
            organ_shift={
                name: (float(rng.normal(0, s * 0.6)), float(rng.normal(0, s * 0.6)), float(rng.normal(0, s)))
                for name, s in sigma.items()
            },
        )


@dataclass(frozen=True)
class Structure:
    """One thing to paint: what it is, where its level is positive, its HU and the texture of them.

    ``grain``, ``patch`` and ``cloud`` are standard deviations in HU of texture with knots of 3, 9 and 27 mm.
    """

    region: str
    level: Lattice
    hu: float
    grain: float = 0.0
    patch: float = 0.0
    cloud: float = 0.0
    softness_mm: float = 1.0


@dataclass(frozen=True)
class Sketch:
    """Deformed coordinates of one person and the generators that shapes are drawn with."""

    physique: Physique
    warps: tuple[Lattice, Lattice, Lattice]
    rng: np.random.Generator
    generator: torch.Generator

    @staticmethod
    def random(physique: Physique, rng: np.random.Generator, generator: torch.Generator) -> "Sketch":
        """Draw the deformation: a smooth displacement much smaller than its knots are apart, so it never folds."""
        region = Region.spanning(LOW_MM, HIGH_MM, _WARP_MM)
        extent = [n * _WARP_MM for n in region.shape]
        field = random_field(physique.warp_knot, extent, region.shape, generator, 3) * physique.warp
        field = field.clamp(-_REACH_MM, _REACH_MM)
        x, y, z = (Lattice(component, region) for component in field)
        return Sketch(physique, (x, y, z), rng, generator)

    @property
    def device(self) -> torch.device:
        """Where the fields live."""
        return self.generator.device

    def region(self, low_mm: Triple, high_mm: Triple, spacing_mm: float) -> Region:
        """A lattice over a box of model space with room for the deformation, inside the abdominal box."""
        low, high = [], []
        for axis in range(3):
            scale = self.physique.scale[axis]
            low.append(max(low_mm[axis] * scale - _REACH_MM, LOW_MM[axis]))
            high.append(min(high_mm[axis] * scale + _REACH_MM, HIGH_MM[axis]))
        return Region.spanning((low[0], low[1], low[2]), (high[0], high[1], high[2]), spacing_mm)

    def model_points(self, region: Region) -> Tensor:
        """Points of model space ``[3, K, J, I]`` that lie at the nodes of a region: p / scale + u(p)."""
        points = region.points(self.device)
        for axis, warp in enumerate(self.warps):
            points[axis] /= self.physique.scale[axis]
            found = warp.on(region)
            if found is not None:
                points[axis][found[0]] += found[1]
        return points

    def body_points(self, model: Tensor) -> Tensor:
        """Where points ``[M, 3]`` of model space lie in the body, by fixed-point iteration of `model_points`."""
        scale = torch.tensor(self.physique.scale, device=model.device)
        points = model * scale
        for _ in range(3):
            points = (model - sampled(self.warps, points).T) * scale
        return points

    def noise(self, region: Region, knot_mm: float) -> Tensor:
        """Smooth noise ``[K, J, I]`` on a region, unit variance at its knots."""
        extent = [n * s for n, s in zip(region.shape, region.spacing_mm, strict=True)]
        return random_field(knot_mm, extent, region.shape, self.generator)[0]

    def nodes(self, points: Sequence[Sequence[float]], jitter_mm: float = 0.0) -> Tensor:
        """Nodes ``[M, 3]`` of a path in the body from model coordinates, each moved by a normal deviate."""
        array = np.asarray(points, np.float32) + self.rng.normal(0, 1, (len(points), 3)).astype(np.float32) * jitter_mm
        return self.body_points(torch.from_numpy(array.astype(np.float32)).to(self.device))

    def tube(
        self, paths: Sequence[tuple[Tensor, Sequence[float]]], spacing_mm: float = 2.0, flat: float = 1.0
    ) -> Lattice:
        """`shapes.tube` around paths that are in body coordinates already."""
        return tube(paths, spacing_mm, flat=flat)


def within(structure: Structure, limit: Lattice, inset_mm: float = 0.0) -> Structure:
    """The structure clipped to where another level exceeds ``inset_mm``; outside that lattice it is cut away."""
    region = structure.level.region
    values = torch.full_like(structure.level.values, -30.0)
    found = limit.on(region)
    if found is not None:
        values[found[0]] = torch.minimum(structure.level.values[found[0]], found[1] - inset_mm)
    return replace(structure, level=Lattice(values, region))
