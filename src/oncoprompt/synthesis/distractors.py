"""Things that are not tumour and may look like it: vessels, dura, sinuses, plexus, spots, old blood, flow, residue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.view import View

if TYPE_CHECKING:
    from oncoprompt.synthesis.appearance import Substance


@dataclass(frozen=True)
class Distractors:
    """Strengths of the distractors; 0 where one is absent. Uptakes are changes of R1 in 1/s, lengths in mm."""

    vessel_radius_mm: float = 0.0
    dura_uptake: float = 0.0
    sinus_uptake: float = 0.0
    choroid_uptake: float = 0.0
    white_matter_lesions: float = 0.0
    old_blood: float = 0.0
    perivascular_spaces: float = 0.0
    flow: float = 0.0

    @staticmethod
    def random(rng: np.random.Generator) -> Distractors:
        """Independent draws; each distractor may be absent."""
        return Distractors(
            vessel_radius_mm=rng.uniform(0.3, 1.2) if rng.random() < 0.8 else 0.0,
            dura_uptake=rng.uniform(0.2, 2.0) if rng.random() < 0.6 else 0.0,
            sinus_uptake=rng.uniform(1.0, 4.0) if rng.random() < 0.8 else 0.0,
            choroid_uptake=rng.uniform(0.5, 3.0) if rng.random() < 0.6 else 0.0,
            white_matter_lesions=rng.uniform(0.6, 1.6) if rng.random() < 0.4 else 0.0,
            old_blood=rng.uniform(0.3, 1.0) if rng.random() < 0.08 else 0.0,
            perivascular_spaces=rng.uniform(0.3, 1.0) if rng.random() < 0.2 else 0.0,
            flow=rng.uniform(0.1, 0.6) if rng.random() < 0.15 else 0.0,
        )

    def uptake(self, view: View, shares: Tensor) -> Tensor:
        """Contrast uptake ``[N]`` (1/s) of vessels, dura, sinuses and choroid plexus."""
        uptake = torch.zeros_like(view.depth_mm)
        if self.vessel_radius_mm > 0:
            # two smooth fields vanish together along curves, which serve as vessels
            distance = torch.hypot(view.noise("vessel a", 18.0), view.noise("vessel b", 18.0)) * (18.0 / 2.2)
            vessel = torch.sigmoid((self.vessel_radius_mm - distance) / 0.35)
            uptake += 3.0 * vessel * (view.noise("vessel gate", 25.0) > -0.3)
        if self.dura_uptake > 0:
            # the dura lines the skull and dips between the hemispheres as the falx
            shell = torch.sigmoid((1.2 - (view.depth_mm - 0.3).abs()) / 0.4)
            shell = torch.maximum(shell, torch.sigmoid((0.8 - view.falx_mm) / 0.3))
            uptake += self.dura_uptake * shell * torch.sigmoid(3 * (view.noise("dura", 15.0) - 0.3))
        if self.sinus_uptake > 0:
            x, y, z = view.atlas_mm
            middle = torch.sigmoid((3.0 - x.abs()) / 0.7) * torch.sigmoid((4.5 - view.depth_mm) / 0.8)
            uptake += self.sinus_uptake * middle * ((z > 15) | (y < -40))
        if self.choroid_uptake > 0:
            plexus = shares[3] * view.ventricle * torch.sigmoid(4 * (view.noise("plexus", 5.0) - 0.8))
            uptake += self.choroid_uptake * plexus
        return uptake

    def change(self, view: View, shares: Tensor, substance: Substance) -> None:
        """Spots of white matter disease, spaces round vessels and old blood, which change what tissue is made of."""
        if self.white_matter_lesions > 0:
            spots = view.noise("spots", 7.0) + 0.5 * view.noise("spots gate", 20.0)
            wet = 0.8 * torch.sigmoid(5 * (spots - 2.6 / self.white_matter_lesions)) * shares[2]
            substance.r2 += wet * (1 / 0.14 - substance.r2)
            substance.density += wet * (0.88 - substance.density)
        if self.perivascular_spaces > 0:
            dots = torch.sigmoid(8 * (view.noise("fine", 3.0) + view.noise("spaces gate", 14.0) - 3.6)) * shares[2]
            fluid = self.perivascular_spaces * dots
            substance.r1 += fluid * (1 / 4.0 - substance.r1)
            substance.r2 += fluid * (1 / 1.0 - substance.r2)
        if self.old_blood > 0:
            blood = torch.sigmoid(6 * (view.noise("blood", 9.0) + view.noise("blood gate", 30.0) - 3.4))
            substance.r2 += self.old_blood * blood * (view.depth_mm > 2) * 40.0

    def brighten_flow(self, view: View, shares: Tensor, flair: Tensor, grey: Tensor) -> None:
        """Fluid that flows is not nulled on FLAIR: adds patches, a share of ``grey`` bright, to ``flair`` ``[N]``."""
        if self.flow > 0:
            flair += self.flow * grey * shares[3] * torch.sigmoid(5 * (view.noise("flow", 15.0) - 1.4))
