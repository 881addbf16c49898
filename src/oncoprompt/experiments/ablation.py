"""What each part of MSM-Seg is worth: the whole network beside networks that lack a part, trained alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oncoprompt.errors import InputError
from oncoprompt.experiments.arms import ArmTraining
from oncoprompt.experiments.cases import Case
from oncoprompt.experiments.engine import Setting, run
from oncoprompt.experiments.figure import dot_figure
from oncoprompt.experiments.protocol import moved_box, unprompted
from oncoprompt.experiments.result import Result
from oncoprompt.methods.interface import Method

ARMS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "no memory": {"memory": {"slices": 0, "channels": 0}},
    "slice bank only": {"memory": {"channels": 0}},
    "channel bank only": {"memory": {"slices": 0}},
    "no MCP-Encoder": {"prompt_encoder": {"guidance": False}},
    "no MF-Decoder": {"decoder": {"by_role": False}, "fusion": {"learned": False}},
}
"""Options of the network, by what the arm is called."""


def ablation(
    training: ArmTraining, seeds: Sequence[int], arms: Sequence[str], cases: Sequence[Case], begin: Callable[[], None]
) -> Result:
    """Train every arm with every seed, then score them all with a box and without."""
    models = {arm: [training.train(arm, ARMS[arm], seed) for seed in seeds] for arm in arms}
    protocols = (moved_box(0.1), unprompted())
    settings = [
        Setting(f"{arm}, {protocol.name}", model, protocol)
        for protocol in protocols
        for arm, trained in models.items()
        for model in trained
    ]
    names = tuple(dict.fromkeys(setting.name for setting in settings))
    outcome = run(cases, lambda _: settings, begin)
    chance = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds, whose scores are averaged"
    return Result(
        title="What each part of the network is worth",
        model=training.network,
        weights_sha256=None,
        head="network, prompt",
        settings=names,
        outcome=outcome,
        remarks=(
            f"{training.sentence} Weights start from {chance}: between such short runs differences of a few points "
            "mean nothing.",
            "Prompts: " + "; ".join(f"**{protocol.name}**: {protocol.sentence}" for protocol in protocols) + ".",
        ),
        figure=dot_figure(outcome, names, "What each part of the network is worth"),
        figures={"arms": {arm: _weights(trained, seeds) for arm, trained in models.items()}},
    )


def chosen(text: str | None) -> list[str]:
    """Arms named in a text with commas between, all where there is none; raises InputError for names that are none."""
    if text is None:
        return list(ARMS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in ARMS]
    if unknown or not names:
        raise InputError(f"There is no arm '{', '.join(unknown)}'. Known: {', '.join(ARMS)}.")
    return list(dict.fromkeys(names))


def _weights(models: Sequence[Method], seeds: Sequence[int]) -> dict[str, str]:
    return {f"seed {seed}": model.weights_sha256 for seed, model in zip(seeds, models, strict=True)}
