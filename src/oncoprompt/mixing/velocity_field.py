"""The stationary velocity field that morphs one head into another, fitted as an implicit neural representation."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from oncoprompt.errors import InputError
from oncoprompt.mixing.anchor import SPACING_MM, Anchor
from oncoprompt.study.whole_file import write_whole
from oncoprompt.synthesis.fields import BOX_MM, box_points, box_shape, exponential, sample

VELOCITY_SPACING_MM = 8.0
"""Spacing of the grid on which a velocity field is kept and integrated."""

_WINDOW_NODES = 5
_VARIANCE_FLOOR = 0.02


@dataclass(frozen=True)
class VelocityField:
    """Velocity ``[3, K, J, I]`` float16, mm per unit of pseudo-time, at VELOCITY_SPACING_MM, from one head to another.

    The flow phi of the field over one unit of pseudo-time pulls ``source`` back onto ``target``:
    I_source(phi(x)) resembles I_target(x). ``iterations`` says how long it was fitted.
    """

    source: str
    target: str
    velocity: Tensor
    iterations: int = 0

    def displacement(self, time: float = 1.0) -> Tensor:
        """phi_time - id in mm, ``[3, K, J, I]``; a negative time gives the inverse map."""
        return flow_displacement(self.velocity.float() * time)

    def save(self, path: Path) -> None:
        """Write the field, whole or not at all."""
        about = {"source": self.source, "target": self.target, "iterations": self.iterations}
        # One entry, for several come in a random order, and the same field must give the same bytes.
        metadata = {"field": json.dumps(about)}
        write_whole(path, save({"velocity": self.velocity.cpu().contiguous()}, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> VelocityField:
        """Read a field; raises InputError for a file that is damaged or holds something else."""
        try:
            with safe_open(path, framework="pt") as file:
                velocity = file.get_tensor("velocity")
                about = json.loads((file.metadata() or {})["field"])
            field = cls(str(about["source"]), str(about["target"]), velocity, int(about["iterations"]))
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            raise InputError(f"'{path}' is no velocity field ({error}). Delete it; it will be fitted again.") from error
        if velocity.shape != (3, *box_shape(VELOCITY_SPACING_MM)) or not bool(velocity.isfinite().all()):
            raise InputError(f"'{path}' holds {tuple(velocity.shape)}, no velocity field. Delete it and fit again.")
        return field


def flow_displacement(velocity_mm: Tensor) -> Tensor:
    """Displacement in mm of the flow of a velocity ``[3, K, J, I]`` at VELOCITY_SPACING_MM over unit pseudo-time."""
    return exponential(velocity_mm, box_points(VELOCITY_SPACING_MM, velocity_mm.device))


@dataclass(frozen=True)
class FitSettings:
    """How a field is fitted.

    ``smoothness`` weighs mean |dv/dx|^2, ``folding`` mean relu(0.1 - det)^2, ``tissue`` one minus the Dice of tissues;
    ``windows`` cubes of 5^3 points are compared in each iteration.
    """

    iterations: int = 150
    learning_rate: float = 2e-3
    smoothness: float = 2.0
    folding: float = 1.0
    tissue: float = 0.5
    windows: int = 128
    seed: int = 0


def fit_velocity_field(source: Anchor, target: Anchor, settings: FitSettings | None = None) -> VelocityField:
    """Fit v between two heads by Adam on

    L = 1 - LNCC(I_source o phi, I_target) + a mean|dv/dx|^2 + b mean relu(0.1 - det dphi)^2 + c (1 - Dice(tissues)),

    the first and last term over random windows outside both lesions. Deterministic by ``settings.seed``. Raises
    InputError where the heads share no channel or differ in their tissues.
    """
    settings = settings or FitSettings()
    images, others = source.shared(target)
    if len(source.tissues) != len(target.tissues):
        raise InputError(f"'{source.name}' has {len(source.tissues)} tissues, '{target.name}' {len(target.tissues)}.")
    moving = torch.cat([images, source.tissues, source.healthy[None]])
    still = torch.cat([others, target.tissues, target.healthy[None]])
    device = images.device
    generator = torch.Generator(device=device).manual_seed(settings.seed)
    network = VelocityNetwork(generator)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.iterations)
    nodes = box_points(VELOCITY_SPACING_MM, device)
    seen = (source.tissues.amax(0) > 0.1) | (target.tissues.amax(0) > 0.1)
    centres = box_points(SPACING_MM, device)[seen]
    for _ in range(settings.iterations):
        points = _random_windows(centres, settings.windows, generator)
        velocity = network(nodes).permute(3, 0, 1, 2)
        displacement = exponential(velocity, nodes)
        moved = sample(moving, points + sample(displacement, points).permute(1, 2, 3, 0))
        loss = (
            _dissimilarity(moved, sample(still, points), len(images), settings.tissue)
            + settings.smoothness * _roughness(velocity)
            + settings.folding * _folding(nodes + displacement.permute(1, 2, 3, 0))
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        fitted = network(nodes).permute(3, 0, 1, 2)
    return VelocityField(source.name, target.name, fitted.to(torch.float16).contiguous(), settings.iterations)


class VelocityNetwork(nn.Module):
    """SIREN v(x): three hidden layers h = sin(w0 (W h + b)) of 128, then a linear one that starts at zero."""

    def __init__(self, generator: torch.Generator, width: int = 128, frequency: float = 10.0) -> None:
        super().__init__()
        self.frequency = frequency
        self.scale_mm = 10.0
        device = generator.device
        self.hidden = nn.ModuleList(nn.Linear(n, width, device=device) for n in (3, width, width))
        self.last = nn.Linear(width, 3, device=device)
        with torch.no_grad():
            for layer, bound in zip(self.hidden, (1 / 3, *[math.sqrt(6 / width) / frequency] * 2), strict=True):
                for parameter in layer.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)
            for parameter in self.last.parameters():
                parameter.zero_()

    def forward(self, points_mm: Tensor) -> Tensor:
        """Velocity in mm ``[..., 3]`` at points ``[..., 3]``."""
        x = points_mm / (max(BOX_MM) / 2)
        for layer in self.hidden:
            x = torch.sin(self.frequency * layer(x))
        return cast(Tensor, self.scale_mm * self.last(x))


def _random_windows(centres_mm: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Points ``[count, 125, 1, 3]`` of cubes around random centres, one or two anchor voxels between points."""
    device = centres_mm.device
    chosen = torch.randint(len(centres_mm), (count,), generator=generator, device=device)
    steps = torch.randint(1, 3, (count, 1, 1), generator=generator, device=device) * SPACING_MM
    axis = torch.arange(_WINDOW_NODES, device=device, dtype=torch.float32) - (_WINDOW_NODES - 1) / 2
    offsets = torch.cartesian_prod(axis, axis, axis)
    return (centres_mm[chosen, None] + steps * offsets)[:, :, None]


