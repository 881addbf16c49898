"""A synthetic person with a tumour, drawn from a seed, that can be imaged on any grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.synthesis.anatomy import LOW_SPACING_MM, MAP_SPACING_MM, Anatomy, random_anatomy
from oncoprompt.synthesis.appearance import Appearance
from oncoprompt.synthesis.atlas import Atlas
from oncoprompt.synthesis.fields import blur, box_points, poisson_displacement, sample
from oncoprompt.synthesis.lattice import Lattice
from oncoprompt.synthesis.lesion import FAMILIES, Lesion, labels_of
from oncoprompt.synthesis.noise import SmoothNoise
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.scanner import Scanner
from oncoprompt.synthesis.stripping import Stripping
from oncoprompt.synthesis.tumours import Site, build_lesion
from oncoprompt.synthesis.view import Scene, View

FAMILY_SHARES = (0.54, 0.09, 0.13, 0.12, 0.08, 0.04)
"""How often each of lesion.FAMILIES is drawn."""


@dataclass(frozen=True)
class Picture:
    """Images ``[4, K, J, I]`` (order of relaxometry.CHANNELS), labels (case.SCHEMA) and the mask of what is shown."""

    images: Tensor
    labels: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Subject:
    """Anatomy, lesion, contrast and scanner of one person; `picture` images them on a grid of points.

    ``stripping`` is None for a study of the whole head.
    """

    seed: int
    family: str
    anatomy: Anatomy
    lesion: Lesion
    appearance: Appearance
    scanners: tuple[Scanner, ...]
    stripping: Stripping | None

    @staticmethod
    def random(
        seed: int,
        family: str | None = None,
        device: str | torch.device = "cpu",
        atlas: Atlas | None = None,
        whole_head: bool = False,
    ) -> Subject:
        """Draw a person; the same arguments and kind of device give the same person.

        ``family`` is one of lesion.FAMILIES or None for a random one, ``atlas`` the anatomy to warp (ICBM152 if None).
        Raises InputError for an unknown family, and for a whole head where the atlas holds the brain alone.
        """
        if family is not None and family not in FAMILIES:
            raise InputError(f"There is no tumour family '{family}'. Known: {', '.join(FAMILIES)}.")
        rng = np.random.default_rng(seed)
        generator = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
        # drawn even where it is given, so that a family named by its record continues as it did
        drawn = str(rng.choice(FAMILIES, p=FAMILY_SHARES))
        chosen = family or drawn
        anatomy = random_anatomy(rng, generator, atlas)
        if whole_head and not anatomy.atlas.has_head:
            raise InputError(
                f"Anatomy '{anatomy.atlas.name}' is a brain without a head. For studies that are not skull-stripped, "
                "give a folder of label maps of whole heads."
            )
        low = Lattice.of_points(box_points(LOW_SPACING_MM, generator.device))
        atlas_mm = low.spread(anatomy.atlas_points).movedim(0, -1)
        place = anatomy.place_on(low)
        lesion = build_lesion(chosen, Site(place.tissues, place.depth_mm, rng, generator, atlas_mm, place.falx_mm))
        if lesion.tissue.mass > 0 or lesion.tissue.collapse < 0:
            anatomy = anatomy.displaced(_mass_effect(lesion, place.depth_mm))
        appearance = Appearance.random(lesion.tissue, rng, generator.device)
        scanners = tuple(Scanner.random(rng) for _ in CHANNELS)
        stripping = Stripping.random(rng, len(CHANNELS))
        return Subject(seed, chosen, anatomy, lesion, appearance, scanners, None if whole_head else stripping)

    def picture(self, points_mm: Tensor, spacing_mm: Sequence[float], seed: int = 0) -> Picture:
        """Image the person at points ``[k, j, i, 3]`` (mm, R A S); ``spacing_mm`` in the order (k, j, i).

        Tissue, lesion and texture are the same on every grid; ``seed`` changes the scanner's noise alone.
        """
        signals, labels, mask = self.noise_free(Lattice.of_points(points_mm))
        return Picture(self.acquired(signals, mask, spacing_mm, seed), labels, mask)

    def acquired(self, signals: Tensor, mask: Tensor, spacing_mm: Sequence[float], seed: int = 0) -> Tensor:
        """Signals ``[4, k, j, i]`` as the person's scanners measure them, in place."""
        generator = torch.Generator(device=signals.device).manual_seed(self.seed * 1009 + seed)
        shown = mask if self.stripping is not None else None
        for channel, (scanner, top) in enumerate(zip(self.scanners, self.brightest, strict=True)):
            signals[channel] = scanner.acquire(signals[channel], spacing_mm, top, generator, shown)
        return signals

    @cached_property
    def brightest(self) -> list[float]:
        """The 99th percentile of each channel's noise-free signal over the head, which sets the noise and scale."""
        signals, mask = self._overview
        values = signals[:, mask]
        # quantile() sorts everything, which takes as long as painting it
        rank = max(1, round(0.99 * values.shape[1]))
        return [float(v) for v in values.kthvalue(rank, dim=1).values.clamp_min(1e-3)]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the brain ``[4]``, about as `picture` has them."""
        signals, mask = self._overview
        top = torch.tensor(self.brightest, device=signals.device)
        gamma = torch.tensor([s.gamma for s in self.scanners], device=top.device)
        values = (signals[:, mask] / top[:, None]).clamp_min(0.0).pow(gamma[:, None])
        return values.mean(1), values.std(1).clamp_min(1e-3)

    def noise_free(self, lattice: Lattice) -> tuple[Tensor, Tensor, Tensor]:
        """Signals ``[4, k, j, i]``, labels inside the mask, and the mask of what is shown."""
        device = lattice.x.device
        signals = torch.zeros((len(CHANNELS), *lattice.shape), device=device)
        labels = torch.zeros(lattice.shape, dtype=torch.uint8, device=device)
        mask = torch.zeros(lattice.shape, dtype=torch.bool, device=device)
        noise = SmoothNoise(self.seed, self.lesion.levels.device)
        for view in Scene(self.anatomy, self.lesion, noise, self.stripping is None).views(lattice):
            painted, inside = self.appearance.paint(view), self._shown(view)
            self._paint_leftovers(view, painted)
            for channel, values in enumerate(painted):
                signals[channel, view.rows].view(-1)[view.index] = values
            labels[view.rows].view(-1)[view.index[view.lesion]] = labels_of(view.levels) * inside[view.lesion]
            mask[view.rows].view(-1)[view.index] = inside
        return signals, labels, mask

    def _shown(self, view: View) -> Tensor:
        """Which of a view's voxels the study shows: all, or what skull stripping leaves."""
        if self.stripping is None:
            return torch.ones_like(view.depth_mm, dtype=torch.bool)
        tumour = torch.full_like(view.depth_mm, -1.0)
        tumour[view.lesion] = torch.maximum(view.levels[0], view.levels[3])
        return self.stripping.apply(view.depth_mm, view.noise, tumour)

    def _paint_leftovers(self, view: View, signals: Tensor) -> None:
        """Scalp, eye or dura that skull stripping forgot."""
        if self.stripping is None or self.stripping.leftover_mm == 0:
            return
        left = self.stripping.leftovers(view.depth_mm, view.noise)
        left[view.lesion] &= view.levels[0] < 0
        top = torch.tensor(self.stripping.leftover_signal, device=signals.device) * self._white_signal
        signals[:, left] = top[:, None] * (1 + 0.3 * view.noise("fine", 3.0)[left])

    @cached_property
    def _white_signal(self) -> Tensor:
        """Twice the signal of white matter ``[4]``, about the brightest there is."""
        healthy = self.appearance.healthy
        signals = [
            self.appearance.sequences.signal(channel, healthy.r1[2], healthy.r2[2], healthy.density[2])
            for channel in CHANNELS
        ]
        return 2.0 * torch.stack(signals)

    @cached_property
    def _overview(self) -> tuple[Tensor, Tensor]:
        """Noise-free signals and mask of the whole head at 4 mm."""
        points = box_points(MAP_SPACING_MM, self.lesion.levels.device)
        signals, _, mask = self.noise_free(Lattice.of_points(points))
        if self.stripping is None:
            # what inference takes for the head of a study that is not stripped
            mask = mask & (signals[0] > 0.2 * signals[0][mask].quantile(0.98))
        return signals, mask


def _mass_effect(lesion: Lesion, depth_mm: Tensor) -> Tensor:
    """Displacement ``[3, K, J, I]`` mm on the 4 mm map grid of the tissue around a growing core; the skull holds.

    A cavity's strain is negative: it draws its surroundings in.
    """
    points = box_points(MAP_SPACING_MM, depth_mm.device)
    core, cavity = (lesion.levels[0] > 0).float(), (lesion.levels[3] > 0).float()
    strain = lesion.tissue.mass * core * (1 - cavity) + lesion.tissue.collapse * cavity
    source, brain = sample(torch.stack([strain, (depth_mm > 0).float()]), points)
    return poisson_displacement(source, MAP_SPACING_MM) * blur(brain, 1.2) ** 2
