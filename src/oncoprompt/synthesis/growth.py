"""Reaction-diffusion growth of an infiltrating tumour and signed distances of masks."""

import edt
import torch
from torch import Tensor


def grow(diffusivity: Tensor, rate: Tensor, seeds: Tensor, target_voxels: float, front_mm: float, h: float) -> Tensor:
    """Cell density ``[K, J, I]`` in 0..1 of ``dc/dt = div(D grad c) + rho c (1 - c)`` once ``c > 0.6`` fills a volume.

    ``diffusivity`` is relative (0 at pia and ventricles, 1 in white matter) and is scaled so that the front is
    ``sqrt(D / rho) = front_mm`` wide; ``h`` is the voxel size in mm. Explicit Euler, harmonic face diffusivities.
    """
    rho = 0.05
    spread = diffusivity * (rho * front_mm**2)
    faces = []
    for axis in range(3):
        a, b = spread.narrow(axis, 1, spread.shape[axis] - 1), spread.narrow(axis, 0, spread.shape[axis] - 1)
        faces.append(2 * a * b / (a + b).clamp_min(1e-9) / h**2)
    step = min(h * h / (6.5 * max(float(spread.max()), 1e-6)), 0.45 / (rho * float(rate.max())))
    density = seeds.clone()
    reaction = rate * rho
    alive = diffusivity > 0
    for iteration in range(400):
        change = reaction * density * (1 - density)
        for axis, face in enumerate(faces):
            flux = face * density.diff(dim=axis)
            n = density.shape[axis]
            change.narrow(axis, 0, n - 1).add_(flux)
            change.narrow(axis, 1, n - 1).sub_(flux)
        density = (density + step * change).clamp_(0.0, 1.0) * alive
        if iteration % 4 == 3 and float((density > 0.6).sum()) >= target_voxels:
            break
    return density


def signed_distance(mask: Tensor, h: float) -> Tensor:
    """Distance to the mask's surface in mm, positive inside, ``[K, J, I]``."""
    inside = mask.to(torch.uint8).cpu().numpy()
    distance = edt.edt(inside, anisotropy=(h, h, h), parallel=1)
    distance -= edt.edt(1 - inside, anisotropy=(h, h, h), parallel=1)
    # voxel centres lie half a voxel from the surface between an inside and an outside voxel
    distance[inside > 0] -= h / 2
    distance[inside == 0] += h / 2
    return torch.from_numpy(distance).to(mask.device)
