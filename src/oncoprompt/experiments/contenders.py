"""Models that are told the same of a tumour, as far as each can read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from oncoprompt.experiments.anatomy_baseline import BASELINE, BaselineTraining
from oncoprompt.experiments.guidance import ANATOMY, BOX, CLICKS, GUIDANCE, WORD, Guidance
from oncoprompt.inference.device import device_named
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import list_models, load_model
from oncoprompt.methods.weight_files import read_manifest, trained_minutes


@dataclass(frozen=True)
class Contender:
    """A model under the name it has in the tables, what of `guidance` it reads, whether it reads CT, and what it is."""

    name: str
    method: Method
    reads: frozenset[str]
    ct: bool
    sentence: str

    @cached_property
    def asked_as(self) -> Mapping[str, str]:
        """Of each guidance the one that is asked instead, because the model cannot tell it from that one."""
        seen: dict[Guidance, str] = {}
        return {g.name: seen.setdefault(replace(g.only(self.reads), name=""), g.name) for g in GUIDANCE}

    def setting(self, guidance: str) -> str:
        """Name of the setting in which the model is asked so."""
        return f"{self.name}: {self.asked_as[guidance]}"


def contenders_of(model: str, reference: str, training: BaselineTraining | None) -> list[Contender]:
    """A model of words, clicks and anatomy, the baseline after its training, and a model of boxes and clicks for MRI.

    Raises as `load_model` and `BaselineTraining.train` do.
    """
    device = device_named("auto")
    asked, boxed = load_model(model, device), load_model(reference, device)
    contenders = [
        Contender(
            asked.name,
            asked,
            frozenset({CLICKS, WORD, ANATOMY, BOX}),
            True,
            f"({asked.weights_sha256[:12]}{_trained(model)}) reads all of it.",
        )
    ]
    if training is not None:
        method = training.train()
        sentence = (
            f"({method.weights_sha256[:12]}), MONAI's network of nnU-Net, has box, clicks and mask as input channels; "
            f"trained here from scratch for {training.minutes:g} minutes on the synthetic people of {asked.name}."
        )
        contenders.append(Contender(BASELINE, method, frozenset({CLICKS, ANATOMY, BOX}), True, sentence))
    sentence = f"({boxed.weights_sha256[:12]}{_trained(reference)}) reads box and clicks, of MRI alone."
    return [*contenders, Contender(boxed.name, boxed, frozenset({CLICKS, BOX}), False, sentence)]


def _trained(model: str) -> str:
    """How long a model's weights were trained, where their manifest tells."""
    known = {card.name: card.weights for card in list_models()}
    path = known.get(model) or Path(model)
    minutes = trained_minutes(read_manifest(path)) if path.is_file() else None
    return "" if minutes is None else f", trained for {minutes:.0f} minutes"
