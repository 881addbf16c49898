"""Oedema that follows white matter, spares cortex, and does not jump the falx."""

import cc3d
import torch
from torch import Tensor

from oncoprompt.synthesis.growth import volume_shift
from oncoprompt.synthesis.tumours.site import Site

_DRY = -5.0
SPREAD_LIMIT = 2.5
"""No oedema lies further than this many times its reach, plus 4 mm, from what causes it."""


def limit_mm(reach_mm: float) -> float:
    """How far from its source any oedema of a reach may lie."""
    return SPREAD_LIMIT * reach_mm + 4.0


def vasogenic_oedema(
    site: Site, source: Tensor, reach_mm: float, spread: float, target_voxels: float | None = None
) -> Tensor:
    """Level ``[K, J, I]`` of oedema round a source that does not infiltrate, given as a level in mm.

    ``reach_mm`` is how far it goes in white matter, ``spread`` the log-scale amplitude of its unevenness;
    ``target_voxels`` a volume outside the source which the reach is moved to by up to 6 mm.
    """
    if reach_mm <= 0:
        return torch.full_like(source, _DRY)
    reach = reach_mm * torch.exp(spread * site.noise(16.0))
    gate = 6.0 * (site.white + 0.4 * site.grey - 0.7).clamp_max(0.0)
    level = reach * (0.15 + 0.85 * site.white).sqrt() + source + gate + 0.8 * site.noise(5.0)
    if target_voxels is None:
        level = torch.where(reach > 1.0, level, _DRY)
    else:
        outside = torch.where((source > 0) | (site.depth_mm <= 0.5), -99.0, level)
        level = level - volume_shift(outside, target_voxels, most=6.0)
    return attached(site, level, source, reach_mm)


def attached(site: Site, level: Tensor, source: Tensor, reach_mm: float) -> Tensor:
    """The part of an oedema that hangs together with its source through the brain, within its limit."""
    level = torch.minimum(level, limit_mm(reach_mm) + source)
    level = torch.where((site.depth_mm > 0.5) & (site.falx_distance_mm > 1.0), level, _DRY)
    wet = (level > 0) | (source > 0)
    parts = cc3d.connected_components(wet.cpu().numpy(), connectivity=6)
    pieces = torch.from_numpy(parts.astype("int32")).to(level.device)
    kept = torch.zeros(int(pieces.max()) + 1, dtype=torch.bool, device=level.device)
    kept[pieces[source > 0]] = True
    return torch.where((level > 0) & ~kept[pieces], _DRY, level)
