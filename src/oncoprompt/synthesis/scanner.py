"""What scanners and patients do to an image, applied last: everything of one channel, in the order of acquisition."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oncoprompt.synthesis.motion import Motion, ghost, rotate
from oncoprompt.synthesis.receiver import POOL_SIZE, Bias, Spike, sliced_gaussian
from oncoprompt.synthesis.resolution import Block, Resolution

_ROWS = 32
_SLICES = 16


@dataclass(frozen=True)
class Scanner:
    """The degradations of one channel; lengths in mm, axes and triples in the order (k, j, i), 0 or None for none.

    ``bias`` is the standard deviation of the logarithm of the coil's sensitivity; ``noise`` and ``spike`` are shares
    of the brightest tissue; ``truncation_mm`` is the voxel size of a truncated k-space (Gibbs ringing); ``cut_mm`` is
    how much of the field of view is missing at the lower or (``cut_far``) upper end of ``cut_axis``.
    """

    blur_mm: float = 0.0
    slice_mm: float = 0.0
    slice_axis: int = 0
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    motion: Motion | None = None
    ghost: float = 0.0
    ghost_shift_mm: float = 0.0
    ghost_axis: int = 0
    truncation_mm: float = 0.0
    truncation_axis: int = 0
    bias: float = 0.0
    bias_knot_mm: float = 70.0
    noise: float = 0.0
    spike: float = 0.0
    spike_period_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    levels: int = 0
    cut_mm: float = 0.0
    cut_axis: int = 0
    cut_far: bool = False

    @staticmethod
    def random(rng: np.random.Generator) -> "Scanner":
        """Ranges of clinical studies; blur, bias, noise and gamma always, the rest the rarer the worse."""

        def happens(probability: float) -> bool:
            return bool(rng.random() < probability)

        def triple(values: np.ndarray) -> tuple[float, float, float]:
            return (float(values[0]), float(values[1]), float(values[2]))

        nothing = (0.0, 0.0, 0.0)
        return Scanner(
            blur_mm=rng.uniform(0.3, 0.8),
            slice_mm=float(np.exp(rng.uniform(np.log(1.5), np.log(6.0)))) if happens(0.7) else 0.0,
            slice_axis=int(rng.choice([0, 1, 2], p=[0.86, 0.07, 0.07])),
            shift_mm=triple(rng.normal(0, 0.4, 3)) if happens(0.25) else nothing,
            rotation_deg=triple(rng.uniform(-0.5, 0.5, 3)) if happens(0.2) else nothing,
            motion=Motion.random(rng) if happens(0.1) else None,
            ghost=rng.uniform(0.03, 0.15) if happens(0.03) else 0.0,
            ghost_shift_mm=rng.uniform(8, 80),
            ghost_axis=int(rng.integers(0, 3)),
            truncation_mm=rng.uniform(1.5, 3.0) if happens(0.03) else 0.0,
            truncation_axis=int(rng.integers(0, 3)),
            bias=rng.uniform(0.015, 0.19),
            bias_knot_mm=rng.uniform(50, 90),
            noise=float(np.exp(rng.uniform(np.log(0.004), np.log(0.045)))),
            spike=rng.uniform(0.01, 0.06) if happens(0.03) else 0.0,
            spike_period_mm=triple(np.exp(rng.uniform(np.log(3), np.log(60), 3)) * rng.choice([-1, 1], 3)),
            gamma=float(np.exp(rng.normal(0, 0.12))),
            levels=int(2 ** rng.integers(8, 13)) if happens(0.1) else 0,
            cut_mm=rng.uniform(8, 35) if happens(0.05) else 0.0,
            cut_axis=int(rng.choice([0, 1, 2], p=[0.7, 0.15, 0.15])),
            cut_far=happens(0.5),
        )

    def acquire(
        self,
        signal: Tensor,
        spacing_mm: Sequence[float],
        top: float,
        generator: torch.Generator,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The measured magnitude of a noise-free ``signal`` ``[k, j, i]`` in units of ``top``, its brightest tissue.

        With a ``mask`` only the voxels inside are computed and the others are 0. Linear effects commute, so those that
        need the whole image come first and the rest is done slab by slab, in what the cache of a processor holds.
        """
        signal = self._moved(signal, spacing_mm).contiguous()
        shape, device = signal.shape, signal.device
        lines = [
            self._resolution(axis).blocks(n, spacing_mm[axis], _SLICES if axis == 0 else _ROWS, device)
            for axis, n in enumerate(shape)
        ]
        bias = Bias(self.bias_knot_mm, shape, spacing_mm, generator)
        spike = Spike(self.spike_period_mm, shape, spacing_mm) if self.spike > 0 else None
        thickness = self.slice_mm if self.slice_axis == 0 else 0.0
        count = max(1, math.ceil(shape[0] * spacing_mm[0] / max(thickness, spacing_mm[0])))
        offsets = torch.randint(POOL_SIZE, (2,), generator=generator, device=generator.device).tolist()
        image = torch.empty_like(signal) if mask is None else torch.zeros_like(signal)
        for slab in lines[0]:
            slices = slice(slab.start, slab.stop)
            rows, columns = lines[1], lines[2]
            if mask is not None:
                # ten times as fast as any() of booleans
                inside = mask[slices].view(torch.uint8).amax(0)
                rows, columns = _covering(rows, inside.any(1)), _covering(columns, inside.any(0))
                if not rows:
                    continue
            box = (slices, slice(rows[0].start, rows[-1].stop), slice(columns[0].start, columns[-1].stop))
            value = _resolved(signal, slab, rows, columns)
            value.mul_(bias.slab(*box).mul_(self.bias).sub_(math.log(top)).exp_())
            real, imaginary = (
                sliced_gaussian(slices, shape, count, offset, device)[:, box[1], box[2]] for offset in offsets
            )
            value.add_(real, alpha=self.noise)
            if spike is not None:
                value.add_(spike.slab(*box, device), alpha=self.spike)
            value.square_().addcmul_(imaginary, imaginary, value=self.noise**2)
            if abs(self.gamma - 1) < 0.005:
                value.sqrt_()
            else:
                value.log_().mul_(self.gamma / 2).exp_()
            if mask is None:
                image[slices] = value
            else:
                torch.mul(value, mask[box], out=image[box])
        return self._stored(image, spacing_mm)

    def _moved(self, signal: Tensor, spacing_mm: Sequence[float]) -> Tensor:
        """What movement makes of the signal."""
        if any(self.rotation_deg):
            signal = rotate(signal, self.rotation_deg, spacing_mm)
        if self.motion is not None:
            signal = self.motion.apply(signal, spacing_mm)
        if self.ghost > 0:
            signal = ghost(signal, self.ghost, self.ghost_shift_mm, self.ghost_axis, spacing_mm)
        return signal

    def _resolution(self, axis: int) -> Resolution:
        return Resolution(
            blur_mm=self.blur_mm,
            slice_mm=self.slice_mm if axis == self.slice_axis else 0.0,
            shift_mm=self.shift_mm[axis],
            truncation_mm=self.truncation_mm if axis == self.truncation_axis else 0.0,
        )

    def _stored(self, image: Tensor, spacing_mm: Sequence[float]) -> Tensor:
        """In place what a file makes of the image: whole grey levels, and nothing beyond the field of view."""
        step = float(image.max()) / (self.levels - 1) if self.levels > 0 else 0.0
        if step > 0:
            image.div_(step).round_().mul_(step)
        n = image.shape[self.cut_axis]
        missing = min(round(self.cut_mm / spacing_mm[self.cut_axis]), n)
        image.narrow(self.cut_axis, n - missing if self.cut_far else 0, missing).zero_()
        return image


