"""Training with features of a partner mixed into an item's inside the network, which is exported without the mixer."""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.adaptation.self_training import StrongAugmentation
from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg import Loss, MSMSeg, msm_seg_loss
from oncoprompt.methods.msm_seg.config import CompactConfig
from oncoprompt.mixing.feature_mixing import (
    FeatureMixer,
    FeatureMixing,
    LabelMode,
    Partners,
    consistency_loss,
    noise_contrastive_loss,
)
from oncoprompt.training.adapted import View
from oncoprompt.training.config import MixingSection, TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.items import TrainingItem
from oncoprompt.training.loss import TrainedLoss
from oncoprompt.training.recipe import Recipe

MEMORY = 16
"""How many earlier partners an item's features are told apart from: items come one at a time."""
_PARTNER = 0x9A12


@dataclass(frozen=True)
class Pairing:
    """A partner of the same size as the item, and how the two, in the order item and partner, are mixed."""

    partner: TrainingItem
    partners: Partners


@dataclass(frozen=True)
class PartneredItem:
    """An item with or without a partner."""

    own: TrainingItem
    pairing: Pairing | None


@dataclass(frozen=True)
class PartneredItems:
    """Items of which a share has a partner; ``item(index)`` depends on the seeds and the index alone."""

    items: ItemSource
    section: MixingSection
    seed: int = 0

    def item(self, index: int) -> PartneredItem:
        """Item ``index``."""
        rng = np.random.default_rng([self.seed, index, _PARTNER])
        own: TrainingItem = self.items.item(index)
        if rng.random() >= self.section.share:
            return PartneredItem(own, None)
        mode = LabelMode(self.section.kind)
        each_other = torch.tensor([1, 0])
        partners = Partners.random(
            mode, 2, rng, index=each_other, dropout=0.0, concentration=self.section.concentration
        )
        if mode is LabelMode.complementary:
            own, partner = complementary_views(own, rng)
        else:
            partner = resized(self.items.item(index + 1), own.images.shape[1:])
        return PartneredItem(own, Pairing(partner, partners))


def complementary_views(item: TrainingItem, rng: np.random.Generator) -> tuple[TrainingItem, TrainingItem]:
    """A random part of an item's channels, and the rest with other contrast and noise; a single channel is in both."""
    count = len(item.roles)
    first = sorted(int(c) for c in rng.permutation(count)[: rng.integers(1, max(count, 2))])
    rest = [c for c in range(count) if c not in first] or first
    change = replace(StrongAugmentation.random(rng, len(rest)), mirrored=False)
    return (
        replace(item, images=item.images[first], roles=tuple(item.roles[c] for c in first)),
        replace(item, images=change.apply(item.images[rest]), roles=tuple(item.roles[c] for c in rest)),
    )


def resized(item: TrainingItem, shape: torch.Size) -> TrainingItem:
    """The item stretched to shape (D, H, W); its regions become soft."""

    def stretched(volume: Tensor) -> Tensor:
        return functional.interpolate(volume[None].float(), tuple(shape), mode="trilinear")[0]

    return replace(
        item,
        images=stretched(item.images),
        regions=stretched(item.regions),
        box=stretched(item.box),
        clicks=stretched(item.clicks),
    )


class FeatureMixedLoss(TrainedLoss):
    """L(mixed) + w L(alone) + w_c KL(mixed || alone) + w_n InfoNCE with a partner, L(alone) without.

    Alone means without the mixer, as the exported network is used. The last two terms are those of a complementary
    partner: another item's answer and features are meant to differ.
    """

    memory: Tensor

    def __init__(self, section: MixingSection, recall: float, channels: int) -> None:
        super().__init__()
        self.section = section
        self.recall = recall
        self.mixer = FeatureMixer(channels)
        self.register_buffer("memory", torch.zeros(MEMORY, channels))

    def forward(self, model: nn.Module, item: PartneredItem) -> Loss:
        """The loss of one item; its parts are those of the item alone and the terms before their weights."""
        network, section = cast(MSMSeg, model), self.section
        alone = View.of(network, item.own)
        supervised = msm_seg_loss(alone.output, item.own.regions[None], self.recall)
        zero = supervised.total.new_zeros(())
        terms = {"mixed": zero, "consistency": zero, "contrast": zero}
        total = supervised.total
        if item.pairing is not None:
            mixed, terms["mixed"], features = self._mixed(network, item.own, item.pairing)
            if item.pairing.partners.mode is LabelMode.complementary:
                terms["consistency"] = consistency_loss(mixed.output.logits, alone.output.logits)
                terms["contrast"] = self._contrast(features)
            total = terms["mixed"] + section.alone_weight * supervised.total
            total = total + section.consistency * terms["consistency"] + section.contrast * terms["contrast"]
        return Loss(total, {**supervised.parts, **{name: float(term.detach()) for name, term in terms.items()}})

    def _mixed(self, network: MSMSeg, own: TrainingItem, pairing: Pairing) -> tuple[View, Tensor, Tensor]:
        """What the network makes of the mixture, its loss, and the features ``[2, C, ...]`` of item and partner."""
        partner, partners = pairing.partner, pairing.partners

        def mixed(first: Tensor, second: Tensor) -> Tensor:
            return partners.targets(torch.stack([first.float(), second.float()]))[0]

        # the prompt is mixed as the target is, or it would deny the partner's share of it
        asked = replace(own, box=mixed(own.box, partner.box), clicks=mixed(own.clicks, partner.clicks))
        mixing = FeatureMixing(network.backbone.get_submodule(self.section.stage), self.mixer)
        try:
            network.encode(partner.images[None], partner.roles)
            mixing.others = mixing.features
            mixing.partners = partners
            view = View.of(network, asked)
            features = torch.cat([cast(Tensor, mixing.features), cast(Tensor, mixing.others)])
        finally:
            mixing.detach()
        loss = msm_seg_loss(view.output, mixed(own.regions, partner.regions)[None], self.recall)
        return view, loss.total, features

    def _contrast(self, features: Tensor) -> Tensor:
        """How well the item's features tell its partner's from those of earlier partners, which they join."""
        own, partner = self.mixer.mapped(features).flatten(2).mean(2).split(1)
        met = torch.cat([partner, self.memory[self.memory.any(dim=1)].to(partner)])
        self.memory.copy_(torch.cat([partner.detach().to(self.memory), self.memory[:-1]]))
        return noise_contrastive_loss(own[..., None], met[..., None])


def mix_features(recipe: Recipe, config: TrainingConfig) -> Recipe:
    """The recipe with what `[mixing]` adds; the same recipe for kind "none".

    Raises `InputError` for a network other than the compact one, whose stages are the ones that can be mixed.
    """
    section = config.mixing
    if section.kind == "none":
        return recipe
    backbone = cast(MSMSeg, recipe.model).config.backbone
    if not isinstance(backbone, CompactConfig):
        raise InputError(
            f"Training configuration: mixing.kind is '{section.kind}', which the compact network alone offers. Found "
            f"model.name = '{config.model.name}'; choose 'msm-seg-compact' or set mixing.kind to 'none'."
        )
    channels = dict(zip(("block4", "block8", "block16"), backbone.widths[1:], strict=True))[section.stage]
    torch.manual_seed(config.run.seed)
    items = PartneredItems(recipe.items, section, config.run.seed)
    return Recipe(recipe.model, items, FeatureMixedLoss(section, config.optimisation.recall, channels))
