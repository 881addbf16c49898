"""From a configuration to what `fit` needs for TAGS compact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.errors import InputError
from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg.checkpoint import load_own, read_checkpoint
from oncoprompt.methods.msm_seg.loss import Loss, dice_focal
from oncoprompt.methods.msm_seg.region import click_maps
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.tags.compact import (
    SHARED_WITH_CT,
    CompactPrompt,
    CompactTags,
    CompactTagsConfig,
    CompactTagsOutput,
)
from oncoprompt.methods.tags.compact_weights import parted
from oncoprompt.methods.tags.names import COMPACT, DEFAULT
from oncoprompt.methods.tags.vocabulary import CONCEPTS, HEALTHY
from oncoprompt.methods.tags.word_adapter import similarity
from oncoprompt.prompts.corrections import middles_of_errors
from oncoprompt.training.case_heads import CaseHeads, Heads, MixedHeads
from oncoprompt.training.cohort_items import labelled_cases
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.head_items import HeadItemConfig, HeadItems
from oncoprompt.training.recipe import Recipe
from oncoprompt.training.stored_heads import HeadStore, draw_head
from oncoprompt.training.tags_items import HEALTHY_ORGAN, TagsItem, TagsItemConfig, TagsItems

ALIGNMENT_WEIGHT = 0.25
MISSED_WEIGHT = 0.1
ALARMED_WEIGHT = 0.3
NAMING_WEIGHT = 0.25
_ORIGIN = "Training configuration"
_CORRECTIONS = 3


def build_tags_compact(config: TrainingConfig) -> Recipe:
    """TAGS compact, synthetic items of heads and abdomens, and their loss.

    `model.weights` are an earlier run's, or those of `msm-seg-compact`, whose companion has the same trunk. A run on CT
    alone (`data.options.ct_share` of 1) trains the layers that CT has for itself, see `SHARED_WITH_CT`. Raises
    InputError for settings that are not known or not for this model, WeightsError for weights that do not fit.
    """
    if (config.adaptation.kind, config.mixing.kind) != ("none", "none"):
        raise InputError(f"{_ORIGIN}: adaptation and mixing are for MSM-Seg; '{COMPACT}' takes neither.")
    if config.data.pool is not None or (config.data.cohort is not None and config.model.name == COMPACT):
        raise InputError(
            f"{_ORIGIN}: '{COMPACT}' is trained on synthetic studies, '{DEFAULT}' also on labelled cases, none on a "
            "pool of items; leave out data.cohort and data.pool."
        )
    sizes = updated(CompactTagsConfig(), config.model.options, _ORIGIN, "model.options")
    items, of_ct = _items(config)
    torch.manual_seed(config.run.seed)
    network = CompactTags(sizes)
    if config.model.weights is not None:
        path = Path(config.model.weights)
        state = read_checkpoint(path)
        if any(name.startswith("companion.") for name in state):
            network.start_from(state)
        else:
            load_own(network, parted(state, of_ct), path.name)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not (of_ct and name.startswith(SHARED_WITH_CT)))
    loss = partial(compact_tags_loss, recall=config.optimisation.recall)
    return Recipe(network, items, loss)


def _items(config: TrainingConfig) -> tuple[ItemSource, bool]:
    """Items of the model's own way, and whether they show CT alone."""
    seed = config.run.seed
    if config.model.name == COMPACT:
        drawn = updated(TagsItemConfig(), config.data.options, _ORIGIN, "data.options")
        return TagsItems(drawn, seed), drawn.ct_share >= 1.0
    items = updated(HeadItemConfig(), config.data.options, _ORIGIN, "data.options")
    draw = partial(draw_head, items.heads, seed)
    heads: Heads = HeadStore(Path(items.folder), draw, items.window, items.reuse, items.heads.anatomies_run, seed)
    data = config.data
    if data.cohort is not None:
        if items.kind not in CONCEPTS:
            raise InputError(f"{_ORIGIN}: data.options.kind is '{items.kind}'. Known: {', '.join(CONCEPTS)}.")
        cases = labelled_cases(data.cohort, data.layout, data.schema, data.split, data.part, data.fold)
        heads = MixedHeads(CaseHeads(cases, items.kind, seed), heads, data.synthetic_share, seed)
    return HeadItems(items, heads, seed), False


