"""The anatomy of a person's own healthy scans: tissue classes fitted to the channels of a skull-stripped study."""

from __future__ import annotations

from typing import Any

import cc3d
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter

from oncoprompt.errors import InputError
from oncoprompt.geometry import mask_bounds, resample
from oncoprompt.study import Study
from oncoprompt.study.foreground import foreground_mask
from oncoprompt.synthesis.atlas import Atlas, Place, depth_of, icbm152
from oncoprompt.synthesis.case import head_grid_round
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.relaxometry import CHANNELS

_BRAIN_ML = (700.0, 2200.0)
_PRIOR_BLUR_MM = 4
_ROUNDS = 15
_NEIGHBOUR_MM = 0.8
_SOFTNESS_MM = 0.5
_VENTRICLE_DEPTH_MM = 20.0


def atlas_of_scan(study: Study, device: torch.device) -> Atlas:
    """Grey matter, white matter and fluid of a healthy, skull-stripped study, as an atlas named after it.

    After N4, three Gaussian classes over all MRI channels are fitted by expectation-maximisation with ICBM152,
    stretched to the brain's bounding box, as spatial prior (Ashburner and Friston 2005, without its deformation); the
    posteriors are smoothed over neighbours once. Which grey is deep, and where the falx is, comes from the prior.
    Raises InputError where no MRI channel is there or the foreground has not the volume of a brain.
    """
    images, inside = _on_head_box(study)
    place = _stretched_icbm(inside)
    blocks = F.avg_pool3d(place.tissues[None], _PRIOR_BLUR_MM)
    cortical, deep, white, csf = F.interpolate(blocks, scale_factor=_PRIOR_BLUR_MM, mode="trilinear")[0].numpy()
    prior = np.stack([cortical + deep, white, csf]) + np.float32(0.05)
    prior /= prior.sum(0)
    posterior = _classes(images[:, inside], prior[:, inside])
    shares = np.zeros((3, *inside.shape), np.float32)
    shares[:, inside] = posterior
    # what the neighbours are decides where intensities alone are of two minds
    shares[:, inside] *= np.stack([gaussian_filter(share, _NEIGHBOUR_MM)[inside] for share in shares]) + 1e-3
    shares /= np.maximum(shares.sum(0), 1e-6)
    grey, white, csf = (gaussian_filter(share, _SOFTNESS_MM) for share in shares)
    deep = grey * (deep / np.maximum(cortical + deep, 1e-6))
    depth = depth_of(inside)
    ventricle = csf * (depth > _VENTRICLE_DEPTH_MM)
    tissues = (grey - deep, deep, white, csf)
    return Atlas.of_maps(study.name, tissues, depth, place.falx_mm.numpy(), ventricle, device)


def _on_head_box(study: Study) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Standardised channels ``[C, K, J, I]`` and the brain mask on the head box at 1 mm."""
    names = [name for name in CHANNELS if name in study.channels]
    if not names:
        raise InputError(
            f"Study '{study.name}' has none of the channels {', '.join(CHANNELS)}. Found: {', '.join(study.channels)}."
        )
    foreground = np.logical_or.reduce([foreground_mask(study.channels[name]) for name in names])
    volume_ml = float(foreground.sum()) * study.grid.voxel_volume_ml
    if not _BRAIN_ML[0] <= volume_ml <= _BRAIN_ML[1]:
        raise InputError(
            f"Study '{study.name}' shows {volume_ml:.0f} ml that are not background, and a brain has "
            f"{_BRAIN_ML[0]:.0f} to {_BRAIN_ML[1]:.0f} ml. Strip the skull first (for example with HD-BET)."
        )
    grid = head_grid_round(study.grid, foreground)
    mask = resample(foreground.astype(np.uint8), study.grid, grid, order=0).transpose(2, 1, 0)
    inside = binary_fill_holes(cc3d.largest_k(np.ascontiguousarray(mask), k=1, connectivity=6) > 0)
    images = (resample(study.channels[name], study.grid, grid).transpose(2, 1, 0) for name in names)
    values = np.stack([_without_bias(image, inside)[inside] for image in images])
    low, high = np.percentile(values, (0.5, 99.5), axis=1, keepdims=True)
    values = values.clip(low, high)
    standard = np.zeros((len(names), *inside.shape), np.float32)
    standard[:, inside] = (values - values.mean(1, keepdims=True)) / np.maximum(values.std(1, keepdims=True), 1e-6)
    return standard, inside


def _without_bias(image: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """N4 at a quarter of the resolution: the image over a smooth gain (Tustison et al. 2010)."""
    import SimpleITK  # slow to import, and only needed here

    sitk: Any = SimpleITK  # it has no annotations
    positive = image - min(0.0, float(image.min())) + 1e-3
    whole = sitk.GetImageFromArray(np.ascontiguousarray(positive))
    mask = sitk.GetImageFromArray(np.ascontiguousarray(inside.astype(np.uint8)))
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations([20, 20])
    corrector.Execute(sitk.Shrink(whole, [4] * 3), sitk.Shrink(mask, [4] * 3))
    gain: NDArray[np.float32] = np.exp(sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(whole)))
    return positive / gain


def _stretched_icbm(inside: NDArray[np.bool_]) -> Place:
    """ICBM152 with the box round its brain stretched to the box round a mask, ``[..., K, J, I]`` on the head box."""
    atlas = icbm152(torch.device("cpu"))
    ours, theirs = (
        torch.from_numpy(mask_bounds(mask)[::-1].astype(np.float32)) for mask in (inside, atlas.depth_mm[0].numpy() > 0)
    )
    half = torch.tensor(inside.shape[::-1]) / 2.0
    scale = (theirs[:, 1] - theirs[:, 0]) / (ours[:, 1] - ours[:, 0])
    points = box_points(1.0, torch.device("cpu"))
    return atlas.at((points - (ours.mean(1) - half)) * scale + theirs.mean(1) - half)


def _classes(values: NDArray[np.float32], prior: NDArray[np.float32]) -> NDArray[np.float32]:
    """Posteriors ``[3, N]`` of Gaussian classes over values ``[C, N]`` with prior probabilities ``[3, N]``."""
    step = max(1, values.shape[1] // 100_000)
    some, weight = values[:, ::step].astype(np.float64), prior[:, ::step].astype(np.float64)
    posterior = weight
    for _ in range(_ROUNDS):
        classes = [_moments(some, share) for share in posterior]
        posterior = _posterior(some, weight, classes)
    return _posterior(values, prior, classes).astype(np.float32)


def _moments(values: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    mean = values @ weight / weight.sum()
    apart = values - mean[:, None]
    covariance = (apart * weight) @ apart.T / weight.sum() + 1e-3 * np.eye(len(mean))
    return mean, covariance


def _posterior(
    values: NDArray[np.floating], prior: NDArray[np.floating], classes: list[tuple[NDArray[np.float64], ...]]
) -> NDArray[np.float64]:
    logs = []
    for (mean, covariance), share in zip(classes, prior, strict=True):
        apart = np.linalg.solve(np.linalg.cholesky(covariance), values - mean[:, None])
        logs.append(np.log(share) - 0.5 * (apart**2).sum(0) - 0.5 * np.linalg.slogdet(covariance)[1])
    posterior = np.exp(np.stack(logs) - np.max(logs, axis=0))
    total: NDArray[np.float64] = posterior / posterior.sum(0)
    return total
