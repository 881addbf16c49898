"""A synthetic person with a tumour, drawn from a seed, that can be imaged on any grid."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.anatomy import LOW_SPACING_MM, MAP_SPACING_MM, Anatomy, random_anatomy
from oncoprompt.synthesis.appearance import Appearance, View
from oncoprompt.synthesis.fields import blur, box_points, poisson_displacement, random_field, sample
from oncoprompt.synthesis.lesion import FAMILIES, Lesion, labels_of
from oncoprompt.synthesis.scanner import Scanner
from oncoprompt.synthesis.tumours import Site, build_lesion

FAMILY_SHARES = (0.62, 0.09, 0.13, 0.13, 0.03)
"""How often each of lesion.FAMILIES is drawn."""


@dataclass(frozen=True)
class Picture:
    """Images ``[4, K, J, I]`` (order of relaxometry.CHANNELS), labels (1 NETC, 2 SNFH, 3 ET) and the brain mask."""

    images: Tensor
    labels: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Subject:
    """Anatomy, lesion, contrast and scanner of one person; `picture` images them on a grid of points."""

    seed: int
    family: str
    anatomy: Anatomy
    lesion: Lesion
    appearance: Appearance
    scanners: tuple[Scanner, ...]

    @staticmethod
    def random(seed: int, family: str | None = None, device: str | torch.device = "cpu") -> "Subject":
        """Draw a person; the same seed, family and kind of device give the same person."""
        rng = np.random.default_rng(seed)
        generator = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
        chosen = family or str(rng.choice(FAMILIES, p=FAMILY_SHARES))
        anatomy = random_anatomy(rng, generator)
        points = box_points(LOW_SPACING_MM, generator.device)
        tissues, depth, _ = anatomy.tissue(points)
        lesion = build_lesion(chosen, Site(tissues, depth, rng, generator))
        if lesion.tissue.mass > 0:
            anatomy = anatomy.displaced(_mass_effect(lesion, depth))
        appearance = Appearance.random(lesion.tissue, rng, generator.device)
        return Subject(seed, chosen, anatomy, lesion, appearance, tuple(Scanner.random(rng) for _ in range(4)))

    def view(self, points_mm: Tensor, generator: torch.Generator) -> View:
        """What lies at points ``[k, j, i, 3]`` of an axis-aligned grid."""
        tissues, depth, atlas = self.anatomy.tissue(points_mm)
        extent = [float((points_mm[-1, -1, -1] - points_mm[0, 0, 0])[axis].abs()) for axis in (2, 1, 0)]

        def noise(knot_mm: float) -> Tensor:
            return random_field(knot_mm, extent, points_mm.shape[:3], generator)[0] * 1.4

        return View(tissues, depth, atlas, self.lesion.at(points_mm), noise)

    def picture(self, points_mm: Tensor, spacing_mm: tuple[float, float, float], seed: int = 0) -> Picture:
        """Image the person at points ``[k, j, i, 3]`` (mm, R A S); ``spacing_mm`` in the order (k, j, i)."""
        generator = torch.Generator(device=points_mm.device).manual_seed(self.seed * 1009 + seed)
        view = self.view(points_mm, generator)
        signals = self.appearance.paint(view)
        mask = self.appearance.brain_mask(view)
        images = torch.stack(
            [
                scanner.acquire(signal, spacing_mm, top, generator)
                for scanner, signal, top in zip(self.scanners, signals, self.brightest, strict=True)
            ]
        )
        labels = labels_of(view.levels) * mask
        return Picture(images * mask, labels, mask)

    @property
    def brightest(self) -> list[float]:
        """The 99th percentile of each channel's noise-free signal over the head, which sets the noise and scale."""
        return [float(v) for v in self._overview[0].flatten(1).quantile(0.99, dim=1).clamp_min(1e-3)]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the brain ``[4]``, as `picture` would have them."""
        signals, mask = self._overview
        top = signals.flatten(1).quantile(0.99, dim=1).clamp_min(1e-3)
        gamma = torch.tensor([s.gamma for s in self.scanners], device=top.device)
        values = (signals[:, mask] / top[:, None]).clamp_min(0.0).pow(gamma[:, None])
        return values.mean(1), values.std(1).clamp_min(1e-3)

    @cached_property
    def _overview(self) -> tuple[Tensor, Tensor]:
        """Noise-free signals and brain mask of the whole head at 4 mm."""
        generator = torch.Generator(device=self.lesion.levels.device).manual_seed(self.seed)
        view = self.view(box_points(MAP_SPACING_MM, generator.device), generator)
        return self.appearance.paint(view), self.appearance.brain_mask(view)


def _mass_effect(lesion: Lesion, depth_mm: Tensor) -> Tensor:
    """Displacement ``[3, K, J, I]`` mm on the 4 mm map grid of the tissue around a growing core; the skull holds."""
    points = box_points(MAP_SPACING_MM, depth_mm.device)
    low = torch.stack([(lesion.levels[0] > 0).float(), (depth_mm > 0).float()])
    core, brain = sample(low, points)
    displacement = poisson_displacement(lesion.tissue.mass * core, MAP_SPACING_MM)
    return displacement * blur(brain, 1.2) ** 2
