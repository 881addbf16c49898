"""What the probabilities and volumes of a model are worth, measured on studies it has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.inference.familiarity import Familiarity
from oncoprompt.inference.volume_interval import VolumeError
from oncoprompt.study import REGIONS

_LEAST = 1e-6
_HALF = np.float32(0.5)
_ABOVE_HALF = np.nextafter(_HALF, np.float32(1.0))


@runtime_checkable
class Calibrated(Protocol):
    """A method that brings the "calibration" section of its weights' manifest; empty where it has none."""

    @property
    def calibration(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Calibration:
    """Temperature and error of the volume of each region, and the statistics of the training studies.

    ``weights_sha256`` names the weights it was fitted to; ``least_certainty`` is what box_check.certainty hardly ever
    falls below in boxes on tumours.
    """

    weights_sha256: str
    temperatures: Mapping[str, float]
    volumes: Mapping[str, VolumeError]
    least_certainty: float
    familiarity: Familiarity

    def probabilities(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities [3, ...] (WT, TC, ET): sigmoid(logit(p) / T), T of the region, then nested again.

        A probability is above 0.5 exactly where it was before, so masks stay as they are.
        """
        clipped = np.clip(values, _LEAST, 1.0 - _LEAST)
        logits = np.log(clipped) - np.log1p(-clipped)
        for index, region in enumerate(REGIONS):
            logits[index] /= self.temperatures[region]
        out = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        out = np.where(values > _HALF, np.maximum(out, _ABOVE_HALF), np.minimum(out, _HALF))
        return np.minimum.accumulate(out, axis=0)

    def to_manifest(self) -> dict[str, Any]:
        """Plain data for the manifest of the weights."""
        return {
            "weights_sha256": self.weights_sha256,
            "temperatures": {region: round(value, 4) for region, value in self.temperatures.items()},
            "volumes": {region: asdict(error) for region, error in self.volumes.items()},
            "least_certainty": round(self.least_certainty, 4),
            "familiarity": {
                "names": list(self.familiarity.names),
                "mean": self.familiarity.mean.round(4).tolist(),
                "deviation": self.familiarity.deviation.round(4).tolist(),
                "correlation": self.familiarity.correlation.round(3).tolist(),
                "limits": {part: round(limit, 3) for part, limit in self.familiarity.limits.items()},
            },
        }

    @classmethod
    def from_manifest(cls, section: Mapping[str, Any]) -> Calibration:
        """Read what `to_manifest` gave; raises WeightsError for anything else."""
        try:
            learnt = section["familiarity"]
            names = tuple(learnt["names"])
            mean, deviation, correlation = (np.asarray(learnt[n], float) for n in ("mean", "deviation", "correlation"))
            if not len(names) == len(mean) == len(deviation) or correlation.shape != (len(names), len(names)):
                raise ValueError("the statistics have different lengths")
            return cls(
                str(section["weights_sha256"]),
                {region: _temperature(section["temperatures"][region]) for region in REGIONS},
                {region: VolumeError(**section["volumes"][region]) for region in REGIONS},
                float(section["least_certainty"]),
                Familiarity(names, mean, deviation, correlation, dict(learnt["limits"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"The manifest of the weights has a section 'calibration' that cannot be read: {error!r}. Fit it again."
            ) from error


def calibration_of(method: object, weights_sha256: str) -> Calibration | None:
    """The calibration a method brings, or None where it has none or it was fitted to other weights."""
    section = method.calibration if isinstance(method, Calibrated) else {}
    if not section or section.get("weights_sha256") != weights_sha256:
        return None
    return Calibration.from_manifest(section)


def fit_temperature(studies: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]]) -> float:
    """The T that makes sigmoid(logit(p) / T) likeliest, for pairs of probabilities (N,) and truth (N,).

    It minimises the mean over studies of the mean negative log-likelihood. Raises InputError without studies.
    """
    if not studies:
        raise InputError("A temperature needs at least one study with probabilities and truth.")
    signed = []
    for values, truth in studies:
        clipped = np.clip(values.astype(np.float64), _LEAST, 1.0 - _LEAST)
        signed.append((np.log(clipped) - np.log1p(-clipped)) * np.where(truth, 1.0, -1.0))

    def loss(log_temperature: float) -> float:
        return float(np.mean([np.logaddexp(0.0, -s / np.exp(log_temperature)).mean() for s in signed]))

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.2), np.log(10.0)), method="bounded").x))


def _temperature(value: Any) -> float:
    if not 0.0 < float(value) < np.inf:
        raise ValueError(f"temperature {value}")
    return float(value)
