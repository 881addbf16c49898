"""A synthetic person's abdomen with lesions in one organ, drawn from a seed, that CT can image on any grid."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.synthesis.ct.body import random_body
from oncoprompt.synthesis.ct.bowel import Filling, random_bowel
from oncoprompt.synthesis.ct.contrast import PHASES, Enhancement
from oncoprompt.synthesis.ct.lattice import Lattice, Region, Triple, level_on
from oncoprompt.synthesis.ct.lesion import FAMILIES, Host, Lesion, pancreatic_duct, random_lesions
from oncoprompt.synthesis.ct.organs import (
    Organ,
    random_adrenals,
    random_kidney,
    random_liver,
    random_pancreas,
    random_spleen,
)
from oncoprompt.synthesis.ct.scanner import CtScanner
from oncoprompt.synthesis.ct.sketch import HIGH_MM, LOW_MM, REGIONS, Physique, Sketch, Structure
from oncoprompt.synthesis.ct.vessels import liver_vessels, random_vessels

ORGANS = ("liver", "kidney", "pancreas")

LABELS = {
    "liver": {"liver": 1, "tumour": 2},
    "kidney": {"kidney": 1, "tumour": 2, "cyst": 3},
    "pancreas": {"pancreas": 1, "tumour": 2},
}
"""Label values by organ, as in LiTS, KiTS and MSD pancreas. A cyst of the liver is liver."""

_TEXTURE_KNOTS_MM = (3.0, 9.0, 27.0)


@dataclass(frozen=True)
class CtPicture:
    """HU as measured and free of noise, labels (LABELS of the organ), and regions (indices into REGIONS)."""

    hu: Tensor
    clean: Tensor
    labels: Tensor
    regions: Tensor

    @property
    def organ(self) -> Tensor:
        """The anatomy prompt: organ and everything in it, boolean."""
        return self.labels > 0

    @property
    def tumour(self) -> Tensor:
        """Voxels of tumours, boolean."""
        return self.labels == 2


@dataclass(frozen=True)
class AbdomenSubject:
    """Structures in painting order with the label of each, lesions, and how the person was drawn."""

    seed: int
    organ: str
    physique: Physique
    enhancement: Enhancement
    filling: Filling
    scanner: CtScanner
    structures: tuple[tuple[Structure, int], ...]
    textures: tuple[Lattice, Lattice, Lattice]
    organs: dict[str, Organ]
    lesions: tuple[Lesion, ...]

    @staticmethod
    def random(
        seed: int,
        organ: str = "liver",
        device: str | torch.device = "cpu",
        phase: str | None = None,
        family: str | None = None,
        also: Sequence[str] = (),
    ) -> "AbdomenSubject":
        """Draw a person with tumours in an organ; the same arguments and kind of device give the same person.

        ``phase`` is one of contrast.PHASES and ``family`` names one of lesion.FAMILIES of the organ; None draws one.
        The organs of ``also`` have tumours as well; labels are those of ``organ`` alone.
        Raises InputError for another organ, phase or family.
        """
        if organ not in ORGANS:
            raise InputError(f"There is no phantom of organ '{organ}'. Known: {', '.join(ORGANS)}.")
        if phase is not None and phase not in PHASES:
            raise InputError(f"There is no contrast phase '{phase}'. Known: {', '.join(PHASES)}.")
        families = [f.name for f in FAMILIES[organ]]
        if family is not None and family not in families:
            raise InputError(f"There is no tumour family '{family}' of organ {organ}. Known: {', '.join(families)}.")
        rng = np.random.default_rng([seed, ORGANS.index(organ)])
        generator = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
        physique = Physique.random(rng)
        enhancement = Enhancement.random(rng, phase)
        filling = Filling.random(rng)
        scanner = CtScanner.random(rng)
        hu = enhancement.hu
        sketch = Sketch.random(physique, rng, generator)
        body = random_body(sketch, hu)
        bowel = random_bowel(sketch, filling, hu, body.cavity)
        liver = random_liver(sketch, body, hu)
        spleen = random_spleen(sketch, body, hu, enhancement.phase)
        right, left = (random_kidney(sketch, body, name, hu) for name in ("kidney right", "kidney left"))
        pancreas = random_pancreas(sketch, body, hu)
        hosts = {
            "liver": Host("liver", hu["liver"], (liver.level,), ((liver.level, -1.5),), ()),
            "kidney": Host(
                "kidney",
                0.5 * (hu["renal cortex"] + hu["renal medulla"]),
                (right.level, left.level),
                ((body.cavity, 2.0),),
                (liver.level, spleen.level),
            ),
            "pancreas": Host(
                "pancreas",
                pancreas.structures[0].hu,
                (pancreas.level,),
                ((body.cavity, 3.0),),
                (right.level, left.level, spleen.level),
                pancreas,
            ),
        }
        tumours = {organ, *also}
        families_of = {organ: family}
        found = {
            name: random_lesions(sketch, host, enhancement, 0.9 * hu["aorta"], name in tumours, families_of.get(name))
            for name, host in hosts.items()
        }
        duct = pancreatic_duct(sketch, pancreas, found["pancreas"], hu["fluid"])
        layers: list[tuple[Structure, int]] = [(structure, 0) for structure in (*body.structures, *bowel)]

        def add(name: str, structures: Sequence[Structure], kinds: Sequence[str]) -> None:
            values = LABELS[organ] if name == organ else {}
            layers.extend((s, values.get(name, 0) if s.region in kinds else 0) for s in structures)

        def add_lesions(name: str) -> None:
            values = LABELS[organ] if name == organ else {}
            for lesion in found[name]:
                value = values.get(lesion.plan.kind, values.get(name, 0))
                layers.extend((structure, value) for structure in lesion.structures)

        add("adrenal", random_adrenals(sketch, hu), ())
        add("spleen", spleen.structures, ())
        add("liver", (*liver.structures, *liver_vessels(sketch, liver, hu)), ("liver",))
        add_lesions("liver")
        add("kidney", (*right.structures, *left.structures), ("kidney",))
        add_lesions("kidney")
        add("pancreas", (*pancreas.structures, duct), ("pancreas", "duct"))
        add_lesions("pancreas")
        add("vessels", random_vessels(sketch, hu, enhancement.phase), ())
        a, b, c = (_texture(knot, generator) for knot in _TEXTURE_KNOTS_MM)
        return AbdomenSubject(
            seed,
            organ,
            physique,
            enhancement,
            filling,
            scanner,
            tuple(layers),
            (a, b, c),
            {o.name: o for o in (liver, spleen, right, left, pancreas)},
            tuple(lesion for lesions in found.values() for lesion in lesions),
        )

    def picture(self, region: Region, seed: int = 0) -> CtPicture:
        """Image the person on a region; noise differs by ``seed``, everything else does not."""
        device = self.textures[0].values.device
        clean, labels, regions = self._painted(region, device)
        generator = torch.Generator(device=device).manual_seed(self.seed * 1009 + seed)
        return CtPicture(self.scanner.acquire(clean, region, generator), clean, labels, regions)

    def tumours(self, region: Region) -> dict[str, Tensor]:
        """Masks ``[K, J, I]`` of the tumours of each organ that has some."""
        found: dict[str, Tensor] = {}
        for lesion in self.lesions:
            if lesion.plan.kind == "tumour":
                inside = level_on(lesion.level, region) > 0
                organ = lesion.plan.organ
                found[organ] = found[organ] | inside if organ in found else inside
        return found

    def organ_mask(self, organ: str, region: Region) -> Tensor:
        """Mask ``[K, J, I]`` of an organ (both kidneys) with everything in it."""
        levels = [o.level for name, o in self.organs.items() if name.startswith(organ)]
        levels += [lesion.level for lesion in self.lesions if lesion.plan.organ == organ]
        inside = [level_on(level, region) > 0 for level in levels]
        return torch.stack(inside).any(0)

    def crop(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int, int] = (128, 128, 128),
        spacing_mm: Triple = (1.0, 1.0, 1.0),
        tumour_share: float = 2 / 3,
    ) -> Region:
        """A region for training around a random point: of a tumour as often as ``tumour_share``, else of the organ."""
        tumours = [lesion.level for lesion in self.lesions if lesion.plan.organ == self.organ]
        organs = [organ.level for name, organ in self.organs.items() if name.startswith(self.organ)]
        chosen = tumours if tumours and rng.random() < tumour_share else organs
        lattice = chosen[int(rng.integers(len(chosen)))]
        inside = (lattice.values > 0).nonzero()
        if not len(inside):
            inside = lattice.values.new_tensor([[n // 2 for n in lattice.values.shape]])
        k, j, i = inside[int(rng.integers(len(inside)))].tolist()
        centre = [
            n * s + o + float(rng.uniform(-0.25, 0.25)) * size * step
            for n, s, o, size, step in zip(
                (i, j, k),
                lattice.region.spacing_mm,
                lattice.region.origin_mm,
                shape[::-1],
                spacing_mm[::-1],
                strict=True,
            )
        ]
        return Region.around((centre[0], centre[1], centre[2]), shape, spacing_mm)

    def whole(self, spacing_mm: float = 2.0) -> Region:
        """The whole abdominal box at a spacing."""
        i, j, k = (round((high - low) / spacing_mm) for low, high in zip(LOW_MM, HIGH_MM, strict=True))
        return Region.around((0.0, 0.0, 0.0), (k, j, i), (spacing_mm,) * 3)

    def record(self) -> dict[str, Any]:
        """Everything that was drawn, as plain data."""
        return {
            "seed": self.seed,
            "organ": self.organ,
            "labels": dict(LABELS[self.organ]),
            "physique": asdict(self.physique),
            "enhancement": asdict(self.enhancement),
            "filling": asdict(self.filling),
            "scanner": asdict(self.scanner),
            "lesions": [asdict(lesion.plan) | {"volume_ml": lesion.level.volume_ml()} for lesion in self.lesions],
        }

    def _painted(self, region: Region, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Noise-free HU, labels and regions: every structure laid over the ones before it, edges softened."""
        hu = torch.full(region.shape, -1000.0, device=device)
        labels = torch.zeros(region.shape, dtype=torch.uint8, device=device)
        regions = torch.zeros(region.shape, dtype=torch.uint8, device=device)
        textures = [_everywhere(texture, region) for texture in self.textures]
        step = max(region.spacing_mm)
        for structure, label in self.structures:
            found = structure.level.on(region, above=-structure.softness_mm - 0.5 * step)
            if found is None:
                continue
            block, level = found
            inside = level > 0
            labels[block].masked_fill_(inside, label)
            regions[block].masked_fill_(inside, REGIONS.index(structure.region))
            share = level.mul_(1.0 / max(structure.softness_mm, 0.5 * step)).add_(0.5).clamp_(0.0, 1.0)
            here = hu[block]
            change = structure.hu - here
            for texture, size in zip(textures, (structure.grain, structure.patch, structure.cloud), strict=True):
                if size:
                    change.add_(texture[block], alpha=size)
            here.addcmul_(share, change)
        return hu, labels, regions


def _texture(knot_mm: float, generator: torch.Generator) -> Lattice:
    """Gaussian noise at the knots of the whole box, scaled to about unit variance between them."""
    region = Region.spanning(LOW_MM, HIGH_MM, knot_mm)
    values = torch.randn(region.shape, generator=generator, device=generator.device)
    return Lattice(values * 1.6, region)


def _everywhere(lattice: Lattice, region: Region) -> Tensor:
    """A lattice on a region, zero outside it."""
    values = torch.zeros(region.shape, device=lattice.values.device)
    found = lattice.on(region)
    if found is not None:
        values[found[0]] = found[1]
    return values
