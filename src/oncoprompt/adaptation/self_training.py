"""Self-training: a slowly moving teacher labels real scans, and the student learns the confident part of it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oncoprompt.errors import InputError

ML_PER_MM3 = 1e-3


def mean_teacher(student: nn.Module, decay: float = 0.999) -> AveragedModel:
    """A copy of the student that follows it, ``teacher <- d teacher + (1 - d) student`` (arXiv 1703.01780).

    Call its ``update_parameters(student)`` after every step; the first call copies the student.
    """
    if not 0.0 <= decay < 1.0:
        raise InputError(f"The teacher's decay is {decay}. It must be in [0, 1).")
    teacher = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(decay))
    return teacher.requires_grad_(False).eval()


@dataclass(frozen=True)
class PseudoLabels:
    """What a teacher says: masks ``[B, R, ...]`` (0 or 1) and where it is confident of them, same shape (bool)."""

    regions: Tensor
    confident: Tensor

    @classmethod
    def of(cls, probabilities: Tensor, confidence: float = 0.9) -> "PseudoLabels":
        """Masks where a probability is above a half, confident where it or its complement exceeds `confidence`."""
        sure = torch.maximum(probabilities, 1 - probabilities) > confidence
        return cls((probabilities > 0.5).to(probabilities.dtype), sure)

    def loss(self, logits: Tensor) -> Tensor:
        """Dice + cross-entropy of the student's region logits over confident voxels; zero where there are none."""
        weight = self.confident.to(logits.dtype)
        axes = tuple(range(2, logits.ndim))
        probability = torch.sigmoid(logits) * weight
        truth = self.regions * weight
        smooth = 1e-4 * weight.sum(axes).clamp_min(1.0)
        dice = 1 - (2 * (probability * truth).sum(axes) + smooth) / (probability.sum(axes) + truth.sum(axes) + smooth)
        entropy = functional.binary_cross_entropy_with_logits(logits, self.regions, weight, reduction="sum")
        return (dice * (weight.sum(axes) > 0)).mean() + entropy / weight.sum().clamp_min(1.0)


@dataclass(frozen=True)
class VolumeLimits:
    """Which pseudo-labels are too absurd to learn from, by the volume of the whole tumour.

    most_change: by what factor a volume may differ from that of an earlier label of the same view.
    """

    least_ml: float = 0.5
    most_ml: float = 350.0
    most_change: float = 3.0

    def plausible(self, mask: Tensor, spacing_mm: tuple[float, float, float]) -> bool:
        """Whether a mask of the whole tumour has a volume that tumours have."""
        volume_ml = float(mask.sum()) * float(np.prod(spacing_mm)) * ML_PER_MM3
        return self.least_ml <= volume_ml <= self.most_ml

    def steady(self, mask: Tensor, earlier: Tensor) -> bool:
        """Whether two masks on one grid are of similar volume; without an earlier one, any is refused."""
        now, before = float(mask.sum()), float(earlier.sum())
        return before > 0 and before / self.most_change <= now <= before * self.most_change


@dataclass(frozen=True)
class StrongAugmentation:
    """What the student sees of images ``[M, D, H, W]`` in z-scores: intensities changed, noise, a mirror, a hole.

    gamma, gain, shift: one a channel; bias: coarse field ``[M, 3, 3, 3]`` (log); noise: its deviation, drawn from
    noise_seed; mirrored: flipped along W; hole: bounds (3, 2) as fractions of the size, filled with each mean.
    """

    gamma: tuple[float, ...]
    gain: tuple[float, ...]
    shift: tuple[float, ...]
    bias: Tensor
    noise: float
    noise_seed: int
    mirrored: bool
    hole: tuple[tuple[float, float], ...]

    @classmethod
    def random(cls, rng: np.random.Generator, channels: int) -> "StrongAugmentation":
        """Draw one for so many channels."""
        sides = rng.uniform(0.1, 0.35, 3)
        starts = rng.uniform(0.0, 1.0 - sides)
        return cls(
            gamma=tuple(np.exp(rng.normal(0, 0.25, channels)).tolist()),
            gain=tuple(np.exp(rng.normal(0, 0.2, channels)).tolist()),
            shift=tuple(rng.normal(0, 0.3, channels).tolist()),
            bias=torch.from_numpy(rng.normal(0, 0.15, (channels, 3, 3, 3)).astype(np.float32)),
            noise=float(rng.uniform(0.0, 0.3)),
            noise_seed=int(rng.integers(2**31)),
            mirrored=bool(rng.random() < 0.5),
            hole=tuple((float(a), float(a + side)) for a, side in zip(starts, sides, strict=True)),
        )

    def apply(self, images: Tensor) -> Tensor:
        """The images ``[M, D, H, W]`` so changed."""
        low = images.amin(dim=(1, 2, 3), keepdim=True)
        span = (images.amax(dim=(1, 2, 3), keepdim=True) - low).clamp_min(1e-6)
        column = [images.new_tensor(values)[:, None, None, None] for values in (self.gamma, self.gain, self.shift)]
        gamma, gain, shift = column
        bent = ((images - low) / span).pow(gamma) * span + low
        size = images.shape[1:]
        bias = functional.interpolate(self.bias.to(images)[None], size=size, mode="trilinear", align_corners=True)[0]
        # drawn on the processor, so that a seed means the same noise on every device
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(self.noise_seed)).to(images)
        out = bent * gain * torch.exp(bias) + shift + self.noise * noise
        window = tuple(slice(int(a * n), int(b * n)) for (a, b), n in zip(self.hole, size, strict=True))
        out[(slice(None), *window)] = out.mean(dim=(1, 2, 3), keepdim=True)
        return self.mirror(out)

    def mirror(self, volume: Tensor) -> Tensor:
        """A label, prompt map or image ``[..., W]`` mirrored as the images are."""
        return volume.flip(-1) if self.mirrored else volume
