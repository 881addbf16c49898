"""Training with unlabelled real scans: items in pairs, and the term each way of adapting adds to the loss."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from oncoprompt.adaptation.adversarial import DomainAdversary, reversal_strength
from oncoprompt.adaptation.alignment import ClassPrototypes, coral, feature_rows
from oncoprompt.adaptation.classes import CLASSES, class_probabilities, region_classes
from oncoprompt.adaptation.cyclegan import CycleGANConfig, translate
from oncoprompt.adaptation.self_training import PseudoLabels, StrongAugmentation, VolumeLimits, mean_teacher
from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg import Loss, MSMSeg, MSMSegOutput, PromptMaps, Pyramid, msm_seg_loss
from oncoprompt.methods.msm_seg.config import HieraConfig
from oncoprompt.methods.msm_seg.method import MSMSegMethod
from oncoprompt.methods.msm_seg.region import PlanePolicy
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.training.case_items import CaseItems
from oncoprompt.training.config import AdaptationSection, TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.items import ItemConfig, TrainingItem
from oncoprompt.training.loss import TrainedLoss
from oncoprompt.training.recipe import Recipe
from oncoprompt.training.translator import Patches, train_translator
from oncoprompt.training.unlabelled import pseudo_labelled, read_unlabelled

_REAL = 0xA11


@dataclass(frozen=True)
class AdaptedItem:
    """A labelled (synthetic) item, an unlabelled real one, what the student sees of it, and a number in [0, 1).

    The real item's regions are pseudo-labels: they say where to look, and how large the tumour was believed to be.
    """

    synthetic: TrainingItem
    real: TrainingItem
    change: StrongAugmentation
    chance: float


@dataclass(frozen=True)
class AdaptedItems:
    """Pairs of items; ``item(index)`` depends on the seeds and the index alone."""

    synthetic: ItemSource
    real: ItemSource
    seed: int = 0

    def item(self, index: int) -> AdaptedItem:
        """Pair ``index``."""
        rng = np.random.default_rng([self.seed, index, _REAL])
        real = self.real.item(index)
        change = StrongAugmentation.random(rng, len(real.roles))
        return AdaptedItem(self.synthetic.item(index), real, change, float(rng.random()))


@dataclass(frozen=True)
class View:
    """What the network makes of one item, a batch of one."""

    pyramid: Pyramid
    output: MSMSegOutput

    @classmethod
    def of(cls, network: MSMSeg, item: TrainingItem) -> "View":
        """Run the network."""
        pyramid = network.encode(item.images[None], item.roles)
        return cls(pyramid, network.decode(pyramid, PromptMaps(item.box[None], item.clicks[None])))

    def fine_rows(self, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Fine features as rows, and maps ``[1, K, D, H, W]`` averaged over the same cells as rows."""
        features = volume(self.pyramid.fine)
        d, h, w = features.shape[2:]
        return feature_rows(features), feature_rows(nn.functional.adaptive_avg_pool3d(classes, (d, h, w)))


def volume(level: Tensor) -> Tensor:
    """A level of the pyramid ``[B, T, M, C, d, h, w]`` as one volume ``[B, C, T * d, h, w]``, the mean over M."""
    return level.mean(2).transpose(1, 2).flatten(2, 3)


