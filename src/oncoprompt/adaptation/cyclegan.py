"""CycleGAN in three dimensions: synthetic images translated to look real, with lesions held where they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

import numpy as np
import torch
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.adaptation.classes import class_probabilities, region_classes
from oncoprompt.errors import InputError

STRIDE = 4
"""Sizes of patches must be multiples of this."""
WEIGHT_DEVIATION = 0.02

Segmenter = Callable[[Tensor], Tensor]
"""Images ``[B, C, D, H, W]`` -> region logits ``[B, 3, D, H, W]`` (WT, TC, ET)."""


@dataclass(frozen=True)
class CycleGANConfig:
    """Sizes of the networks, weights of the losses and the optimiser (arXiv 1703.10593; 3-D sizes for one processor).

    consistency: weight of L_sem (1 to 5, 0 without segmenter); edges: weight of the L1 between the spatial gradients of
    an image and its translation inside the tumour.
    """

    channels: int = 4
    width: int = 24
    blocks: int = 6
    edge_kernel: int = 7
    discriminator_width: int = 24
    discriminator_layers: int = 3
    cycle: float = 10.0
    identity: float = 0.5
    consistency: float = 2.0
    edges: float = 1.0
    pool: int = 50
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    steps: int = 2000

    def __post_init__(self) -> None:
        if self.edge_kernel % 2 == 0 or min(self.channels, self.width, self.steps) < 1:
            raise InputError(
                f"CycleGAN needs an odd edge_kernel and positive sizes. Found: edge_kernel {self.edge_kernel}, "
                f"channels {self.channels}, width {self.width}, steps {self.steps}."
            )


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), reflected at the edges."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm3d(width),
            nn.ReLU(),
            nn.Conv3d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm3d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, D, H, W] -> same."""
        out: Tensor = x + self.layers(x)
        return out


