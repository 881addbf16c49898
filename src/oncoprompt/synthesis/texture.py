"""How a lesion's tissue looks, carried from one scan to the intensities of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree
from torch import Tensor

from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.growth import signed_distance

MEAN_SIGMA_MM = 3.0
"""Blur that splits a texture into its mean and its residual."""

_GUIDES = ("t1n", "t1c", "t2w", "t2f")
_DEEP_MM = 6.0
_LESION_MARGIN_MM = 3.0


@dataclass(frozen=True)
class Reference:
    """Intensities ``[C]`` of normal white matter and of fluid (CSF): the zero and the unit of contrast of a scan.

    The unit is ``max(|white - fluid|, |white| / 2)`` where the specification has the spread of white matter, which in
    scans is mostly noise. The second term holds where fluid is hardly told from tissue (thick slices, poor nulling).
    """

    channels: tuple[str, ...]
    white: Tensor
    fluid: Tensor

    @classmethod
    def of(cls, case: LabelledCase) -> Reference:
        """Read both from the brain outside the lesion: white matter by the mode of deep tissue in the first of T1n,
        T1c, T2w, FLAIR (its peak next to the far side of CSF), fluid by the half percent most like it."""
        images = F.avg_pool3d(case.images[None], 2)[0]
        brain = F.avg_pool3d(case.brain[None, None].float(), 2)[0, 0] > 0.99
        lesion = F.avg_pool3d((case.labels > 0)[None, None].float(), 2)[0, 0] > 0
        if bool(lesion.any()):
            lesion = signed_distance(lesion, 2.0) > -_LESION_MARGIN_MM
        depth = signed_distance(brain, 2.0)
        normal = brain & ~lesion & (depth > 2.0)
        if not bool(normal.any()):
            normal = brain if bool(brain.any()) else torch.ones_like(brain)
        deep = normal & (depth > _DEEP_MM)
        deep = deep if bool(deep.any()) else normal
        values = images[:, normal].cpu().numpy()
        fluid = np.array(
            [np.percentile(v, 99.5 if name == "t2w" else 0.5) for name, v in zip(case.channels, values, strict=True)]
        )
        guide = min(range(len(case.channels)), key=lambda c: _GUIDES.index(case.channels[c]))
        inside = images[:, deep].cpu().numpy()
        mode = _mode(inside[guide], case.channels[guide])
        band = np.abs(inside[guide] - mode) <= 0.15 * abs(mode - fluid[guide]) + 1e-12
        white = np.median(inside[:, band], axis=1)
        white_and_fluid = torch.from_numpy(np.stack([white, fluid])).float().to(case.images.device)
        return cls(case.channels, *white_and_fluid)

    @property
    def unit(self) -> Tensor:
        """One unit of contrast, ``[C]``."""
        return torch.maximum((self.white - self.fluid).abs(), self.white.abs() / 2).clamp_min(1e-6)

    def only(self, channels: tuple[str, ...]) -> Reference:
        """The reference of some of the channels, in another order."""
        rows = [self.channels.index(name) for name in channels]
        return Reference(channels, self.white[rows], self.fluid[rows])

    def fluid_share(self, images: Tensor) -> Tensor:
        """How much of each voxel is CSF, 0 to 1 ``[...]``, of images ``[C, ...]``: what every channel agrees on."""
        shape = (-1, *[1] * (images.ndim - 1))
        towards = (images - self.white.view(shape)) / (self.fluid - self.white).view(shape)
        return ((towards - 0.4) / 0.3).clamp(0.0, 1.0).amin(0)


def _mode(values: NDArray[np.float32], channel: str) -> float:
    """The peak of white matter: the brightest high peak on T1, the darkest on T2, the highest on FLAIR."""
    low, high = np.percentile(values, [0.5, 99.5])
    counts, edges = np.histogram(values, bins=96, range=(low, max(high, low + 1e-6)))
    smooth = gaussian_filter1d(counts.astype(float), 2.0)
    padded = np.pad(smooth, 1)
    peaks = np.flatnonzero((smooth >= padded[:-2]) & (smooth > padded[2:]) & (smooth > 0.4 * smooth.max()))
    peak = {"t2w": peaks[0], "t2f": smooth.argmax()}.get(channel, peaks[-1])
    return float((edges[peak] + edges[peak + 1]) / 2)


def harmonise(
    mean: Tensor, residual: Tensor, source: Reference, target: Reference, residual_scale: float = 1.0
) -> Tensor:
    """``white_t + (mean - white_s) s + residual s k`` with ``s = unit_t / unit_s``, of textures ``[C, ...]``.

    Keeps the contrast of a lesion to white matter in units of the target's contrast.
    """
    shape = (-1, *[1] * (mean.ndim - 1))
    scale = (target.unit / source.unit).view(shape)
    return target.white.view(shape) + (mean - source.white.view(shape) + residual * residual_scale) * scale


@dataclass(frozen=True)
class Texture:
    """Mean and residual ``[C, k, j, i]`` of a crop, and its labels."""

    mean: Tensor
    residual: Tensor
    labels: Tensor

    @classmethod
    def of(cls, images: Tensor, brain: Tensor, labels: Tensor) -> Texture:
        """Split images ``[C, k, j, i]``; outside the brain the mean goes on and the residual is 0."""
        weight = _blurred(brain.float()).clamp_min(1e-4)
        mean = torch.stack([_blurred(image * brain) for image in images]) / weight
        return cls(mean, (images - mean) * brain, labels * brain)

    def at(self, voxels: Tensor, labels: Tensor, outside: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and residual ``[C, n]`` at fractional indices ``[n, 3]``.

        Points where ``outside`` holds take the mean of the nearest voxel that has their label (``labels`` ``[n]``) and
        the residual of the point mirrored at that voxel, so that the grain goes on. Labels the crop lacks count as any.
        """
        channels = len(self.mean)
        size = torch.tensor(self.labels.shape, device=voxels.device)
        grid = ((2 * voxels + 1) / size - 1).flip(-1)[None, None, None]
        both = torch.cat([self.mean, self.residual])[None]
        out = F.grid_sample(both, grid, padding_mode="border", align_corners=False)[0, :, 0, 0]
        for label in labels[outside].unique().tolist():
            chosen = torch.nonzero(outside & (labels == label))[:, 0]
            out[:, chosen] = self._nearest(voxels[chosen], int(label))
        return out[:channels], out[channels:]

    def _nearest(self, voxels: Tensor, label: int) -> Tensor:
        """Mean and residual ``[2 C, n]`` of the part of the lesion next to points outside it."""
        part = self.labels == label
        if not bool(part.any()):
            part = self.labels > 0
        inside = torch.nonzero(part).cpu().numpy()
        points = voxels.cpu().numpy()
        tree = cKDTree(inside)
        nearest = inside[tree.query(points)[1]]
        mirrored = np.rint(2 * nearest - points).astype(int)
        last = np.array(part.shape) - 1
        mirrored = np.clip(mirrored, 0, last)
        kept = part.cpu().numpy()[tuple(mirrored.T)]
        grain = np.where(kept[:, None], mirrored, nearest)
        return torch.cat([self.mean[(slice(None), *nearest.T)], self.residual[(slice(None), *grain.T)]])