class AdaptedLoss(TrainedLoss):
    """The loss of the synthetic item plus, from the start fraction on, a weighted term of the pair."""

    def __init__(self, section: AdaptationSection, recall: float) -> None:
        super().__init__()
        self.section = section
        self.recall = recall
        self.fraction = 0.0

    def before_step(self, fraction: float) -> None:
        """Remember how far the run is."""
        self.fraction = fraction

    def forward(self, model: nn.Module, item: AdaptedItem) -> Loss:
        """``L_seg(synthetic) + weight * term``; the part "adaptation" is the term before its weight."""
        network = cast(MSMSeg, model)
        view = View.of(network, self.prepared(item))
        supervised = msm_seg_loss(view.output, item.synthetic.regions[None], self.recall)
        self.observe(view, item)
        term = view.output.logits.new_zeros(())
        if self.section.effective_weight > 0 and self.fraction >= self.section.effective_start:
            term = self.term(network, view, item)
        total = supervised.total + self.section.effective_weight * term
        return Loss(total, {**supervised.parts, "adaptation": float(term.detach())})

    def prepared(self, item: AdaptedItem) -> TrainingItem:
        """The synthetic item as it is learnt from."""
        return item.synthetic

    def observe(self, view: View, item: AdaptedItem) -> None:
        """Learn from every synthetic item, also before the term counts."""

    def term(self, network: MSMSeg, view: View, item: AdaptedItem) -> Tensor:
        """The term of one pair; `view` is that of the synthetic item."""
        raise NotImplementedError


class AdversarialLoss(AdaptedLoss):
    """Features and predictions that discriminators cannot tell apart, by gradient reversal."""

    def __init__(self, section: AdaptationSection, recall: float, channels: int) -> None:
        super().__init__(section, recall)
        self.adversary = DomainAdversary(channels, CLASSES)

    def term(self, network: MSMSeg, view: View, item: AdaptedItem) -> Tensor:
        """What the discriminators minimise."""
        real = View.of(network, item.real)
        loss = self.adversary(
            (volume(view.pyramid.coarse), volume(real.pyramid.coarse)),
            (class_probabilities(view.output.logits), class_probabilities(real.output.logits)),
            reversal_strength(self.fraction),
        )
        return cast(Tensor, loss.total)


class CoralLoss(AdaptedLoss):
    """Equal covariances of the coarse features."""

    def term(self, network: MSMSeg, view: View, item: AdaptedItem) -> Tensor:
        """CORAL; the real item needs no decoding."""
        real = network.encode(item.real.images[None], item.real.roles)
        rows = feature_rows(volume(view.pyramid.coarse))
        # trained features are of any size, and CORAL goes with its fourth power: unscaled it drowns the other losses
        scale = rows.detach().std().clamp_min(1e-6)
        return coral(rows / scale, feature_rows(volume(real.coarse)) / scale)


class PrototypeLoss(AdaptedLoss):
    """Fine features of real voxels near the synthetic prototype of the class they are confidently of."""

    def __init__(self, section: AdaptationSection, recall: float, channels: int) -> None:
        super().__init__(section, recall)
        self.prototypes = ClassPrototypes(CLASSES, channels)

    def observe(self, view: View, item: AdaptedItem) -> None:
        """Take in the synthetic item's features where a cell is of one class."""
        truth = region_classes(item.synthetic.regions[None])
        cells = nn.functional.one_hot(truth, CLASSES).movedim(-1, 1).to(view.output.logits.dtype)
        rows, shares = view.fine_rows(cells)
        share, classes = shares.max(dim=1)
        pure = share > self.section.confidence
        self.prototypes.update(rows.detach()[pure], classes[pure])

    def term(self, network: MSMSeg, view: View, item: AdaptedItem) -> Tensor:
        """Distance of confident real cells to their prototypes."""
        real = View.of(network, item.real)
        rows, shares = real.fine_rows(class_probabilities(real.output.logits))
        return self.prototypes.loss(rows, shares, self.section.confidence)


class MeanTeacherLoss(AdaptedLoss):
    """What a slow copy of the network is confident of on real scans, learnt on strongly changed ones."""

    def __init__(self, section: AdaptationSection, recall: float, network: MSMSeg) -> None:
        super().__init__(section, recall)
        self.teacher = mean_teacher(network, section.teacher_decay)
        self.limits = VolumeLimits()

    def after_step(self, model: nn.Module) -> None:
        """The teacher follows."""
        self.teacher.update_parameters(model)

    def term(self, network: MSMSeg, view: View, item: AdaptedItem) -> Tensor:
        """Loss of the student against the teacher; zero where the teacher's volume has run away."""
        real, change = item.real, item.change
        with torch.no_grad():
            self.teacher.eval()
            seen = View.of(cast(MSMSeg, self.teacher.module), real).output.logits
        labels = PseudoLabels.of(torch.sigmoid(seen), self.section.confidence)
        if not self.limits.steady(labels.regions[0, 0], real.regions[0]):
            return seen.new_zeros(())
        changed = replace(
            real, images=change.apply(real.images), box=change.mirror(real.box), clicks=change.mirror(real.clicks)
        )
        labels = PseudoLabels(change.mirror(labels.regions), change.mirror(labels.confident))
        return labels.loss(View.of(network, changed).output.logits)


