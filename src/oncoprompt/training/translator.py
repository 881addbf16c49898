"""A CycleGAN trained on patches of synthetic and of real items, on disk and resumable."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from oncoprompt.adaptation.cyclegan import CycleGANConfig, CycleGANTraining, Pair, ResNetGenerator, Segmenter
from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg import MSMSeg, PromptMaps
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.training.feed import ItemSource, to_device
from oncoprompt.training.items import TrainingItem

STATE_FILE = "translator.pt"
LEAST_PATCH = 24
"""Thinner patches are padded: after its halvings the discriminator needs two voxels a side."""
_SAVE_EVERY = 50
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patches:
    """Pairs of patches, at most `side` voxels a side, as a pure function of their index.

    `network` is the frozen segmenter of L_sem; it sees each patch with the prompt drawn on it.
    """

    synthetic: ItemSource
    real: ItemSource
    network: MSMSeg
    side: int
    seed: int = 0

    def pair(self, index: int) -> Pair:
        """Pair `index`, on the device of the network."""
        rng = np.random.default_rng([self.seed, index, 2])
        device = next(self.network.parameters()).device
        item = to_device(_patch(self.synthetic.item(index), self.side, rng), device)
        other = to_device(_patch(self.real.item(index), self.side, rng), device)
        return Pair(
            synthetic=_canonical(item)[None],
            regions=item.regions[None].float(),
            real=_canonical(other)[None],
            segment=_segmenter(self.network, item),
        )


def train_translator(
    patches: Patches, config: CycleGANConfig, folder: Path, until: int | None = None
) -> ResNetGenerator:
    """The generator from synthetic to real, trained up to step `until` (all); goes on from `folder`/translator.pt.

    Raises `InputError` for a state of another configuration or one that is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / STATE_FILE
    training = CycleGANTraining(config, patches.seed, next(patches.network.parameters()).device)
    if path.exists():
        training.load(_read(path))
    patches.network.eval()
    for losses in training.run(patches.pair, until):
        if training.done % _SAVE_EVERY == 0:
            _write(path, training.state())
            told = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            _log.info("Translator, step %d of %d: %s", training.done, config.steps, told)
    _write(path, training.state())
    generator = training.model.to_real
    if not isinstance(generator, ResNetGenerator):
        raise TypeError("the translator's generator is of another class")
    return generator.eval().requires_grad_(False)


def _canonical(item: TrainingItem) -> Tensor:
    """Images ``[4, D, H, W]`` in the order of CHANNELS, zero (the mean) where a channel is absent."""
    out = item.images.new_zeros((len(CHANNELS), *item.images.shape[1:]))
    for image, role in zip(item.images, item.roles, strict=True):
        out[CHANNELS.index(role)] = image
    return out


def _segmenter(network: MSMSeg, item: TrainingItem) -> Segmenter:
    """Region logits of translated patches, from the channels the item has and with its prompt."""
    kept = [CHANNELS.index(role) for role in item.roles]
    prompt = PromptMaps(item.box[None], item.clicks[None])

    def segment(images: Tensor) -> Tensor:
        logits: Tensor = network(images[:, kept], item.roles, prompt).logits
        return logits

    return segment


def _patch(item: TrainingItem, side: int, rng: np.random.Generator) -> TrainingItem:
    """A random part of an item, multiples of 8 in size, padded to the least the discriminators can judge."""
    sizes = [min(n, side // 8 * 8) for n in item.images.shape[1:]]
    starts = [int(rng.integers(n - size + 1)) for n, size in zip(item.images.shape[1:], sizes, strict=True)]
    window = (slice(None), *(slice(a, a + n) for a, n in zip(starts, sizes, strict=True)))
    padding = [amount for n in reversed(sizes) for amount in (0, max(0, LEAST_PATCH - n))]
    images = functional.pad(item.images[window][None], padding, mode="replicate")[0]
    rest = [functional.pad(x[window], padding) for x in (item.regions, item.box, item.clicks)]
    return TrainingItem(images, item.roles, *rest)


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"Translator '{path}' cannot be read. Delete it to train another.") from error
    return state


def _write(path: Path, state: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