def _blurred(volume: Tensor) -> Tensor:
    return torch.from_numpy(gaussian_filter(volume.cpu().numpy(), MEAN_SIGMA_MM, truncate=2.5, mode="nearest")).to(
        volume.device
    )


def contrast_curve(values: Tensor, low: Tensor, high: Tensor, gamma: float) -> Tensor:
    """``low + (high - low) v^gamma`` of values ``[C, n]`` between the bounds ``[C]``; others stay as they are."""
    span = (high - low).clamp_min(1e-6)[:, None]
    position = (values - low[:, None]) / span
    bent = position.clamp(0.0, 1.0).pow(gamma)
    return torch.where((position > 0) & (position < 1), low[:, None] + span * bent, values)


def fuse(texture: Tensor, background: Tensor, alpha: Tensor, shell: Tensor, sweeps: int) -> Tensor:
    """``alpha texture + (1 - alpha) background`` ``[C, k, j, i]``, its shell relaxed by Jacobi sweeps.

    The sweeps go towards ``laplace(I) = div(alpha grad(texture) + (1 - alpha) grad(background))`` in the shell; what
    lies beside the shell keeps its values.
    """
    # written so that the background stays bitwise where alpha is 0
    composite = torch.where(alpha > 0, torch.lerp(background, texture, alpha), background)
    inner = torch.zeros_like(shell)
    inner[1:-1, 1:-1, 1:-1] = shell[1:-1, 1:-1, 1:-1]
    where = torch.nonzero(inner.flatten())[:, 0]
    if sweeps == 0 or where.numel() == 0:
        return composite
    flat, painted, under = (volume.flatten(1) for volume in (composite, texture, background))
    share = alpha.flatten()
    _, j, i = shell.shape
    neighbours = [where + step for step in (1, -1, i, -i, i * j, -i * j)]
    divergence = torch.zeros_like(flat[:, where])
    for other in neighbours:
        weight = (share[where] + share[other]) / 2
        divergence += torch.lerp(under[:, where] - under[:, other], painted[:, where] - painted[:, other], weight)
    for _ in range(sweeps):
        total = divergence.clone()
        for other in neighbours:
            total += flat[:, other]
        flat[:, where] = total / len(neighbours)
    return flat.view_as(composite)