def _covering(blocks: list[Block], wanted: Tensor) -> list[Block]:
    """The run of blocks from the first to the last wanted row."""
    rows = wanted.nonzero()
    if len(rows) == 0:
        return []
    return [block for block in blocks if block.stop > int(rows[0]) and block.start <= int(rows[-1])]


def _resolved(signal: Tensor, slab: Block, rows: list[Block], columns: list[Block]) -> Tensor:
    """The part ``[k, j, i]`` of the blurred signal that the blocks of the three axes give."""
    n = signal.shape[2]
    low, high = min(b.low for b in rows), max(b.high for b in rows)
    source = signal.view(len(signal), -1)[slab.low : slab.high, low * n : high * n]
    first = torch.mm(slab.weights, source).view(slab.stop - slab.start, high - low, n)
    second = first.new_empty(len(first), rows[-1].stop - rows[0].start, n)
    for block in rows:
        part = second[:, block.start - rows[0].start : block.stop - rows[0].start]
        torch.matmul(block.weights, first[:, block.low - low : block.high - low], out=part)
    out = first.new_empty(second.shape[0] * second.shape[1], columns[-1].stop - columns[0].start)
    for block in columns:
        part = out[:, block.start - columns[0].start : block.stop - columns[0].start]
        torch.mm(second.view(-1, n)[:, block.low : block.high], block.weights.T, out=part)
    return out.view(second.shape[0], second.shape[1], -1)
