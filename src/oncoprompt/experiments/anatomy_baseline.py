"""The baseline that is told what TAGS compact is told, words excepted: DynUNet with the same prompts as channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from oncoprompt.errors import InputError
from oncoprompt.experiments.timed import clock
from oncoprompt.experiments.unfinished import UnfinishedError
from oncoprompt.inference.device import device_named
from oncoprompt.methods.interface import Method
from oncoprompt.methods.msm_seg.checkpoint import load_own
from oncoprompt.methods.msm_seg.loss import Loss
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.registry import build_network
from oncoprompt.methods.tags.compact import CompactPrompt
from oncoprompt.methods.tags.compact_method import CompactTagsMethod
from oncoprompt.methods.volumetric.config import CHANNELS
from oncoprompt.methods.volumetric.loss import volumetric_loss
from oncoprompt.methods.volumetric.network import VolumetricNetwork, VolumetricOutput
from oncoprompt.methods.weight_files import read_own
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import STATE_FILE, fit
from oncoprompt.training.schedule import completed_fraction
from oncoprompt.training.tags_items import TagsItem, TagsItemConfig, TagsItems

BASELINE = "dynunet"
OPTIONS = {"channels": [*CHANNELS, "ct"], "anatomy": True}
"""Of the network, beside DynUNet's own."""
RATE = 3e-3
"""Peak of the learning rate; see benchmarks/competitors.py."""


@dataclass(frozen=True)
class BaselineTraining:
    """For how many minutes, from which seed, with how many workers that draw items, and where the weights are kept.

    Minutes are those of the processor where there is no accelerator; drawing items does not count. Items are those of
    TAGS compact without the questions in words, to which a network that reads none has no answer.
    """

    folder: Path
    minutes: float
    seed: int = 0
    workers: int = 1
    items: TagsItemConfig = field(default_factory=TagsItemConfig)

    def train(self) -> Method:
        """The averaged weights after that time; weights that are there already are not trained again.

        Raises UnfinishedError where training was stopped; the same call goes on.
        """
        folder = self.folder / f"{BASELINE}-{self.minutes:g}-minutes-seed-{self.seed}"
        config, state = self._config(), folder / STATE_FILE
        torch.manual_seed(self.seed)
        model = baseline_network()
        resume = state if state.is_file() else None
        items = TagsItems(replace(self.items, word_share=0.0, absent_share=0.0), self.seed)
        progress = fit(config, model, items, baseline_step, folder, resume, clock=clock)
        if completed_fraction(config.optimisation, progress.step, progress.elapsed_s) < 1.0:
            raise UnfinishedError(f"Stopped after {progress.step} steps of the baseline; the same command goes on.")
        return read_baseline(folder / f"{BASELINE}.safetensors")

    def _config(self) -> TrainingConfig:
        return TrainingConfig.from_mapping(
            {
                "model": {"name": BASELINE, "options": OPTIONS},
                "data": {"workers": self.workers},
                "optimisation": {
                    "steps": 1_000_000,
                    "max_minutes": self.minutes,
                    "learning_rate": RATE,
                    "warmup_steps": 20,
                    "ema_decay": 0.99,
                },
                "run": {"seed": self.seed, "checkpoint_minutes": 2.0, "export_minutes": 1e6},
            }
        )


class WordlessNetwork(nn.Module):
    """A volumetric network that is asked as TAGS compact is; words change nothing."""

    def __init__(self, network: VolumetricNetwork) -> None:
        super().__init__()
        self.network = network

    def encode(self, images: Tensor, roles: Sequence[str]) -> Tensor:
        """images [B, M, D, H, W] with their roles -> the network's channels."""
        return self.network.encode(images, roles)

    def decode(self, features: Tensor, prompt: CompactPrompt) -> VolumetricOutput:
        """Segment from box, clicks and anatomy."""
        return self.network.decode(features, prompt.maps, prompt.anatomy)


def baseline_network() -> VolumetricNetwork:
    """The network with weights from torch's generator."""
    return cast(VolumetricNetwork, build_network(BASELINE, OPTIONS, "The baseline"))


def baseline_step(model: nn.Module, item: TagsItem) -> Loss:
    """Loss of one item, a batch of one, over the regions that are known."""
    maps = PromptMaps(item.box[None], item.clicks[None])
    output = cast(VolumetricOutput, model(item.images[None], item.roles, maps, item.anatomy[None]))
    known = VolumetricOutput(output.logits[:, : item.known], tuple(x[:, : item.known] for x in output.coarser))
    return volumetric_loss(known, item.regions[None, : item.known])


def read_baseline(path: Path) -> Method:
    """Weights of a baseline as a method that looks where TAGS compact looks.

    Raises InputError for weights of another network, WeightsError for a damaged file.
    """
    own = read_own(path)
    if own.manifest.get("model") != BASELINE or not own.options.get("anatomy"):
        raise InputError(f"'{path.name}' holds no weights of a {BASELINE} that reads an anatomy mask. Train it first.")
    network = cast(VolumetricNetwork, build_network(BASELINE, own.options, f"Manifest of '{path.name}'"))
    load_own(network, own.state, path.name)
    return CompactTagsMethod(WordlessNetwork(network), BASELINE, own.sha256, device_named("auto"))
