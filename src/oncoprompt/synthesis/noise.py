"""The smooth random fields of one person: each is drawn over the whole head box and looks the same on every grid."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch

from oncoprompt.synthesis.fields import BOX_MM
from oncoprompt.synthesis.lattice import Lattice, Planes


@dataclass(frozen=True)
class SmoothNoise:
    """Named Gaussian fields with linear interpolation between knots; the name and the seed make the field."""

    seed: int
    device: torch.device

    def on(self, lattice: Lattice, name: str, knot_mm: float) -> Planes:
        """The field of a name on a lattice, of about unit variance, its knots ``knot_mm`` apart."""
        generator = torch.Generator(device=self.device).manual_seed(zlib.crc32(f"{name} {self.seed}".encode()))
        sizes = [max(2, round(extent / knot_mm) + 1) for extent in reversed(BOX_MM)]
        # linear interpolation between knots lowers the variance, which the factor gives back
        return Planes.of_knots(1.4 * torch.randn((1, *sizes), generator=generator, device=self.device), lattice)