def compact_tags_loss(model: nn.Module, item: TagsItem, recall: float = 0.5) -> Loss:
    """Dice + focal of the regions that are told, and at a weight of 1/4 of the mean of the four similarity maps.

    To both a little of `missed` is added: where nothing is found, Dice and focal have next to no gradient. `alarmed` is
    added to the former: where a whole organ is found, they have none either.
    A similarity map is compared with the whole tumour, averaged over its cells. An item that is to be corrected is
    answered once without a gradient, clicked where that is wrong, and answered again. A second question is answered
    beside the first: asked of the same images, two words must be told apart; and at every depth a quarter of `named` is
    added, by which tokens learn the word of what they show, whatever was asked.
    """
    network = cast(CompactTags, model)
    features = network.encode(item.images[None], item.roles)
    prompt = _prompt(item, item.clicks)
    if item.corrected:
        with torch.no_grad():
            first = network.decode(features.detach(), prompt).logits[0, 0] > 0
        prompt = _prompt(item, torch.maximum(item.clicks, _corrections(first, item.regions[0] > 0)))
    truth = item.regions[None]
    if item.other_concept >= 0:
        features = features.expand(2, -1, -1, -1, -1)
        prompt = _with_word(prompt, item.other_concept)
        truth = torch.stack([item.regions, item.other_regions])
    output = in_single(network.decode(features, prompt))
    truth = truth.to(output.logits.dtype)
    answer = _found(output.logits[:, : item.known], truth[:, : item.known], recall)
    answer = answer + ALARMED_WEIGHT * alarmed(output.logits[:, 0], item.kinds)
    alignment = _alignment(output, prompt.concepts, truth[:, :1], recall)
    naming = torch.stack([named(cosines, item.kinds, item.words) for cosines in output.cosines]).mean()
    parts = {"answer": answer.item(), "alignment": alignment.item(), "naming": naming.item()}
    return Loss(answer + ALIGNMENT_WEIGHT * alignment + NAMING_WEIGHT * naming, parts)


def in_single(output: CompactTagsOutput) -> CompactTagsOutput:
    """The output in single precision, in which losses are computed."""
    return CompactTagsOutput(output.logits.float(), tuple(cosines.float() for cosines in output.cosines))


def named(cosines: Tensor, kinds: Tensor, words: Sequence[int]) -> Tensor:
    """Cross-entropy of the softmax of scaled cosines [B, K, d, h, w] over the words that a study may hold.

    kinds [D, H, W] are the rows of CONCEPTS, or HEALTHY_ORGAN, which is to be named healthy; every one that occurs
    weighs the same, however few voxels it has. Where no voxel of one is left on a coarse grid, it does not count there.
    """
    size = [int(n) for n in cosines.shape[2:]]
    rows = functional.interpolate(kinds[None, None].float(), size, mode="nearest")[0, 0].long()
    scores = torch.log_softmax(cosines[:, list(words)], dim=1)
    places = [*enumerate(words), (words.index(HEALTHY), HEALTHY_ORGAN)]
    terms = [-scores[:, index][:, rows == row].mean() for index, row in places if bool((rows == row).any())]
    return torch.stack(terms).mean()


def _with_word(prompt: CompactPrompt, concept: int) -> CompactPrompt:
    """A batch of two: a prompt, and a word alone."""
    box, clicks, anatomy = prompt.maps.box, prompt.maps.clicks, prompt.anatomy
    alone = (torch.cat([value, torch.zeros_like(value)]) for value in (box, clicks, anatomy))
    box, clicks, anatomy = alone
    concepts = torch.cat([prompt.concepts, prompt.concepts.new_tensor([concept])])
    return CompactPrompt(PromptMaps(box, clicks), anatomy, concepts)


def missed(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean cross-entropy of a target's voxels, sum y softplus(-z) / sum y, mean over targets; 0 for an empty one."""
    axes = (-3, -2, -1)
    entropy = (functional.softplus(-logits) * truth).sum(axes) / truth.sum(axes).clamp_min(1.0)
    return entropy.mean()


def alarmed(logits: Tensor, kinds: Tensor) -> Tensor:
    """Mean cross-entropy softplus(z) of healthy voxels of the organs, of logits [B, D, H, W]; 0 without an organ."""
    organ = kinds == HEALTHY_ORGAN
    return functional.softplus(logits[:, organ]).mean() if bool(organ.any()) else logits.new_zeros(())


def _found(logits: Tensor, truth: Tensor, recall: float) -> Tensor:
    return dice_focal(logits, truth, recall) + MISSED_WEIGHT * missed(logits, truth)


def _alignment(output: CompactTagsOutput, concepts: Tensor, whole: Tensor, recall: float) -> Tensor:
    terms = []
    for cosines in output.cosines:
        d, h, w = cosines.shape[2:]
        seen = functional.adaptive_avg_pool3d(whole, (d, h, w))
        terms.append(_found(similarity(cosines, concepts), seen, recall))
    return torch.stack(terms).mean()


def _prompt(item: TagsItem, clicks: Tensor) -> CompactPrompt:
    concepts = torch.tensor([item.concept], device=item.images.device)
    return CompactPrompt(PromptMaps(item.box[None], clicks[None]), item.anatomy[None], concepts)


def _corrections(answer: Tensor, truth: Tensor) -> Tensor:
    """Click maps ``[2, D, H, W]`` of clicks in the middle of the largest connected errors."""
    target = truth.cpu().numpy()
    places = middles_of_errors(answer.cpu().numpy(), target, _CORRECTIONS, least=8)
    clicks = [(np.array(place[::-1]), bool(target[place])) for place in places]
    shape = (answer.shape[0], answer.shape[1], answer.shape[2])
    return click_maps(clicks, shape).to(answer.device)
