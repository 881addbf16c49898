"""Reaction-diffusion growth of an infiltrating tumour, signed distances of masks and levels of a given volume."""

import edt
import torch
from torch import Tensor

from oncoprompt.geometry import mask_bounds

_MOST_STEPS = 400
_STEPS_AT_ONCE = 4


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
    alive = diffusivity > 0
    for _ in range(_MOST_STEPS // _STEPS_AT_ONCE):
        # nothing grows further than a voxel a step, so that only the surroundings of the tumour need a look
        window = _window(density > 1e-5, _STEPS_AT_ONCE + 1)
        part, reaction, living = density[window], rate[window] * rho, alive[window]
        flows = [face[_without_last(window, axis)] for axis, face in enumerate(faces)]
        for _ in range(_STEPS_AT_ONCE):
            change = reaction * part * (1 - part)
            for axis, face in enumerate(flows):
                flux = face * part.diff(dim=axis)
                n = part.shape[axis]
                change.narrow(axis, 0, n - 1).add_(flux)
                change.narrow(axis, 1, n - 1).sub_(flux)
            part.add_(change, alpha=step).clamp_(0.0, 1.0).mul_(living)
        if float((part > 0.6).sum()) >= target_voxels:
            break
    return density


def _window(mask: Tensor, margin: int) -> tuple[slice, ...]:
    """The part of a box that holds a mask and a margin round it; all of it for an empty mask."""
    if not bool(mask.any()):
        return tuple(slice(0, n) for n in mask.shape)
    bounds = mask_bounds(mask.cpu().numpy())
    return tuple(
        slice(max(0, int(low) - margin), min(n, int(high) + margin))
        for (low, high), n in zip(bounds, mask.shape, strict=True)
    )


def _without_last(window: tuple[slice, ...], axis: int) -> tuple[slice, ...]:
    """A window of voxels as one of the faces between them along an axis."""
    return tuple(slice(part.start, part.stop - (n == axis)) for n, part in enumerate(window))


def signed_distance(mask: Tensor, h: float) -> Tensor:
    """Distance to the mask's surface in mm, positive inside, ``[K, J, I]``."""
    inside = mask.to(torch.uint8).cpu().numpy()
    distance = edt.edt(inside, anisotropy=(h, h, h), parallel=1)
    distance -= edt.edt(1 - inside, anisotropy=(h, h, h), parallel=1)
    # voxel centres lie half a voxel from the surface between an inside and an outside voxel
    distance[inside > 0] -= h / 2
    distance[inside == 0] += h / 2
    return torch.from_numpy(distance).to(mask.device)


def volume_shift(level: Tensor, target_voxels: float, most: float) -> float:
    """What to take off a level so that it is positive in ``target_voxels`` voxels, at most ``most`` either way."""
    count = min(max(round(target_voxels), 1), level.numel() - 1)
    # any threshold between the last value inside and the first one outside gives the same volume
    highest = level.flatten().topk(count + 1).values
    return float(((highest[-1] + highest[-2]) / 2).clamp(-most, most))
