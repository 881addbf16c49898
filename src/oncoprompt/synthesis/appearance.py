"""Paints a person and a tumour: partial volumes, texture, contrast uptake; drawn once, valid on any grid."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.contrast import Contrast
from oncoprompt.synthesis.distractors import Distractors
from oncoprompt.synthesis.lesion import LesionTissue
from oncoprompt.synthesis.relaxometry import CHANNELS, HealthyTissue, Sequences
from oncoprompt.synthesis.view import LESION_REACH_MM, View

_CSF = 3


@dataclass
class Substance:
    """Rates (1/s), proton density and contrast uptake (1/s) at N points; painting changes it step by step."""

    r1: Tensor
    r2: Tensor
    density: Tensor
    uptake: Tensor

    def at(self, where: Tensor) -> "Substance":
        """A copy of some of the points."""
        return Substance(self.r1[where], self.r2[where], self.density[where], self.uptake[where])

    def put(self, where: Tensor, other: "Substance") -> None:
        """Set some of the points."""
        self.r1[where], self.r2[where] = other.r1, other.r2
        self.density[where], self.uptake[where] = other.density, other.uptake

    def mix(self, share: Tensor, r1: Tensor | float, r2: Tensor | float, density: float) -> None:
        """Replace a share of what is there by another substance."""
        for values, other in ((self.r1, r1), (self.r2, r2), (self.density, density)):
            values += share * (other - values)


@dataclass(frozen=True)
class Appearance:
    """Everything about a study's contrast that is not anatomy."""

    healthy: HealthyTissue
    sequences: Sequences
    lesion: LesionTissue
    distractors: Distractors
    contrast: Contrast
    sharpness: float
    ribbon: float
    subclass: float

    @staticmethod
    def random(lesion: LesionTissue, rng: np.random.Generator, device: torch.device) -> "Appearance":
        """Independent draws of tissue values, sequences, contrast offsets and distractors."""
        healthy = HealthyTissue.random(rng, device)
        sequences = Sequences.random(rng, float(healthy.r1[_CSF]))
        return Appearance(
            healthy=healthy,
            sequences=sequences,
            lesion=lesion,
            distractors=Distractors.random(rng),
            contrast=Contrast.random(rng, healthy, sequences, lesion),
            sharpness=rng.uniform(1.2, 2.5),
            ribbon=rng.uniform(0.5, 1.2),
            subclass=rng.uniform(0.0, 0.06),
        )

    def paint(self, view: View) -> Tensor:
        """Noise-free signals ``[4, N]`` in the order of CHANNELS."""
        shares = self._healthy_shares(view)
        tissues = shares.shape[0]
        fine, middle, coarse = view.noise("fine", 3.0), view.noise("middle", 8.0), view.noise("coarse", 20.0)
        texture = 1 + 0.03 * (fine + middle + coarse)
        # two subclasses a tissue, as clusters of slightly different values side by side
        texture += self.subclass * torch.tanh(4 * view.noise("subclass", 12.0))
        substance = Substance(
            r1=(self.healthy.r1[:tissues] @ shares) * texture,
            r2=(self.healthy.r2[:tissues] @ shares) * (1 + 0.04 * middle - 0.03 * coarse),
            density=self.healthy.density[:tissues] @ shares,
            uptake=self.distractors.uptake(view, shares).add_(0.05),
        )
        self.distractors.change(view, shares, substance)
        noise = (fine, middle, coarse)
        lesion_shares = self._add_lesion(view, substance, noise) if view.lesion.numel() else None
        signals = torch.empty((len(CHANNELS), view.index.numel()), device=fine.device)
        r2 = substance.r2.clamp_min_(0.4)
        for index, channel in enumerate(CHANNELS):
            rate = substance.r1 + substance.uptake if channel == "t1c" else substance.r1
            signals[index] = self.sequences.signal(channel, rate.clamp_min(0.12), r2, substance.density)
        self.contrast.shift(signals, shares, view.lesion, lesion_shares)
        grey = self.sequences.signal("t2f", self.healthy.r1[0], self.healthy.r2[0], self.healthy.density[0])
        self.distractors.brighten_flow(view, shares, signals[CHANNELS.index("t2f")], grey)
        return signals

    def _healthy_shares(self, view: View) -> Tensor:
        """Tissue shares ``[T, N]`` with the blurred ribbon of an averaged template sharpened and perturbed."""
        rest = (1 - view.tissues.sum(0)).clamp_min_(0.0)
        whole_head = view.tissues.shape[0] > _CSF + 1
        probability = torch.cat([view.tissues, rest[None]]) if whole_head else view.tissues
        if not whole_head:
            # round the brain there is fluid, so that blur at its edge mixes with fluid and not with nothing
            probability[_CSF] += rest
        logits = probability.clamp_min(1e-3).log_().mul_(self.sharpness)
        strength = self.sharpness * self.ribbon
        # the ribbon is that of the brain: skull and scalp are not perturbed
        within = view.depth_mm > 0 if whole_head else 1.0
        logits[0] += strength * view.noise("ribbon", 4.0) * within
        logits[_CSF] += strength * view.noise("sulci", 4.0) * within
        shares = torch.softmax(logits, dim=0)
        return shares[:-1] if whole_head else shares

    def _lesion_shares(self, levels: Tensor) -> Tensor:
        """Soft occupancies ``[4, M]``: necrosis, enhancing tumour, oedema (by how wet it is), cavity."""
        lesion = self.lesion
        core = torch.sigmoid(levels[0] / (0.45 * lesion.core_softness_mm))
        enhancing = torch.sigmoid(levels[1] / 0.3)
        cavity = torch.sigmoid(levels[3] / 0.3)
        core = core * (1 - cavity)
        # people draw the faint edge of oedema as oedema: its label starts where an eighth of the change is there
        soft = lesion.oedema_softness_mm
        oedema = (1 - core) * (1 - cavity) * torch.sigmoid((levels[2] - 0.9 * soft) / (0.45 * soft))
        # oedema is wettest beside the core
        wetness = lesion.oedema_far + (1.25 - lesion.oedema_far) * torch.exp(levels[0].clamp(-40.0, 0.0) / 7.0)
        return torch.stack([core * (1 - enhancing), core * enhancing, oedema * wetness, cavity])

    def _add_lesion(self, view: View, substance: Substance, noise: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        lesion, local = self.lesion, substance.at(view.lesion)
        fine, middle, coarse = (field[view.lesion] for field in noise)
        shares = self._lesion_shares(view.levels)
        necrosis, active, oedema, cavity = shares
        slower = 1.0 if self.healthy.field_tesla == 3.0 else 1.25
        wet = oedema * (lesion.oedema_share * (1 + lesion.oedema_patchiness * coarse + 0.1 * middle)).clamp(0.06, 1.1)
        local.mix(wet, slower / lesion.oedema_t1, 1 / lesion.oedema_t2, 0.88)
        if lesion.cleft_mm > 0:
            self._add_cleft(view, local)
        texture = torch.exp(lesion.core_texture * (0.7 * fine + middle + 0.7 * coarse))
        bleed = 1 + 1.5 * lesion.haemorrhage * torch.sigmoid(4 * (middle - 1.0))
        other = torch.sigmoid(4 * (0.7 * coarse + 0.7 * middle))
        necrosis_r1 = (1 - other) / lesion.necrosis_t1 + other / (lesion.other_necrosis_t1 or lesion.necrosis_t1)
        necrosis_r2 = (1 - other) / lesion.necrosis_t2 + other / (lesion.other_necrosis_t2 or lesion.necrosis_t2)
        if lesion.mismatch_rim_mm > 0:
            edge = torch.sigmoid((lesion.mismatch_rim_mm - view.levels[0]) / 0.5)
            necrosis_r1 += edge * (1 / lesion.oedema_t1 - necrosis_r1)
            necrosis_r2 += edge * (1 / lesion.oedema_t2 - necrosis_r2)
        local.mix(necrosis, slower * bleed * necrosis_r1 * texture, bleed * necrosis_r2 * texture, 0.95)
        active_r1, active_r2 = slower * bleed / lesion.enhancing_t1 * texture.sqrt(), bleed / lesion.enhancing_t2
        local.mix(active, active_r1, active_r2 * texture, 0.86)
        gadolinium = lesion.uptake * torch.exp(lesion.uptake_spread * (0.6 * fine + middle + 0.6 * coarse))
        leak = 0.04 + 0.08 * torch.sigmoid(middle)
        local.uptake *= 1 - necrosis - active
        local.uptake += active * gadolinium + necrosis * leak + oedema * 0.03
        if lesion.calcification > 0:
            solid = lesion.calcification * necrosis
            local.density *= 1 - 0.8 * solid
            local.r2 += 60.0 * solid
        if bool((view.levels[3:] > -LESION_REACH_MM).any()):
            self._add_cavity(view, local, cavity, slower)
        substance.put(view.lesion, local)
        return shares

    def _add_cleft(self, view: View, local: Substance) -> None:
        """A layer of CSF between an extra-axial core and the brain."""
        half = self.lesion.cleft_mm / 2
        layer = torch.sigmoid((half - (view.levels[0] + half).abs()) / 0.3) * (view.depth_mm[view.lesion] > 2.0)
        local.mix(0.9 * layer, self.healthy.r1[_CSF], self.healthy.r2[_CSF], 1.0)

    def _add_cavity(self, view: View, local: Substance, cavity: Tensor, slower: float) -> None:
        """Fluid, what has settled in it, debris at its edge and a rim that takes up contrast without being tumour."""
        lesion = self.lesion
        edge = torch.exp(-((view.levels[3] / 1.5) ** 2))
        local.r2 += lesion.debris * edge * 25.0
        r1, r2 = torch.full_like(cavity, slower / lesion.cavity_t1), torch.full_like(cavity, 1 / lesion.cavity_t2)
        if lesion.cavity_layer_mm is not None:
            settled = torch.sigmoid((lesion.cavity_layer_mm - view.coordinate_mm(1)[view.lesion]) / 0.6)
            r1 += settled * (slower / lesion.layer_t1 - r1)
            r2 += settled * (1 / lesion.layer_t2 - r2)
        local.mix(cavity, r1, r2, 1.0)
        rim = torch.sigmoid(view.levels[4] / 0.3) * (1 - cavity)
        local.r1 += rim * lesion.rim_blood
        local.uptake *= 1 - cavity
        local.uptake += rim * lesion.rim_uptake
