"""How much a scan looks like the studies a model learnt from: intensity statistics and their distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from oncoprompt.study import Study
from oncoprompt.study.foreground import foreground_mask

Statistics = Mapping[str, float]

WHOLE = "study"
"""Name of the limit for all statistics together; the others are named by their channel."""
_QUANTILES = (1, 5, 25, 50, 75, 95, 99)
_SAMPLE_MM = 2.0
_LAG = 4
_SHRINKAGE = 0.5
_ALLOWANCE = 1.1
_BETTER_SWAPPED = 1.25


@dataclass(frozen=True)
class Familiarity:
    """A normal distribution of the statistics of training studies, and how far from its middle is still usual.

    ``correlation`` [F, F] belongs to the statistics in ``names``; ``limits`` holds the largest usual distance of the
    whole study and of each channel alone.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    correlation: NDArray[np.float64]
    limits: Mapping[str, float]

    @classmethod
    def fit(cls, studies: Sequence[Statistics]) -> Familiarity:
        """Fit to at least three studies with the same channels; limits are the largest distance left out, and a tenth.

        The distance of each study is taken from the distribution of the others.
        """
        names = tuple(studies[0])
        values = np.array([[study[name] for name in names] for study in studies])
        parts = [WHOLE, *_channels(names)]
        left_out = dict.fromkeys(parts, 0.0)
        for index, study in enumerate(studies):
            others = cls._of(names, np.delete(values, index, axis=0))
            for part in parts:
                left_out[part] = max(left_out[part], others.distance(study, part))
        fitted = cls._of(names, values)
        limits = {part: _ALLOWANCE * distance for part, distance in left_out.items()}
        return cls(names, fitted.mean, fitted.deviation, fitted.correlation, limits)

    @classmethod
    def _of(cls, names: tuple[str, ...], values: NDArray[np.float64]) -> Familiarity:
        deviation = np.maximum(values.std(axis=0, ddof=1), 1e-6)
        correlation = np.atleast_2d(np.cov(((values - values.mean(axis=0)) / deviation).T))
        return cls(names, values.mean(axis=0), deviation, correlation, {})

    def distance(self, statistics: Statistics, part: str = WHOLE) -> float:
        """Mahalanobis distance over the root of the number of statistics, about 1 for a usual study.

        Correlations are shrunk by half; ``part`` is one channel, for its own statistics alone. Statistics of channels
        the training studies lack do not count.
        """
        index = [n for n, name in enumerate(self.names) if name in statistics and _belongs(name, part)]
        if not index:
            return 0.0
        found = np.array([statistics[self.names[n]] for n in index])
        scores = (found - self.mean[index]) / self.deviation[index]
        correlation = (1.0 - _SHRINKAGE) * self.correlation[np.ix_(index, index)] + _SHRINKAGE * np.eye(len(index))
        return float(np.sqrt(scores @ np.linalg.solve(correlation, scores) / len(index)))

    def warnings(self, statistics: Statistics) -> list[str]:
        """What is unusual about a study, in sentences; none for a usual one."""
        known = _channels(self.names)
        here = [name for name in _channels(statistics) if name in known]
        strange = [name for name in _channels(statistics) if name not in known]
        said = [f"Channel {name} was in none of the training studies." for name in strange]
        swap = self._swap(statistics, here)
        if swap is not None:
            said.append(f"Channels {swap[0]} and {swap[1]} look exchanged; check which file is which.")
        for part in (WHOLE, *here):
            distance = self.distance(statistics, part)
            if distance > self.limits[part]:
                what = "The scan" if part == WHOLE else f"Channel {part}"
                said.append(
                    f"{what} looks unlike the training studies (distance {distance:.1f}, usual up to "
                    f"{self.limits[part]:.1f}); judge the result with care."
                )
        return said

    def _swap(self, statistics: Statistics, channels: Sequence[str]) -> tuple[str, str] | None:
        """The two channels whose exchange brings the study nearest, where that is clearly nearer."""
        pairs = list(combinations(channels, 2))
        if not pairs:
            return None
        distances = [self.distance(_exchanged(statistics, *pair)) for pair in pairs]
        best = int(np.argmin(distances))
        return pairs[best] if self.distance(statistics) > _BETTER_SWAPPED * distances[best] else None


