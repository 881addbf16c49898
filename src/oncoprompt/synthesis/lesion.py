"""What a tumour is to the renderer: five signed levels on a 2 mm grid and how its tissue behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

FAMILIES = ("high-grade glioma", "low-grade glioma", "metastases", "meningioma", "post-treatment glioma", "healthy")


@dataclass(frozen=True)
class LesionTissue:
    """How a lesion's compartments look and push.

    Relaxation times ``*_t1`` and ``*_t2`` are seconds at 3 T, uptakes of contrast agent 1/s of R1, softnesses the
    widths of edges in mm; shares and strengths lie in 0..1. ``other_necrosis`` lies in patches beside ``necrosis``.

    oedema_far: how wet oedema is far from the core, in parts of ``oedema_share``; beside the core it is 1.25.
    mass: growth strain kappa of the core, which pushes its surroundings.
    collapse: strain of the cavity, at most 0, which pulls its surroundings in.
    mismatch_rim_mm: width of the edge of a core that looks like oedema while the rest of it is dark on FLAIR; 0: none.
    calcification: share of the signal that calcium takes away where the core does not enhance.
    cleft_mm: thickness of the layer of CSF between an extra-axial core and the brain; 0: none.
    rim_uptake, rim_blood: uptake of the rim, and what blood in it adds to R1 before contrast agent (1/s).
    cavity_layer_mm: blood or protein (layer_t1, layer_t2) lies in the cavity behind this A coordinate; None: none.
    debris: share of the cavity's edge where surgical material and old blood darken T2 and FLAIR.
    """

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
    oedema_far: float = 0.8
    oedema_patchiness: float = 0.3
    core_softness_mm: float = 0.6
    oedema_softness_mm: float = 1.5
    mass: float = 0.2
    collapse: float = 0.0
    mismatch_rim_mm: float = 0.0
    calcification: float = 0.0
    cleft_mm: float = 0.0
    rim_uptake: float = 0.6
    rim_blood: float = 0.0
    cavity_t1: float = 3.9
    cavity_t2: float = 1.4
    cavity_layer_mm: float | None = None
    layer_t1: float = 0.8
    layer_t2: float = 0.15
    debris: float = 0.0


@dataclass(frozen=True)
class Lesion:
    """Levels ``[5, K, J, I]`` in mm, positive inside: core, enhancing part of the core, oedema, cavity, rim.

    Labels follow from the signs: the cavity is RC; else core and enhancing is ET, core alone is NETC, oedema outside
    the core is SNFH. The rim takes up contrast agent without being labelled, as a thin post-operative edge does; its
    level is also positive within the cavity it lines, and counts where neither core nor cavity is. ``drawn`` holds
    every random number of the form, by name, so that a record can list them.
    """

    family: str
    levels: Tensor
    tissue: LesionTissue
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def label_map(self) -> Tensor:
        """Labels ``[K, J, I]`` of the 2 mm grid: 1 NETC, 2 SNFH, 3 ET, 4 RC (brats2024-gli)."""
        return labels_of(self.levels)


def labels_of(levels: Tensor) -> Tensor:
    """Labels of levels ``[5, ...]``: 1 NETC, 2 SNFH, 3 ET, 4 RC."""
    core, enhancing, oedema, cavity, _ = levels
    labels = torch.where(oedema > 0, 2, 0)
    labels = torch.where(core > 0, torch.where(enhancing > 0, 3, 1), labels)
    return torch.where(cavity > 0, 4, labels).to(torch.uint8)


def no_lesion(shape: tuple[int, int, int], device: torch.device) -> Lesion:
    """A healthy brain."""
    return Lesion("healthy", torch.full((5, *shape), -50.0, device=device), LesionTissue(mass=0.0))
