"""Tissue values and MR signal equations: from relaxation rates to T1, contrast-enhanced T1, T2 and FLAIR."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.atlas import HEAD_DENSITY, HEAD_T1, HEAD_T2

CHANNELS = ("t1n", "t1c", "t2w", "t2f")

# cortical grey, deep grey, white, csf: T1 (s), T2 (s), proton density, by field strength in tesla
_T1 = {1.5: (1.05, 0.90, 0.62, 4.2), 3.0: (1.40, 1.20, 0.85, 4.3)}
_T2 = {1.5: (0.095, 0.085, 0.080, 1.8), 3.0: (0.085, 0.075, 0.070, 1.7)}
_DENSITY = (0.82, 0.80, 0.70, 1.0)


@dataclass(frozen=True)
class HealthyTissue:
    """Rates (1/s) and proton density ``[9]`` of healthy tissue in the order of atlas.TISSUES, then HEAD_TISSUES."""

    r1: Tensor
    r2: Tensor
    density: Tensor
    field_tesla: float

    @staticmethod
    def table(field_tesla: float, device: torch.device) -> "HealthyTissue":
        """The centre values at 1.5 or 3 T."""
        return HealthyTissue(
            1 / torch.tensor(_T1[field_tesla] + HEAD_T1[field_tesla], device=device),
            1 / torch.tensor(_T2[field_tesla] + HEAD_T2[field_tesla], device=device),
            torch.tensor(_DENSITY + HEAD_DENSITY, device=device),
            field_tesla,
        )

    @staticmethod
    def random(rng: np.random.Generator, device: torch.device) -> "HealthyTissue":
        """Table values at 1.5 or 3 T with log-normal spread: T1 8 %, T2 12 %, proton density 3 %."""
        centre = HealthyTissue.table(3.0 if rng.random() < 0.6 else 1.5, device)
        spread = np.exp(rng.normal(0, 1, (3, len(centre.r1))) * [[0.08], [0.12], [0.03]])
        t1, t2, density = torch.tensor(spread, dtype=torch.float32, device=device)
        return HealthyTissue(centre.r1 / t1, centre.r2 / t2, centre.density * density, centre.field_tesla)


@dataclass(frozen=True)
class Sequences:
    """Timing of the four acquisitions in seconds; ``inversion`` tells MPRAGE from spin-echo T1."""

    t1_inversion: bool
    t1_ti: float
    t1_tr: float
    t1_te: float
    t1c_inversion: bool
    t1c_ti: float
    t1c_tr: float
    t1c_te: float
    t2_tr: float
    t2_te: float
    flair_tr: float
    flair_te: float
    flair_ti: float

    @staticmethod
    def random(rng: np.random.Generator, csf_r1: float) -> "Sequences":
        """Clinical ranges; the FLAIR inversion time nulls CSF to within -3 to +5 percent; T1c mostly repeats T1."""
        first = _random_t1(rng)
        second = first if rng.random() < 0.8 else _random_t1(rng)
        tr, te = rng.uniform(7.5, 11.0), rng.uniform(0.09, 0.14)
        null = math.log(2 / (1 + math.exp(-(tr - te) * csf_r1))) / csf_r1
        return Sequences(
            *first,
            *second,
            t2_tr=rng.uniform(3.0, 6.5),
            t2_te=rng.uniform(0.08, 0.12),
            flair_tr=tr,
            flair_te=te,
            flair_ti=null * rng.uniform(0.97, 1.05),
        )

    def signal(self, channel: str, r1: Tensor, r2: Tensor, density: Tensor) -> Tensor:
        """Magnitude of a channel's signal; for ``t1c`` pass the rate after contrast agent."""
        if channel in ("t1n", "t1c"):
            inversion, ti, tr, te = (
                (self.t1_inversion, self.t1_ti, self.t1_tr, self.t1_te)
                if channel == "t1n"
                else (self.t1c_inversion, self.t1c_ti, self.t1c_tr, self.t1c_te)
            )
            if inversion:
                recovery = (1 - 2 * torch.exp(-ti * r1) / (1 + torch.exp(-tr * r1))).abs()
                return density * recovery * torch.exp(-2 * te * r2)
            return density * (1 - torch.exp(-tr * r1)) * torch.exp(-te * r2)
        if channel == "t2w":
            return density * (1 - torch.exp(-self.t2_tr * r1)) * torch.exp(-self.t2_te * r2)
        recovery = 1 - 2 * torch.exp(-self.flair_ti * r1) + torch.exp(-(self.flair_tr - self.flair_te) * r1)
        return density * recovery.abs() * torch.exp(-self.flair_te * r2)


def _random_t1(rng: np.random.Generator) -> tuple[bool, float, float, float]:
    if rng.random() < 0.6:
        return True, rng.uniform(0.85, 1.1), rng.uniform(1.6, 2.4), rng.uniform(0.002, 0.004)
    return False, 0.0, rng.uniform(0.4, 0.8), rng.uniform(0.008, 0.018)
