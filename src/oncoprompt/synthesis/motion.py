"""A head that moves: between the channels of a study, in the middle of a scan, and with every breath."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_SLICES = 16


@dataclass(frozen=True)
class Motion:
    """Sudden translations during a scan whose k-space lines along ``axis`` are measured one after the other.

    ``times`` are the fractions of the scan at which the head moves, ascending; ``positions_mm`` (k, j, i) is where it
    lies after each of them, relative to where it lay before the first.
    """

    axis: int
    times: tuple[float, ...]
    positions_mm: tuple[tuple[float, float, float], ...]

    @staticmethod
    def random(rng: np.random.Generator) -> "Motion":
        """One to three movements of about 0.5 to 3 mm at any time."""
        count = int(rng.integers(1, 4))
        steps = rng.normal(0, math.exp(rng.uniform(math.log(0.5), math.log(2.5))), (count, 3))
        return Motion(
            axis=int(rng.integers(0, 3)),
            times=tuple(float(t) for t in np.sort(rng.uniform(0, 1, count))),
            positions_mm=tuple((float(k), float(j), float(i)) for k, j, i in steps.cumsum(0)),
        )

    def apply(self, image: Tensor, spacing_mm: Sequence[float]) -> Tensor:
        """Magnitude image ``[k, j, i]`` whose line f of k-space is multiplied by ``exp(-2 pi i f . position(f))``.

        The energy of the image stays. Positions are relative to the one at the centre of k-space, where most of the
        signal lies, so the image stays where its labels are.
        """
        n = image.shape[self.axis]
        edges = [0, *(round(time * n) for time in self.times), n]
        positions = [(0.0, 0.0, 0.0), *self.positions_mm]
        centre = next(p for p, stop in zip(positions, edges[1:], strict=True) if stop > n // 2)
        spectrum = torch.fft.fftn(image)
        for position, start, stop in zip(positions, edges, edges[1:], strict=False):
            offset = [(p - c) / s for p, c, s in zip(position, centre, spacing_mm, strict=True)]
            if stop <= start or not any(offset):
                continue
            # line 0 of the scan is the most negative frequency, which the transform stores in the middle
            for low, high in _unshifted(start - n // 2, stop - n // 2, n):
                lines = spectrum.narrow(self.axis, low, high - low)
                for axis, voxels in enumerate(offset):
                    frequency = torch.fft.fftfreq(image.shape[axis], device=image.device)
                    if axis == self.axis:
                        frequency = frequency[low:high]
                    shape = [1, 1, 1]
                    shape[axis] = -1
                    lines.mul_(torch.polar(torch.ones_like(frequency), -2 * math.pi * voxels * frequency).view(shape))
        magnitude: Tensor = torch.fft.ifftn(spectrum).abs()
        return magnitude


def _unshifted(low: int, high: int, n: int) -> list[tuple[int, int]]:
    """Places in a transform of length n of the frequencies ``low:high``, negative ones at the end."""
    parts = [(low + n, min(high, 0) + n), (max(low, 0), high)]
    return [(start, stop) for start, stop in parts if stop > start and start >= 0]


def ghost(image: Tensor, share: float, shift_mm: float, axis: int, spacing_mm: Sequence[float]) -> Tensor:
    """Image plus a fainter copy of itself moved along the phase-encoding axis, as periodic movement leaves it."""
    return torch.add(image, image.roll(round(shift_mm / spacing_mm[axis]), axis), alpha=share)


def rotate(image: Tensor, rotation_deg: Sequence[float], spacing_mm: Sequence[float]) -> Tensor:
    """Image ``[k, j, i]`` turned by small angles about the axes (k, j, i) through the centre of the grid.

    Three shears with quadratic interpolation along each axis: to first order in the angle a rotation is
    ``x + w x x``; at 0.5 degrees the rest is below 0.01 mm. An order of magnitude cheaper than sampling in 3-D, and
    the renderer need not visit another grid for every channel. Steps above one voxel are taken in several passes.
    """
    w = [math.radians(angle) for angle in rotation_deg]
    centred = []
    for axis, (n, spacing) in enumerate(zip(image.shape, spacing_mm, strict=True)):
        shape = [1, 1, 1]
        shape[axis] = n
        centred.append(((torch.arange(n, device=image.device, dtype=image.dtype) - (n - 1) / 2) * spacing).view(shape))
    k, j, i = centred
    displacement = [w[1] * i - w[2] * j, w[2] * k - w[0] * i, w[0] * j - w[1] * k]
    voxels = [u / spacing for u, spacing in zip(displacement, spacing_mm, strict=True)]
    passes = max(1, math.ceil(max(float(u.abs().max()) for u in voxels)))
    for _ in range(passes):
        image = _sheared(image, [u / passes for u in voxels])
    return image


def _sheared(image: Tensor, voxels: Sequence[Tensor]) -> Tensor:
    """One shear along each axis, slab by slab with a halo of one slice, so that the work stays in the cache."""
    out = torch.empty_like(image)
    for start in range(0, len(image), _SLICES):
        stop = min(start + _SLICES, len(image))
        low, high = max(start - 1, 0), min(stop + 1, len(image))
        slab = image[low:high].clone()
        for axis in range(3):
            _shear(slab, voxels[axis] if axis == 0 else voxels[axis][low:high], axis)
        out[start:stop] = slab[start - low : stop - low]
    return out


def _shear(image: Tensor, voxels: Tensor, axis: int) -> None:
    """In place ``f(x + u)`` along an axis from the parabola through each voxel and its two neighbours."""
    n = image.shape[axis]
    if n < 3:
        return
    source = image.clone()
    behind, here, ahead = (source.narrow(axis, start, n - 2) for start in range(3))
    slope = ahead - behind
    inner = image.narrow(axis, 1, n - 2)
    inner.addcmul_(slope, voxels, value=0.5)
    torch.add(ahead, behind, out=slope).sub_(here, alpha=2.0)
    inner.addcmul_(slope, voxels.square(), value=0.5)
