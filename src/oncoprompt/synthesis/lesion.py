"""What a tumour is to the renderer: three signed levels on a 2 mm grid and how its tissue behaves."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oncoprompt.synthesis.fields import sample

FAMILIES = ("high-grade glioma", "low-grade glioma", "metastases", "meningioma", "healthy")


@dataclass(frozen=True)
class LesionTissue:
    """Relaxometry of a lesion's compartments at 3 T (seconds, 1/s) and the softness of its edges (mm)."""

    necrosis_t1: float = 2.3
    necrosis_t2: float = 0.23
    other_necrosis_t1: float | None = None
    other_necrosis_t2: float | None = None
    enhancing_t1: float = 1.5
    enhancing_t2: float = 0.11
    oedema_t1: float = 1.35
    oedema_t2: float = 0.135
    uptake: float = 0.7
    uptake_spread: float = 0.3
    core_texture: float = 0.1
    haemorrhage: float = 0.0
    oedema_share: float = 0.7
    oedema_patchiness: float = 0.3
    core_softness_mm: float = 0.6
    oedema_softness_mm: float = 1.5
    mass: float = 0.2


@dataclass(frozen=True)
class Lesion:
    """Levels ``[5, K, J, I]`` in mm, positive inside: core, enhancing part of the core, oedema, cavity, rim.

    Labels follow from the signs: the cavity is RC; else core and enhancing is ET, core alone is NETC, oedema outside
    the core is SNFH. The rim takes up contrast agent without being labelled, as a thin post-operative edge does.
    """

    family: str
    levels: Tensor
    tissue: LesionTissue

    def label_map(self) -> Tensor:
        """Labels ``[K, J, I]`` of the 2 mm grid: 1 NETC, 2 SNFH, 3 ET, 4 RC (brats2024-gli)."""
        return labels_of(self.levels)

    def at(self, points_mm: Tensor) -> Tensor:
        """Levels ``[5, k, j, i]`` at points in mm."""
        return sample(self.levels, points_mm)


def labels_of(levels: Tensor) -> Tensor:
    """Labels of levels ``[5, ...]``: 1 NETC, 2 SNFH, 3 ET, 4 RC."""
    core, enhancing, oedema, cavity, _ = levels
    labels = torch.where(oedema > 0, 2, 0)
    labels = torch.where(core > 0, torch.where(enhancing > 0, 3, 1), labels)
    return torch.where(cavity > 0, 4, labels).to(torch.uint8)


def no_lesion(shape: tuple[int, int, int], device: torch.device) -> Lesion:
    """A healthy brain."""
    return Lesion("healthy", torch.full((5, *shape), -50.0, device=device), LesionTissue(mass=0.0))
