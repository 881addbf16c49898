"""TAGS behind the interface of all methods: studies in, probabilities of the tumour out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, mask_bounds, resample
from oncoprompt.methods.interface import Encoding, Prompt, RegionProbabilities
from oncoprompt.methods.region_method import box_on
from oncoprompt.methods.tags.asked import Asked
from oncoprompt.methods.tags.crop import CropPolicy, blended
from oncoprompt.methods.tags.intensities import Intensities, organ_in
from oncoprompt.methods.tags.network import PreparedCrop, TagsNetwork
from oncoprompt.methods.tags.tensors import TagsPrompt
from oncoprompt.methods.tags.view import View
from oncoprompt.prompts import Anatomy
from oncoprompt.study import Study

TextVectors = Callable[[str], Tensor | None]
"""Words -> unit vectors [2, width] of the healthy organ and of the one with a tumour, None where there are none."""

_MOST_KEPT = 4


@dataclass(eq=False)
class Look:
    """A study with the crops chosen beforehand, if they were, and those that are encoded already."""

    study: Study
    crops: list[Grid] | None
    kept: dict[tuple[Grid, str, Intensities, tuple[Anatomy, ...]], PreparedCrop] = field(default_factory=dict)
    views: dict[str | None, View] = field(default_factory=dict)

    def view(self, organ: str | None) -> View:
        """The study seen for an organ, made once."""
        return self.views.setdefault(organ, View(self.study, organ))


class TagsMethod:
    """Full-size TAGS with weights, for studies of any spacing and orientation.

    organ: the one organ that the weights know; None for several, which words tell apart. needs_anatomy: the weights
    have always seen an organ mask, so a CT needs one. text_vectors: what words mean to the network. The published form
    reads positive clicks and the mask, a box only as the place to look at, and of words only the organ.
    """

    def __init__(
        self,
        network: TagsNetwork,
        name: str,
        weights_sha256: str,
        device: torch.device,
        *,
        organ: str | None = None,
        needs_anatomy: bool = False,
        text_vectors: TextVectors | None = None,
        policy: CropPolicy | None = None,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.weights_sha256 = weights_sha256
        self.calibration = calibration or {}
        self._network = network.to(device).eval()
        self._device = device
        self._organ = organ
        self._needs_anatomy = needs_anatomy
        self._text_vectors = text_vectors
        self._policy = policy or CropPolicy()

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise InputError for prompts and words that these weights do not read."""
        asked = Asked.of(prompts)
        self._organ_of(asked)
        self._vectors_of(asked)
        if self._network.config.labelled_clicks:
            return
        if any(not click.positive for click in asked.clicks):
            raise InputError(f"Model '{self.name}' cannot tell negative clicks from positive ones. Leave them out.")
        if not asked.clicks:
            raise InputError(f"Model '{self.name}' was trained with clicks in the tumour alone. Give at least one.")

    def encode(self, study: Study, region: NDArray[np.int64] | None, context: Sequence[Prompt] = ()) -> Encoding:
        """Encode the crops over a half-open voxel box (3, 2).

        Without a region nothing says yet where to look: the first answer chooses its crops and encodes them. So it does
        for an anatomy mask and an organ that come with later prompts; `context` may tell them here.
        """
        if region is None:
            return Encoding(study.grid, Look(study, None))
        look = Look(study, self._policy.over(study.grid, region))
        asked = Asked.of(context)
        if not self._lacks_anatomy(look, asked):
            for crop in (look.crops or [])[:_MOST_KEPT]:
                self._prepared(look, crop, asked)
        return Encoding(study.grid, look)

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """Probabilities of the tumour, as WT, from all crops of the encoding.

        Where it has no crops yet, they are put around each group of positive clicks and over each box, or, without
        these, as windows over the anatomy mask or the foreground. Raises InputError as `check` does.
        """
        self.check(prompts)
        asked, look = Asked.of(prompts), encoding.features
        if self._lacks_anatomy(look, asked):
            raise InputError(
                f"Model '{self.name}' needs a mask of the organ for CT. Give one (--anatomy FILE in the shell); "
                "TotalSegmentator makes such masks."
            )
        crops = look.crops or self._places(look, asked)
        return blended(self._answers(look, crops, asked), crops, study.grid)

    def _answers(self, look: Look, crops: Sequence[Grid], asked: Asked) -> Iterator[NDArray[np.float32]]:
        """Probability of the tumour [D, H, W] in one crop after another."""
        text = self._vectors_of(asked)
        for crop in crops:
            prompt = asked.on(crop, text)
            if not self._network.config.labelled_clicks and not prompt.clicks.shape[1]:
                # As published, all is background where nobody clicked.
                yield np.zeros(crop.shape[::-1], dtype=np.float32)
                continue
            prepared = self._prepared(look, crop, asked)
            with torch.inference_mode(), self._precision():
                logits = self._network.answer(prepared, self._moved(prompt))
            yield logits[0].float().softmax(0)[1].cpu().numpy()

    def _prepared(self, look: Look, crop: Grid, asked: Asked) -> PreparedCrop:
        view = look.view(self._organ_of(asked))
        key = (crop, view.channel, view.intensities, asked.anatomy)
        if key not in look.kept:
            volume = view.volume(crop, asked.anatomy).to(self._device)
            while len(look.kept) >= _MOST_KEPT:
                look.kept.pop(next(iter(look.kept)))
            with torch.inference_mode(), self._precision():
                look.kept[key] = self._network.prepare(self._network.encode(volume))
        return look.kept[key]

    def _places(self, look: Look, asked: Asked) -> list[Grid]:
        """Where to look; a crop already encoded that shows a group of clicks well is taken again."""
        grid, policy = look.study.grid, self._policy
        crops = [crop for box in asked.boxes for crop in policy.over(grid, box_on(box, grid))]
        if len(asked.positive_mm):
            encoded = [crop for crop, *_ in look.kept]
            for group in policy.groups(grid, asked.positive_mm):
                if not any(policy.holds(crop, group) for crop in crops):
                    known = (crop for crop in encoded if policy.holds(crop, group))
                    crops.append(next(known, None) or policy.around(grid, group))
        if crops:
            return crops
        target = look.view(self._organ_of(asked)).target(asked.anatomy)
        if not target.any():
            raise InputError("The anatomy mask lies outside the scan. Check that it was made for this scan.")
        windows = policy.over(grid, mask_bounds(target))
        return [crop for crop in windows if resample(target, grid, crop, order=0).any()]

    def _organ_of(self, asked: Asked) -> str | None:
        """The organ that words name, else that of the weights."""
        if asked.words is None:
            return self._organ
        named = organ_in(asked.words)
        if self._organ is not None and named not in (None, self._organ):
            raise InputError(f"These weights of '{self.name}' are for the {self._organ}. Found: '{asked.words}'.")
        if named is None and not self._network.config.text_in_decoder:
            raise InputError(
                f"Model '{self.name}' reads of words the organ alone, and '{asked.words}' names none that it knows. "
                "Name the organ, or leave the words out."
            )
        return named or self._organ

    def _vectors_of(self, asked: Asked) -> Tensor | None:
        if asked.words is None or not self._network.config.text_in_decoder:
            return None
        vectors = None if self._text_vectors is None else self._text_vectors(asked.words)
        if vectors is None:
            raise InputError(f"There are no vectors for the words '{asked.words}' here. Leave the words out.")
        return vectors

    def _lacks_anatomy(self, look: Look, asked: Asked) -> bool:
        return self._needs_anatomy and not asked.anatomy and look.view(self._organ_of(asked)).is_ct

    def _moved(self, prompt: TagsPrompt) -> TagsPrompt:
        box, text = (None if x is None else x.to(self._device) for x in (prompt.box, prompt.text))
        return TagsPrompt(prompt.clicks.to(self._device), prompt.labels.to(self._device), box, text)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda")
