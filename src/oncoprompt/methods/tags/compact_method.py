"""TAGS compact behind the interface of all methods: studies, words, clicks, boxes and anatomy in, probabilities out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.methods.interface import Encoding, Prompt, RegionProbabilities, enough_for
from oncoprompt.methods.msm_seg.holes import fill_holes
from oncoprompt.methods.msm_seg.region import RegionPolicy
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.region_method import HasLogits, drawn_prompts, on_study, region_grid, region_images, z_scores
from oncoprompt.methods.tags.compact import CompactPrompt
from oncoprompt.methods.tags.intensities import soft_tissue
from oncoprompt.methods.tags.vocabulary import ANY_TUMOUR, HEALTHY, concept_of
from oncoprompt.prompts import Anatomy, Text
from oncoprompt.study import Study
from oncoprompt.study.foreground import Foregrounds

SEARCH_CT = RegionPolicy(most_voxels=1 << 20, finest_mm=3.0)
"""A whole CT is looked at in voxels of 3 mm, however long it is."""
MOST_VOXELS = 160
"""A longer side is looked at in windows of so many voxels, which overlap by a quarter."""
SEEN = 0.15
"""The box of what is found is a prompt of the closer look and is believed; below, it reaches too far."""
SEEN_CT = 0.9
"""In CT a tumour is seen in a haze over its organ, and a box about the haze would be filled."""
ENOUGH_CT = 0.7
"""CT is trained in voxels of 2 to 4 mm, those of the search: where nobody points, a closer look sees nothing new."""
_OVERLAP = 0.25
_NOTHING = -12.0


class PromptedNetwork(Protocol):
    """A network (torch module) for one region of interest that reads what TAGS compact reads."""

    def to(self, device: torch.device, /) -> Any: ...

    def eval(self) -> Any: ...

    def encode(self, images: Tensor, roles: Sequence[str], /) -> Tensor:
        """Standardised images [B, M, D, H, W] with their channel roles -> features that prompts do not change."""
        ...

    def decode(self, features: Tensor, prompt: CompactPrompt, /) -> HasLogits:
        """Segment from features."""
        ...


@dataclass(frozen=True)
class _Look:
    """Who looks at standardised images [1, M, D, H, W] of roles; the first features where they fit in one window."""

    network: PromptedNetwork
    images: Tensor
    roles: tuple[str, ...]
    features: Tensor | None


class CompactTagsMethod:
    """A compact TAGS with weights, for MRI of the brain and CT of the abdomen of any spacing and orientation.

    In CT the tumour is WT; of TC and ET nothing is said there. `ct_network` looks at CT; without it the one network
    looks at both.
    """

    def __init__(
        self,
        network: PromptedNetwork,
        name: str,
        weights_sha256: str,
        device: torch.device,
        calibration: Mapping[str, Any] | None = None,
        ct_network: PromptedNetwork | None = None,
    ) -> None:
        self.name = name
        self.weights_sha256 = weights_sha256
        self.calibration = calibration or {}
        self._device = device
        self._network, self._ct_network = network, ct_network or network
        for each in (self._network, self._ct_network):
            each.to(device)
            each.eval()
        self._foregrounds = Foregrounds()

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raises InputError for words that are not known, and for two phrases."""
        asked_concept(prompts)

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        """Resample the region with its margin, or the whole foreground, to isotropic voxels and standardise it.

        Raises InputError for a study that mixes CT with other channels.
        """
        ct = is_ct(study)
        network = self._ct_network if ct else self._network
        seen, enough = SEEN_CT if ct else SEEN, ENOUGH_CT if ct and region is None else None
        foreground = self._foregrounds.of(study)
        policy = SEARCH_CT if ct and region is None else RegionPolicy()
        grid = region_grid(study, region, policy, foreground)
        images = region_images(study, grid)
        images = torch.from_numpy(soft_tissue(images.numpy())) if ct else z_scores(images, foreground)
        tensor, roles = images[None].to(self._device), tuple(study.channels)
        if max(tensor.shape[2:]) > MOST_VOXELS:
            return Encoding(grid, _Look(network, tensor, roles, None), seen, enough)
        with torch.inference_mode():
            return Encoding(grid, _Look(network, tensor, roles, network.encode(tensor, roles)), seen, enough)

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """Answer to words, clicks, boxes and anatomy masks, any of which may be missing, on the study's voxels.

        Asked for "healthy" it outlines nothing. A CT that nobody points into is looked at without the mask, which then
        bounds the answer: every organ it was trained with a mask of held a tumour. Raises InputError for words it does
        not know, and for two phrases.
        """
        look: _Look = encoding.features
        concept = asked_concept(prompts)
        maps = self._drawn(prompts, encoding.region).to(self._device)
        bounds = None
        if enough_for(encoding, prompts) is not None and any(isinstance(item, Anatomy) for item in prompts):
            bounds = maps[0, 3].cpu().numpy() > 0
            maps[:, 3] = 0.0
        if concept == HEALTHY:
            logits = np.full((3, *maps.shape[2:]), _NOTHING, dtype=np.float32)
        else:
            with torch.inference_mode():
                logits = self._answer(look, maps, concept)[0].float().cpu().numpy()
        if is_ct(study):
            logits[1:] = _NOTHING
        logits = fill_holes(logits)
        if bounds is not None:
            logits[:, ~bounds] = _NOTHING
        return on_study(logits, encoding.region, study.grid)

    def _answer(self, look: _Look, maps: Tensor, concept: int) -> Tensor:
        concepts = torch.tensor([concept], device=self._device)

        def prompt(drawn: Tensor) -> CompactPrompt:
            return CompactPrompt(PromptMaps(drawn[:, :1], drawn[:, 1:3]), drawn[:, 3:], concepts)

        if look.features is not None:
            return look.network.decode(look.features, prompt(maps)).logits

        def window(x: Tensor) -> Tensor:
            count = len(look.roles)
            features = look.network.encode(x[:, :count], look.roles)
            return look.network.decode(features, prompt(x[:, count:])).logits

        # MONAI takes seconds to import
        from monai.inferers.utils import sliding_window_inference

        size = [min(n, MOST_VOXELS) for n in maps.shape[2:]]
        whole = torch.cat([look.images, maps], dim=1)
        found = sliding_window_inference(whole, size, 1, window, overlap=_OVERLAP, mode="gaussian")
        if not isinstance(found, Tensor):
            raise TypeError("a window has one answer")
        return found

    def _drawn(self, prompts: Sequence[Prompt], grid: Grid) -> Tensor:
        """Maps [1, 4, D, H, W] of boxes, positive and negative clicks, and anatomy."""
        drawn = drawn_prompts(prompts, grid).stacked()
        anatomy = np.zeros(drawn.shape[2:], dtype=np.float32)
        for prompt in prompts:
            if isinstance(prompt, Anatomy):
                np.maximum(anatomy, prompt.on(grid).transpose(2, 1, 0), out=anatomy)
        return torch.cat([drawn, torch.from_numpy(anatomy)[None, None]], dim=1)


def is_ct(study: Study) -> bool:
    """Whether a study is a CT; raises InputError for one that has other channels as well."""
    if "ct" not in study.channels:
        return False
    if len(study.channels) > 1:
        raise InputError(
            f"Study '{study.name}' mixes CT with other channels ({', '.join(study.channels)}). Give the CT, or the MRI "
            "channels, alone."
        )
    return True


def asked_concept(prompts: Sequence[Prompt]) -> int:
    """The concept that the words among prompts name, tumour of any kind where there are none.

    Raises InputError for words that are not known, and for two phrases with different meanings.
    """
    rows = {concept_of(prompt.words): prompt.words for prompt in prompts if isinstance(prompt, Text)}
    if len(rows) > 1:
        raise InputError(f"One thing is asked for at a time. Found: {', '.join(rows.values())}.")
    return next(iter(rows), ANY_TUMOUR)
