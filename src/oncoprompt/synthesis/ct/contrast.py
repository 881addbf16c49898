"""HU of tissues by contrast phase.

The tables are chosen: round values inside the ranges that general radiology textbooks give for 120 kVp and a usual
dose of iodine. They are no measurement of ours, and every patient varies around them (`Enhancement.random`).
"""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

PHASES = ("native", "arterial", "portal", "excretory")
"""No contrast agent; late arterial (35 s, corticomedullary); portal venous (70 s); excretory (5 min and later)."""

PHASE_SHARES = (0.12, 0.28, 0.48, 0.12)

TISSUE_HU = MappingProxyType(
    {
        # tissue: native, arterial, portal, excretory
        "aorta": (42, 300, 160, 105),
        "cava": (40, 95, 140, 105),
        "portal vein": (41, 115, 172, 108),
        "hepatic vein": (41, 60, 165, 106),
        "liver": (56, 70, 110, 88),
        "spleen": (47, 125, 120, 88),
        "pancreas": (38, 108, 94, 68),
        "renal cortex": (34, 190, 188, 130),
        "renal medulla": (31, 75, 165, 128),
        "renal pelvis": (8, 9, 14, 650),
        "muscle": (50, 56, 62, 60),
        "bowel wall": (38, 85, 88, 62),
        "heart": (42, 200, 150, 105),
        "adrenal": (25, 60, 70, 45),
        "marrow": (150, 160, 170, 165),
    }
)

FIXED_HU = MappingProxyType(
    {
        "air": -1000,
        "lung": -850,
        "fat": -103,
        "skin": 0,
        "bile": 8,
        "fluid": 12,
        "disc": 80,
        "cartilage": 110,
        "cortical bone": 750,
        "canal": 22,
        "table": -300,
    }
)
"""Tissues that contrast agent does not change here."""

_SPREAD = MappingProxyType(
    {"aorta": 0.14, "portal vein": 0.15, "hepatic vein": 0.15, "cava": 0.15, "renal pelvis": 0.4}
)


@dataclass(frozen=True)
class Enhancement:
    """One patient's contrast: phase, how far timing is towards the next (0..1), dose, fat in liver and muscle, HU."""

    phase: str
    lateness: float
    dose: float
    steatosis_hu: float
    muscle_fat_hu: float
    hu: dict[str, float]

    @staticmethod
    def random(rng: np.random.Generator, phase: str | None = None) -> "Enhancement":
        """Enhancement over native scales with one dose for all tissues, so organs stay consistent."""
        chosen = phase or str(rng.choice(PHASES, p=PHASE_SHARES))
        lateness = float(rng.uniform(0.0, 0.3)) if chosen in ("arterial", "portal") else 0.0
        dose = float(np.exp(rng.normal(0, 0.13)))
        steatosis = float(rng.uniform(8, 40)) if rng.random() < 0.25 else 0.0
        hu = {name: float(value) for name, value in FIXED_HU.items()}
        for name, row in TISSUE_HU.items():
            gain = dose * np.exp(rng.normal(0, _SPREAD.get(name, 0.08)))
            # Kidneys excrete contrast agent only after about three minutes, so no portal phase is late enough.
            late = 0.0 if name == "renal pelvis" else lateness
            hu[name] = row[0] + rng.normal(0, 3.5) + gain * (at_phase(row, chosen, late) - row[0])
        muscle_fat = float(rng.uniform(0, 28))
        hu["liver"] -= steatosis
        hu["muscle"] -= muscle_fat
        hu["fat"] += rng.normal(0, 4)
        hu["marrow"] *= np.exp(rng.normal(0, 0.25))
        hu["cortical bone"] *= np.exp(rng.normal(0, 0.1))
        return Enhancement(
            chosen, lateness, dose, steatosis, muscle_fat, {name: float(value) for name, value in hu.items()}
        )

    def value(self, row: tuple[float, float, float, float]) -> float:
        """A row of a table by phase at this patient's timing, its change from native scaled by the dose."""
        return row[0] + self.dose * (at_phase(row, self.phase, self.lateness) - row[0])


def at_phase(row: tuple[float, ...], phase: str, lateness: float) -> float:
    """A row by phase, linear towards the next phase."""
    index = PHASES.index(phase)
    following = min(index + 1, len(PHASES) - 1)
    return row[index] + lateness * (row[following] - row[index])