class TranslationLoss(AdaptedLoss):
    """A share of the synthetic items translated by a generator trained beforehand; no term is added."""

    def __init__(self, section: AdaptationSection, recall: float, generator: nn.Module) -> None:
        super().__init__(section, recall)
        self.generator = generator.requires_grad_(False)

    def prepared(self, item: AdaptedItem) -> TrainingItem:
        """The item, translated or not."""
        synthetic = item.synthetic
        if self.fraction < self.section.effective_start or item.chance >= self.section.translated_share:
            return synthetic
        with torch.no_grad():
            images = translate(self.generator, synthetic.images, synthetic.roles, CHANNELS)
        return replace(synthetic, images=images)

    def term(self, network: MSMSeg, view: View, item: AdaptedItem) -> Tensor:
        """Nothing: the translation is the adaptation."""
        return view.output.logits.new_zeros(())


def adapt(recipe: Recipe, config: TrainingConfig, folder: Path) -> Recipe:
    """The recipe with what `[adaptation]` adds; the same recipe for kind "none".

    A translator is trained in `folder`, or read from it. Raises `InputError` for a folder of real cases that cannot be
    used and for unknown options.
    """
    if config.adaptation.kind == "none":
        return recipe
    return adapt_to(real_items(recipe, config), recipe, config, folder)


def real_items(recipe: Recipe, config: TrainingConfig) -> CaseItems:
    """Items of the unlabelled cases in `adaptation.real`.

    The starting network looks at every case once, so that real items show the surroundings of a tumour, with a box, as
    synthetic ones do; a case without a plausible finding is shown whole.
    """
    network = cast(MSMSeg, recipe.model)
    backbone = network.config.backbone
    policy = PlanePolicy(plane=backbone.image_size) if isinstance(backbone, HieraConfig) else None
    method = MSMSegMethod(network, config.model.name, "", torch.device("cpu"), policy)
    cases = pseudo_labelled(read_unlabelled(Path(config.adaptation.real or "")), method)
    usual = ItemConfig(plane=backbone.image_size) if isinstance(backbone, HieraConfig) else ItemConfig()
    drawn = updated(usual, config.data.options, "Training configuration", "data.options")
    return CaseItems(cases, drawn, config.run.seed)


def adapt_to(real: ItemSource, recipe: Recipe, config: TrainingConfig, folder: Path) -> Recipe:
    """The recipe adapted to real items that are there already."""
    items = AdaptedItems(recipe.items, real, config.run.seed)
    return Recipe(recipe.model, items, _loss(config, cast(MSMSeg, recipe.model), items, folder))


def _loss(config: TrainingConfig, network: MSMSeg, items: AdaptedItems, folder: Path) -> AdaptedLoss:
    section, recall, seed = config.adaptation, config.optimisation.recall, config.run.seed
    torch.manual_seed(seed)
    if section.kind == "adversarial":
        return AdversarialLoss(section, recall, network.config.dim)
    if section.kind == "coral":
        return CoralLoss(section, recall)
    if section.kind == "prototypes":
        return PrototypeLoss(section, recall, network.config.fine_dim)
    if section.kind == "mean-teacher":
        return MeanTeacherLoss(section, recall, network)
    options = updated(CycleGANConfig(), section.options, "Training configuration", "adaptation.options")
    patches = Patches(items.synthetic, items.real, network, section.patch, seed)
    return TranslationLoss(section, recall, train_translator(patches, options, folder))
