"""Paints a person and a tumour: partial volumes, texture, contrast uptake and things that look like tumour."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.lesion import LesionTissue
from oncoprompt.synthesis.relaxometry import CHANNELS, HealthyTissue, Sequences

Noise = Callable[[float], Tensor]
"""Gives a smooth random field ``[k, j, i]`` of about unit variance for a knot distance in mm."""


@dataclass(frozen=True)
class View:
    """What lies at the points of a grid: tissues ``[4, ...]``, depth, atlas position ``[..., 3]``, lesion levels."""

    tissues: Tensor
    depth_mm: Tensor
    atlas_mm: Tensor
    levels: Tensor
    noise: Noise


@dataclass(frozen=True)
class Appearance:
    """Everything about a study's contrast that is not anatomy; drawn once and valid for any grid."""

    healthy: HealthyTissue
    sequences: Sequences
    lesion: LesionTissue
    sharpness: float
    ribbon: float
    class_offsets: Tensor
    vessel_radius_mm: float
    dura_uptake: float
    sinus_uptake: float
    choroid_uptake: float
    white_matter_lesions: float
    residue: float
    mask_shift_mm: float
    mask_rough_mm: float
    residue_intensity: Tensor

    @staticmethod
    def random(lesion: LesionTissue, rng: np.random.Generator, device: torch.device) -> "Appearance":
        """Independent draws of tissue values, sequences, contrast offsets and distractors."""
        healthy = HealthyTissue.random(rng, device)
        offsets = np.zeros((4, 7), np.float32)
        for channel in range(4):
            if rng.random() < 0.35:
                offsets[channel] = rng.normal(0, 0.1, 7)
        # what defines a compartment may vary, but not vanish: enhancement on T1c, oedema on T2 and FLAIR
        offsets[1, 4:] = [min(0.0, offsets[1, 4]), abs(offsets[1, 5]), min(0.0, offsets[1, 6])]
        offsets[2:, 6] = offsets[2:, 6].clip(min=0.0)
        return Appearance(
            healthy=healthy,
            sequences=Sequences.random(rng, float(healthy.r1[3])),
            lesion=lesion,
            sharpness=rng.uniform(1.2, 2.5),
            ribbon=rng.uniform(0.5, 1.2),
            class_offsets=torch.from_numpy(offsets).to(device),
            vessel_radius_mm=rng.uniform(0.3, 1.2) if rng.random() < 0.8 else 0.0,
            dura_uptake=rng.uniform(0.2, 2.0) if rng.random() < 0.6 else 0.0,
            sinus_uptake=rng.uniform(1.0, 4.0) if rng.random() < 0.8 else 0.0,
            choroid_uptake=rng.uniform(0.5, 3.0) if rng.random() < 0.6 else 0.0,
            white_matter_lesions=rng.uniform(0.6, 1.6) if rng.random() < 0.4 else 0.0,
            residue=rng.uniform(0.0, 3.5) if rng.random() < 0.3 else 0.0,
            mask_shift_mm=rng.uniform(-1.5, 1.0),
            mask_rough_mm=rng.uniform(0.0, 1.2),
            residue_intensity=torch.from_numpy(rng.uniform(0.2, 1.6, 4).astype(np.float32)).to(device),
        )

    def brain_mask(self, view: View) -> Tensor:
        """What skull stripping leaves, ``[k, j, i]`` bool: the brain, its errors, and tumours that reach outside."""
        edge = self.mask_shift_mm + self.mask_rough_mm * view.noise(10.0)
        mask = view.depth_mm > edge
        if self.residue > 0:
            mask = mask | ((view.depth_mm > -self.residue) & (view.noise(12.0) > 0.9))
        return mask | (view.levels[0] > 0)

    def paint(self, view: View) -> Tensor:
        """Noise-free signals ``[4, k, j, i]`` in the order of CHANNELS."""
        shares = self._healthy_shares(view)
        fine, middle, coarse = view.noise(3.0), view.noise(8.0), view.noise(20.0)
        flat = shares.flatten(1)
        r1 = (self.healthy.r1 @ flat).view(fine.shape)
        r2 = (self.healthy.r2 @ flat).view(fine.shape)
        density = (self.healthy.density @ flat).view(fine.shape)
        texture = 1 + 0.03 * fine + 0.03 * middle + 0.03 * coarse
        r1, r2 = r1 * texture, r2 * (1 + 0.04 * middle - 0.03 * coarse)
        uptake = 0.05 + self._distractor_uptake(view, shares)
        r2, density = self._white_matter_lesions(view, shares, r2, density)
        core, enhancing, oedema = self._lesion_shares(view)
        r1, r2, density, uptake = self._add_lesion(
            (r1, r2, density, uptake), (core, enhancing, oedema), (fine, middle, coarse)
        )
        classes = torch.cat([shares, torch.stack([core * (1 - enhancing), core * enhancing, oedema])])
        signals = []
        for index, channel in enumerate(CHANNELS):
            rate = r1 + uptake if channel == "t1c" else r1
            signal = self.sequences.signal(channel, rate.clamp_min(0.12), r2.clamp_min(0.4), density)
            offsets = self.class_offsets[index]
            if bool(offsets.any()):
                spread = signal[view.depth_mm > 2.0]
                scale = float(spread.std()) if spread.numel() > 8 else 0.1
                signal = (signal + 5.0 * scale * torch.tensordot(offsets, classes, dims=1)).clamp_min(0.0)
            signals.append(signal)
        out = torch.stack(signals)
        if self.residue > 0:
            outside = view.depth_mm < -0.5
            top = out.flatten(1).amax(1) * 0.6 * self.residue_intensity
            out = torch.where(outside & (view.levels[0] < 0), top[:, None, None, None] * (1 + 0.3 * fine), out)
        return out

    def _healthy_shares(self, view: View) -> Tensor:
        """Tissue shares ``[4, ...]`` with the blurred ribbon of the averaged template sharpened and perturbed."""
        probability = view.tissues.clone()
        # round the brain there is fluid, so that blur at its edge mixes with fluid and not with nothing
        probability[3] = probability[3] + (1 - probability.sum(0)).clamp_min(0.0)
        logits = self.sharpness * probability.clamp_min(1e-3).log()
        logits[0] += self.sharpness * self.ribbon * view.noise(4.0)
        logits[3] += self.sharpness * self.ribbon * view.noise(4.0)
        return torch.softmax(logits, dim=0)

    def _lesion_shares(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Soft occupancies: core, the enhancing share of the core, oedema outside the core."""
        lesion = self.lesion
        core = torch.sigmoid(view.levels[0] / (0.45 * lesion.core_softness_mm))
        enhancing = torch.sigmoid(view.levels[1] / 0.3)
        # people draw the faint edge of oedema as oedema: its label starts where an eighth of the change is there
        soft = lesion.oedema_softness_mm
        oedema = (1 - core) * torch.sigmoid((view.levels[2] - 0.9 * soft) / (0.45 * soft))
        # oedema is wettest beside the core
        wetness = 0.8 + 0.45 * torch.exp(view.levels[0].clamp(-40.0, 0.0) / 7.0)
        return core, enhancing, oedema * wetness

    def _add_lesion(
        self, values: tuple[Tensor, ...], shares: tuple[Tensor, Tensor, Tensor], noise: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        r1, r2, density, uptake = values
        core, enhancing, oedema = shares
        fine, middle, coarse = noise
        lesion = self.lesion
        slower = 1.0 if self.healthy.field_tesla == 3.0 else 1.25
        wet = oedema * (lesion.oedema_share * (1 + lesion.oedema_patchiness * coarse + 0.1 * middle)).clamp(0.06, 1.1)
        r1 = r1 + wet * (slower / lesion.oedema_t1 - r1)
        r2 = r2 + wet * (1 / lesion.oedema_t2 - r2)
        density = density + wet * (0.88 - density)
        texture = torch.exp(lesion.core_texture * (0.7 * fine + middle + 0.7 * coarse))
        necrosis = core * (1 - enhancing)
        active = core * enhancing
        bleed = 1 + 1.5 * lesion.haemorrhage * torch.sigmoid(4 * (middle - 1.0))
        other = torch.sigmoid(4 * (0.7 * coarse + 0.7 * middle))
        necrosis_r1 = (1 - other) / lesion.necrosis_t1 + other / (lesion.other_necrosis_t1 or lesion.necrosis_t1)
        necrosis_r2 = (1 - other) / lesion.necrosis_t2 + other / (lesion.other_necrosis_t2 or lesion.necrosis_t2)
        r1 = r1 + necrosis * (slower * bleed * necrosis_r1 * texture - r1)
        r2 = r2 + necrosis * (bleed * necrosis_r2 * texture - r2)
        r1 = r1 + active * (slower * bleed / lesion.enhancing_t1 * texture.sqrt() - r1)
        r2 = r2 + active * (bleed / lesion.enhancing_t2 * texture - r2)
        density = density + necrosis * (0.95 - density) + active * (0.86 - density)
        gadolinium = lesion.uptake * torch.exp(lesion.uptake_spread * (0.6 * fine + middle + 0.6 * coarse))
        leak = 0.04 + 0.08 * torch.sigmoid(middle)
        uptake = uptake * (1 - core) + active * gadolinium + necrosis * leak + oedema * 0.03
        return r1, r2, density, uptake

    def _distractor_uptake(self, view: View, shares: Tensor) -> Tensor:
        """Contrast uptake of vessels, dura, sinuses and choroid plexus, which is not tumour."""
        uptake = torch.zeros_like(view.depth_mm)
        if self.vessel_radius_mm > 0:
            # two smooth fields vanish together along curves, which serve as vessels
            distance = torch.hypot(view.noise(18.0), view.noise(18.0)) * (18.0 / 2.2)
            vessel = torch.sigmoid((self.vessel_radius_mm - distance) / 0.35)
            uptake = uptake + 3.0 * vessel * (view.noise(25.0) > -0.3)
        if self.dura_uptake > 0:
            shell = torch.sigmoid((1.2 - (view.depth_mm - 0.3).abs()) / 0.4)
            uptake = uptake + self.dura_uptake * shell * torch.sigmoid(3 * (view.noise(15.0) - 0.3))
        if self.sinus_uptake > 0:
            x, y, z = view.atlas_mm.unbind(-1)
            middle = torch.sigmoid((3.0 - x.abs()) / 0.7) * torch.sigmoid((4.5 - view.depth_mm) / 0.8)
            uptake = uptake + self.sinus_uptake * middle * ((z > 15) | (y < -40))
        if self.choroid_uptake > 0:
            plexus = shares[3] * (view.depth_mm > 25) * torch.sigmoid(4 * (view.noise(5.0) - 0.8))
            uptake = uptake + self.choroid_uptake * plexus
        return uptake

    def _white_matter_lesions(self, view: View, shares: Tensor, r2: Tensor, density: Tensor) -> tuple[Tensor, Tensor]:
        """Small bright spots of FLAIR and T2 in white matter that are not tumour."""
        if self.white_matter_lesions == 0:
            return r2, density
        spots = torch.sigmoid(5 * (view.noise(7.0) + 0.5 * view.noise(20.0) - 2.6 / self.white_matter_lesions))
        wet = 0.8 * spots * shares[2]
        return r2 + wet * (1 / 0.14 - r2), density + wet * (0.88 - density)