def intensity_statistics(study: Study) -> dict[str, float]:
    """Named statistics of a study's channels over the foreground, of the z-scores a network sees.

    A channel has quantiles and "noise", log(median |difference of neighbours|); two channels the correlation of their
    differences over 8 mm; all together "foreground", the log of its litres. Sampled every 2 mm.
    """
    spacing = study.grid.spacing_mm
    steps = tuple(slice(None, None, max(1, round(_SAMPLE_MM / mm))) for mm in spacing)
    found: dict[str, float] = {}
    scores: dict[str, NDArray[np.float32]] = {}
    inside: dict[str, NDArray[np.bool_]] = {}
    for name, array in study.channels.items():
        sample = array[steps]
        inside[name] = foreground_mask(sample, name)
        values = sample[inside[name]]
        mean, deviation = float(values.mean()), max(float(values.std()), 1e-6)
        scores[name] = (sample - mean) / deviation
        for percent, value in zip(_QUANTILES, np.percentile(values, _QUANTILES), strict=True):
            found[f"{name} {percent} %"] = (float(value) - mean) / deviation
        difference = _median_difference(array, steps, int(np.argmin(spacing)), inside[name])
        found[f"{name} noise"] = float(np.log(difference / deviation + 1e-3))
    for one, other in combinations(sorted(scores), 2):
        found[_pair(one, other)] = _difference_correlation(scores[one], scores[other], inside[one] & inside[other])
    voxel_ml = study.grid.voxel_volume_ml * float(np.prod([step.step for step in steps]))
    anywhere = np.logical_or.reduce(list(inside.values()))
    found["foreground"] = float(np.log(np.count_nonzero(anywhere) * voxel_ml / 1000.0))
    return found


def _median_difference(
    array: NDArray[np.float32], steps: tuple[slice, ...], axis: int, inside: NDArray[np.bool_]
) -> float:
    """Median |difference| of each sampled voxel inside and its neighbour along an axis."""
    neighbours = list(steps)
    neighbours[axis] = slice(1, None, steps[axis].step)
    following = array[tuple(neighbours)]
    shared = tuple(slice(0, size) for size in following.shape)
    differences = np.abs(array[steps][shared] - following)[inside[shared]]
    return float(np.median(differences)) if differences.size else 0.0


def _difference_correlation(one: NDArray[np.float32], other: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Correlation (about zero) of the differences over _LAG samples along each axis, clipped to one deviation."""
    products = ones = others = 0.0
    for axis in range(3):
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(_LAG, None), slice(None, -_LAG)
        there, here = tuple(ahead), tuple(behind)
        both = inside[there] & inside[here]
        x = np.clip((one[there] - one[here])[both], -1, 1)
        y = np.clip((other[there] - other[here])[both], -1, 1)
        products, ones, others = products + float(x @ y), ones + float(x @ x), others + float(y @ y)
    return products / float(np.sqrt(ones * others) + 1e-9)


def _pair(one: str, other: str) -> str:
    return "~".join(sorted((one, other)))


def _belongs(name: str, part: str) -> bool:
    return part == WHOLE or name.startswith(f"{part} ")


def _channels(names: Mapping[str, float] | Sequence[str]) -> list[str]:
    return [name.removesuffix(" noise") for name in names if name.endswith(" noise")]


def _exchanged(statistics: Statistics, one: str, other: str) -> dict[str, float]:
    """The statistics as they were if two channels had each other's name."""
    names = {one: other, other: one}
    out = {}
    for name, value in statistics.items():
        if "~" in name:
            first, second = name.split("~")
            out[_pair(names.get(first, first), names.get(second, second))] = value
        else:
            channel, space, rest = name.partition(" ")
            out[f"{names.get(channel, channel)}{space}{rest}"] = value
    return out