class ResNetGenerator(nn.Module):
    """Two halvings, residual blocks and two doublings; the last layer also sees the first one's features.

    z-scores have no bounds, so there is no tanh. There is no sum with the image either: it would start both cycles at
    zero, where the kink of their L1 holds the generators at the identity. The skip spares the bottleneck the anatomy.
    """

    def __init__(self, config: CycleGANConfig) -> None:
        super().__init__()
        w, k = config.width, config.edge_kernel
        self.first = nn.Sequential(
            nn.Conv3d(config.channels, w, k, padding=k // 2, padding_mode="replicate"), nn.InstanceNorm3d(w), nn.ReLU()
        )
        self.layers = nn.Sequential(
            nn.Conv3d(w, 2 * w, 3, stride=2, padding=1),
            nn.InstanceNorm3d(2 * w),
            nn.ReLU(),
            nn.Conv3d(2 * w, 4 * w, 3, stride=2, padding=1),
            nn.InstanceNorm3d(4 * w),
            nn.ReLU(),
            *(ResidualBlock(4 * w) for _ in range(config.blocks)),
            nn.ConvTranspose3d(4 * w, 2 * w, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm3d(2 * w),
            nn.ReLU(),
            nn.ConvTranspose3d(2 * w, w, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm3d(w),
            nn.ReLU(),
        )
        self.last = nn.Conv3d(2 * w, config.channels, k, padding=k // 2, padding_mode="replicate")
        self.apply(_small_weights)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, D, H, W] -> same; sizes are multiples of 4, at least 8."""
        if any(n % STRIDE or n < 2 * STRIDE for n in x.shape[2:]):
            raise InputError(
                f"The generator needs sizes that are multiples of {STRIDE} and at least {2 * STRIDE}. "
                f"Found: {tuple(x.shape[2:])}."
            )
        features = self.first(x)
        out: Tensor = self.last(torch.cat([self.layers(features), features], dim=1))
        return out


def _small_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.normal_(module.weight, 0.0, WEIGHT_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _discriminator(config: CycleGANConfig) -> nn.Module:
    # MONAI's draws its weights from N(0, 0.02) itself
    return cast(
        nn.Module,
        PatchDiscriminator(
            spatial_dims=3,
            channels=config.discriminator_width,
            in_channels=config.channels,
            num_layers_d=config.discriminator_layers,
            norm="INSTANCE",
        ),
    )


class CycleGAN(nn.Module):
    """Two generators and two discriminators; a domain's discriminator says how real its images look (1) or not (0)."""

    def __init__(self, config: CycleGANConfig) -> None:
        super().__init__()
        self.to_real: nn.Module = ResNetGenerator(config)
        self.to_synthetic: nn.Module = ResNetGenerator(config)
        self.judge_real = _discriminator(config)
        self.judge_synthetic = _discriminator(config)

    def generators(self) -> list[nn.Parameter]:
        """Parameters of both generators."""
        return list(chain(self.to_real.parameters(), self.to_synthetic.parameters()))

    def judges(self) -> list[nn.Parameter]:
        """Parameters of both discriminators."""
        return list(chain(self.judge_real.parameters(), self.judge_synthetic.parameters()))


def least_squares(judge: nn.Module, images: Tensor, truth: float) -> Tensor:
    """LSGAN: ``mean (D(x) - truth)^2``, truth 1 for what is (or should pass as) of the domain, 0 for translations."""
    out: Tensor = judge(images)[-1]
    return (out - truth).square().mean()


def segmentation_consistency(logits: Tensor, regions: Tensor) -> Tensor:
    """``L_sem = CE(S(G(x_s)), y_s)``, region logits and truth ``[B, 3, D, H, W]``; the mean over classes present.

    Averaged over voxels instead, a tumour of a few per cent of them is erased at a price the discriminator pays.
    """
    log_probabilities = class_probabilities(logits).clamp_min(1e-7).log()
    truth = region_classes(regions)
    losses = functional.nll_loss(log_probabilities, truth, reduction="none")
    return torch.stack([losses[truth == number].mean() for number in torch.unique(truth).tolist()]).mean()


def edge_consistency(images: Tensor, translated: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of the spatial gradients inside a mask ``[B, 1, D, H, W]``; zero for an empty mask.

    Intensities may move, edges may not.
    """
    difference = translated - images
    total, count = difference.new_zeros(()), difference.new_zeros(())
    for axis in (2, 3, 4):
        inside = torch.minimum(mask.narrow(axis, 1, mask.shape[axis] - 1), mask.narrow(axis, 0, mask.shape[axis] - 1))
        total = total + (difference.diff(dim=axis).abs() * inside).sum()
        count = count + inside.sum() * images.shape[1]
    return total / count.clamp_min(1.0)


@dataclass
class ImagePool:
    """The last translations, half of which the discriminators see instead of the newest one (arXiv 1612.07828)."""

    size: int
    images: list[Tensor] = field(default_factory=list)

    def exchange(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Keep an image and give back it or, with probability a half, an older one."""
        image = image.detach()
        if len(self.images) < self.size:
            self.images.append(image)
            return image
        if self.size == 0 or rng.random() < 0.5:
            return image
        place = int(rng.integers(self.size))
        older, self.images[place] = self.images[place], image
        return older


@dataclass(frozen=True)
class Pair:
    """A synthetic patch with its regions and an unrelated real one, ``[B, C, D, H, W]`` and ``[B, 3, D, H, W]``.

    segment: the segmenter of this patch (it knows the prompt drawn on it), or None to go without consistency.
    """

    synthetic: Tensor
    regions: Tensor
    real: Tensor
    segment: Segmenter | None = None


def generator_losses(model: CycleGAN, pair: Pair, config: CycleGANConfig) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weighted losses of the generators by name, and the translations (to real, to synthetic).

    ``cycle`` L1 both ways, ``identity * cycle`` L1 of images already of the domain, L_sem and edges in the tumour.
    """
    to_real, to_synthetic = model.to_real(pair.synthetic), model.to_synthetic(pair.real)
    l1 = functional.l1_loss
    losses = {
        "adversarial": least_squares(model.judge_real, to_real, 1.0)
        + least_squares(model.judge_synthetic, to_synthetic, 1.0),
        "cycle": config.cycle
        * (l1(model.to_synthetic(to_real), pair.synthetic) + l1(model.to_real(to_synthetic), pair.real)),
    }
    if config.identity > 0:
        same = l1(model.to_real(pair.real), pair.real) + l1(model.to_synthetic(pair.synthetic), pair.synthetic)
        losses["identity"] = config.cycle * config.identity * same
    if config.consistency > 0 and pair.segment is not None:
        losses["consistency"] = config.consistency * segmentation_consistency(pair.segment(to_real), pair.regions)
    if config.edges > 0:
        tumour = pair.regions[:, :1].to(to_real.dtype)
        losses["edges"] = config.edges * edge_consistency(pair.synthetic, to_real, tumour)
    return losses, to_real, to_synthetic


class CycleGANTraining:
    """Trains a CycleGAN patch by patch; `state` and `load` make a stopped run go on exactly as it would have."""

    def __init__(self, config: CycleGANConfig, seed: int = 0, device: torch.device | None = None) -> None:
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = CycleGAN(config).to(device or torch.device("cpu"))
        self.done = 0
        self._rng = np.random.default_rng([seed, 1])
        self._pools = [ImagePool(config.pool), ImagePool(config.pool)]
        self._generators = torch.optim.Adam(self.model.generators(), config.learning_rate, config.betas)
        self._judges = torch.optim.Adam(self.model.judges(), config.learning_rate, config.betas)

    def step(self, pair: Pair) -> dict[str, float]:
        """One step of the generators, then one of the discriminators; returns the losses by name.

        The segmenter's own gradients are left alone: only the generators learn from L_sem.
        """
        rate = self.config.learning_rate * rate_factor(self.done / self.config.steps)
        for optimiser in (self._generators, self._judges):
            for group in optimiser.param_groups:
                group["lr"] = rate
        losses, to_real, to_synthetic = generator_losses(self.model, pair, self.config)
        _descend(self._generators, self.model.generators(), torch.stack(list(losses.values())).sum())
        judged = torch.zeros((), device=to_real.device)
        for judge, real, made, pool in (
            (self.model.judge_real, pair.real, to_real, self._pools[0]),
            (self.model.judge_synthetic, pair.synthetic, to_synthetic, self._pools[1]),
        ):
            fake = pool.exchange(made, self._rng)
            judged = judged + 0.5 * (least_squares(judge, real, 1.0) + least_squares(judge, fake, 0.0))
        _descend(self._judges, self.model.judges(), judged)
        self.done += 1
        return {name: float(value.detach()) for name, value in {**losses, "judges": judged}.items()}

    def run(self, pairs: Callable[[int], Pair], until: int | None = None) -> Iterator[dict[str, float]]:
        """Step on ``pairs(index)`` from where the training stands up to step `until` (all steps); yield the losses."""
        last = self.config.steps if until is None else min(until, self.config.steps)
        while self.done < last:
            yield self.step(pairs(self.done))

    def state(self) -> dict[str, Any]:
        """All that `load` needs: plain values and tensors only."""
        return {
            "done": self.done,
            "model": self.model.state_dict(),
            "generators": self._generators.state_dict(),
            "judges": self._judges.state_dict(),
            "pools": [list(pool.images) for pool in self._pools],
            "random": self._rng.bit_generator.state,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; raises `InputError` if it is of networks of other sizes."""
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise InputError(f"The CycleGAN's state does not fit its configuration: {error}") from error
        self._generators.load_state_dict(state["generators"])
        self._judges.load_state_dict(state["judges"])
        device = next(self.model.parameters()).device
        self._pools = [ImagePool(self.config.pool, [image.to(device) for image in images]) for images in state["pools"]]
        self._rng.bit_generator.state = state["random"]
        self.done = int(state["done"])


def rate_factor(progress: float) -> float:
    """1 for the first half of the steps, then linearly to 0."""
    return min(1.0, 2.0 * (1.0 - progress))


def _descend(optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], loss: Tensor) -> None:
    # grad, not backward: neither the other networks nor the segmenter may collect gradients here
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def translate(generator: nn.Module, images: Tensor, roles: Sequence[str], channels: Sequence[str]) -> Tensor:
    """A translation of images ``[M, D, H, W]`` whose channels may be any of the generator's, in any order.

    Absent channels are zero (their mean) on the way in; channels the generator does not know come out as they were.
    """
    known = [role for role in roles if role in channels]
    full = images.new_zeros((len(channels), *images.shape[1:]))
    for role in known:
        full[channels.index(role)] = images[roles.index(role)]
    made: Tensor = generator(full[None])[0]
    return torch.stack([made[channels.index(role)] if role in known else images[m] for m, role in enumerate(roles)])
