"""Grey levels that TAGS sees: one table for CT by organ, z-scores for MRI of the brain."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.study import Study
from oncoprompt.study.foreground import find_foreground

BRAIN = "brain"
"""The organ whose scans are z-scored over the head."""

MRI_ORDER = ("t2f", "t1c", "t2w", "t1n")
"""Which channel of an MRI study is looked at: the first of these that it has."""

_Z_LOW, _Z_HIGH = -4.0, 6.0


@dataclass(frozen=True)
class Intensities:
    """Clip to low..high, subtract the mean, divide by the deviation; `fill` is the raw value outside the scan."""

    low: float
    high: float
    mean: float
    deviation: float
    fill: float

    def standardise(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Raw values of any shape -> what the network sees."""
        return np.asarray((np.clip(values, self.low, self.high) - self.mean) / self.deviation, dtype=np.float32)


def _ct(low: float, high: float, mean: float, deviation: float) -> Intensities:
    # The published padding is 0 after standardisation, which is the mean before it.
    return Intensities(low, high, mean, deviation, mean)


CT: Mapping[str, Intensities] = MappingProxyType(
    {
        "kidney": _ct(-54.0, 247.0, 59.53867, 55.457336),
        "liver": _ct(-48.0, 163.0, 60.057533, 40.198017),
        "pancreas": _ct(-39.0, 204.0, 68.45214, 63.422806),
    }
)
"""Hounsfield units by organ: percentiles 0.5 and 99.5, mean and deviation of foreground voxels of the training sets of
KiTS21, LiTS and the MSD pancreas, as the released code has them."""

ANY_CT = _ct(-100.0, 250.0, 75.0, 101.0)
"""CT of no named organ: soft tissue, with the mean and deviation of values spread evenly over the window."""

_SOFT_LOW, _SOFT_HIGH, _SOFT_MIDDLE, _SOFT_SPREAD = -150.0, 250.0, 60.0, 30.0


def soft_tissue(values: NDArray[Any]) -> NDArray[np.float32]:
    """CT as TAGS compact is shown it: asinh((HU - 60) / 30), HU clipped to -150..250.

    A tumour in an organ differs from it by 20 HU, fat and bone by hundreds; so the former is a third of the latter.
    """
    clipped = np.clip(values, _SOFT_LOW, _SOFT_HIGH)
    return np.asarray(np.arcsinh((clipped - _SOFT_MIDDLE) / _SOFT_SPREAD), dtype=np.float32)


_WORDS = MappingProxyType(
    {
        "kidney": r"kidneys?|renal|kits(19|21|23)?",
        "liver": r"livers?|hepat\w*|hcc|lits",
        "pancreas": r"pancrea\w*",
        BRAIN: r"brain|cerebral|head|gliomas?|glioblastomas?|gbm|astrocytomas?|oligodendrogliomas?|meningiomas?|dural",
    }
)


def organ_in(words: str) -> str | None:
    """The organ that words speak of: "kidney", "liver", "pancreas", "brain", or None.

    Of several the first decides: "liver metastasis of a pancreatic tumour" lies in the liver.
    """
    found = [
        (match.start(), organ)
        for organ, pattern in _WORDS.items()
        if (match := re.search(rf"\b({pattern})\b", words, re.I))
    ]
    return min(found)[1] if found else None


def of_mri(channel: NDArray[np.float32]) -> Intensities:
    """z-score over the head (`find_foreground`), clipped at -4 and 6; outside the scan lies what is darkest in it."""
    head = find_foreground(channel)
    low, high = (head.mean + z * head.deviation for z in (_Z_LOW, _Z_HIGH))
    return Intensities(low, high, head.mean, head.deviation, float(channel.min()))


def channel_for(study: Study, organ: str | None) -> str:
    """The channel that is looked at: CT for an organ of the abdomen, else MRI where there is any.

    Channels without a place in `MRI_ORDER` come last, CT before them.
    """
    order = ("ct", *MRI_ORDER) if organ in CT else (*MRI_ORDER, "ct")
    return next((name for name in order if name in study.channels), next(iter(study.channels)))


def intensities_for(study: Study, channel: str, organ: str | None) -> Intensities:
    """How a channel of a study is shown to the network, see `CT`, `ANY_CT` and `of_mri`."""
    if channel == "ct":
        return CT.get(organ or "", ANY_CT)
    return of_mri(study.channels[channel])