def _dissimilarity(moved: Tensor, still: Tensor, images: int, tissue: float) -> Tensor:
    """1 - LNCC of the first channels of ``[C, W, N, 1]`` plus ``tissue`` (1 - Dice) of the others but the last.

    The last channel is the weight of a point. It has no gradient: a field must not pay by hiding what differs.
    """
    weight = (moved[-1] * still[-1]).detach()[..., 0]
    mass = weight.sum(1).clamp_min(1e-6)

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum(2) / mass

    first, second = moved[:images, ..., 0], still[:images, ..., 0]
    first, second = first - mean(first)[..., None], second - mean(second)[..., None]
    correlation = mean(first * second) / (mean(first**2) * mean(second**2) + _VARIANCE_FLOOR**2).sqrt()
    similarity = (correlation.mean(0) * mass).sum() / mass.sum().clamp_min(1e-6)
    own, other = moved[images:-1, ..., 0], still[images:-1, ..., 0]
    both, either = ((weight * shares).sum((1, 2)) for shares in (own * other, own**2 + other**2))
    return 1 - similarity + tissue * (1 - ((2 * both + 1) / (either + 1)).mean())


def _roughness(velocity: Tensor) -> Tensor:
    return torch.stack([(velocity.diff(dim=axis) / VELOCITY_SPACING_MM).square().mean() for axis in (1, 2, 3)]).sum()


def _folding(points_mm: Tensor) -> Tensor:
    """Mean relu(0.1 - det)^2 of a map given by its images of the nodes, ``[K, J, I, 3]``."""
    r, a, s = (
        points_mm.diff(dim=axis)[tuple(slice(None) if d == axis else slice(-1) for d in range(3))] for axis in (2, 1, 0)
    )
    determinant = (torch.linalg.cross(r, a) * s).sum(-1) / VELOCITY_SPACING_MM**3
    return torch.relu(0.1 - determinant).square().mean()
