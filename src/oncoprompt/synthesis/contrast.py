"""Contrast beyond the signal equations: class means shifted a little, or drawn anew in an order that physics keeps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.synthesis.lesion import LesionTissue
from oncoprompt.synthesis.relaxometry import CHANNELS, HealthyTissue, Sequences

CLASSES = ("cortical grey", "deep grey", "white", "csf", "necrosis", "enhancing", "oedema", "cavity")
_BRAIN_SHARES = np.array([0.4, 0.05, 0.4, 0.15])


@dataclass(frozen=True)
class Contrast:
    """What is added to each channel's signal for each of CLASSES, ``[4, 8]``."""

    offsets: Tensor

    @staticmethod
    def random(
        rng: np.random.Generator,
        healthy: HealthyTissue,
        sequences: Sequences,
        lesion: LesionTissue,
        shifted: float = 0.3,
        ordered: float = 0.2,
    ) -> Contrast:
        """A share ``ordered`` of the channels gets random class means in the order of the physical ones.

        Adjacent healthy classes may swap (p 0.1); enhancing tumour stays brightest on T1c and oedema above grey and
        white on T2 and FLAIR. Another share ``shifted`` has its means moved by about half a deviation.
        """
        centre = _centre_signals(healthy, sequences, lesion)
        offsets = np.zeros((len(CHANNELS), len(CLASSES)), np.float32)
        all_ordered = rng.random() < 0.1
        for channel, physical in enumerate(centre):
            brain = physical[:4]
            spread = float(
                np.sqrt(np.average((brain - np.average(brain, weights=_BRAIN_SHARES)) ** 2, weights=_BRAIN_SHARES))
            )
            kind = rng.random()
            if all_ordered or kind < ordered:
                offsets[channel] = _ordered_means(rng, physical, channel) - physical
            elif kind < ordered + shifted:
                offsets[channel] = rng.normal(0, 0.5 * spread, len(CLASSES))
                # what defines a compartment may vary, but not vanish: enhancement on T1c, oedema on T2 and FLAIR
                if CHANNELS[channel] == "t1c":
                    offsets[channel, 4:7] = np.abs(offsets[channel, 4:7]) * [-1, 1, -1]
                if CHANNELS[channel] in ("t2w", "t2f"):
                    offsets[channel, 6] = abs(offsets[channel, 6])
        return Contrast(torch.from_numpy(offsets).to(healthy.r1.device))

    def shift(self, signals: Tensor, shares: Tensor, lesion: Tensor, lesion_shares: Tensor | None) -> None:
        """Add the offsets to signals ``[4, N]`` in place; ``lesion_shares`` ``[4, M]`` belong to points ``lesion``."""
        healthy, diseased = self.offsets[:, :4], self.offsets[:, 4:]
        for index in range(len(CHANNELS)):
            if not bool(self.offsets[index].any()):
                continue
            change = healthy[index] @ shares[:4]
            if lesion_shares is not None:
                free = (1 - lesion_shares.sum(0)).clamp_min(0.0)
                change[lesion] = change[lesion] * free + diseased[index] @ lesion_shares
            signals[index] = (signals[index] + change).clamp_min_(0.0)


def _centre_signals(healthy: HealthyTissue, sequences: Sequences, lesion: LesionTissue) -> NDArray[np.float32]:
    """Signal of each channel ``[4, 8]`` for each of CLASSES without texture."""
    slower = 1.0 if healthy.field_tesla == 3.0 else 1.25
    device = healthy.r1.device
    t1 = (lesion.necrosis_t1, lesion.enhancing_t1, lesion.oedema_t1, lesion.cavity_t1)
    t2 = (lesion.necrosis_t2, lesion.enhancing_t2, lesion.oedema_t2, lesion.cavity_t2)
    r1 = torch.cat([healthy.r1[:4], slower / torch.tensor(t1, device=device)])
    r2 = torch.cat([healthy.r2[:4], 1 / torch.tensor(t2, device=device)])
    density = torch.cat([healthy.density[:4], torch.tensor([0.95, 0.86, 0.88, 1.0], device=device)])
    uptake = torch.full_like(r1, 0.05)
    uptake[5] = lesion.uptake
    signals = [sequences.signal(channel, r1 + uptake if channel == "t1c" else r1, r2, density) for channel in CHANNELS]
    out: NDArray[np.float32] = torch.stack(signals).cpu().numpy()
    return out


def _ordered_means(rng: np.random.Generator, physical: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """Random means in the range of the physical ones and, but for swaps of healthy neighbours, in their order."""
    low, high = float(physical.min()), float(physical.max())
    values = np.sort(rng.uniform(0.8 * low, 1.1 * high, len(physical)).astype(np.float32))
    order = np.argsort(physical)
    means = np.empty_like(values)
    means[order] = values
    for first, second in pairwise(order):
        if max(first, second) < 4 and rng.random() < 0.1:
            means[[first, second]] = means[[second, first]]
    gap = 0.15 * (high - low)
    if CHANNELS[channel] == "t1c":
        means[5] = max(means[5], np.delete(means, 5).max() + gap)
    if CHANNELS[channel] in ("t2w", "t2f"):
        means[6] = max(means[6], means[:3].max() + gap)
    return means
