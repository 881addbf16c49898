"""What the two memories are worth: n earlier slices and k earlier channels, in given weights or trained anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from oncoprompt.experiments.cases import Case
from oncoprompt.experiments.engine import Outcome, Setting, dice_of, run
from oncoprompt.experiments.memory_figure import length_name, memory_figure
from oncoprompt.experiments.memory_length import Length, with_lengths, with_memories
from oncoprompt.experiments.protocol import moved_box
from oncoprompt.experiments.result import Result
from oncoprompt.inference.device import device_named
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import load_network, network_config
from oncoprompt.study import REGIONS

if TYPE_CHECKING:
    from oncoprompt.experiments.arms import ArmTraining

SLICES = (0, 1, 2, 4, 7, 8, 16)
CHANNELS = (0, 1, 2, 3)


def lengths(usual: Length) -> list[Length]:
    """Every n with the usual k, then every k with the usual n, each once."""
    slices, channels = usual
    return list(dict.fromkeys([*((n, channels) for n in (*SLICES, slices)), *((slices, k) for k in CHANNELS)]))


def memory_given(model: str, cases: Sequence[Case], begin: Callable[[], None]) -> Result:
    """Change the lengths of the memories in given weights, which were trained with others.

    Raises InputError for a model that is not MSM-Seg, WeightsError where weights are missing.
    """
    trained = load_network(model)
    memory = with_memories(trained).config.memory
    usual = (memory.slices, memory.channels)
    device = device_named("auto")
    models = with_lengths(trained, lengths(usual), device)
    how = (
        f"The weights were trained with {length_name(usual)} and not again: items older than they knew share the "
        "temporal code of the oldest they knew, and an empty memory is read as in the first slice."
    )
    return _scored(models, usual, cases, begin, how, trained.sha256)


def memory_trained(training: ArmTraining, cases: Sequence[Case], begin: Callable[[], None]) -> Result:
    """Train a network from scratch for each pair of lengths."""
    memory = network_config(training.network, {}, "The experiment").memory
    usual = (memory.slices, memory.channels)
    models = {
        (n, k): training.train(f"n {n} k {k}", {"memory": {"slices": n, "channels": k}}, training.seed)
        for n, k in lengths(usual)
    }
    return _scored(models, usual, cases, begin, training.sentence, None)


def _scored(
    models: Mapping[Length, Method],
    usual: Length,
    cases: Sequence[Case],
    begin: Callable[[], None],
    how: str,
    weights_sha256: str | None,
) -> Result:
    protocol = moved_box(0.1, draws=1)
    settings = [Setting(length_name(length), model, protocol) for length, model in models.items()]
    outcome = run(cases, lambda _: settings, begin)
    seconds = {
        setting.name: float(np.median([a.decode_s for a in outcome.answers if a.setting == setting.name]))
        for setting in settings
    }
    return Result(
        title="What the memories are worth",
        model=settings[0].model.name,
        weights_sha256=weights_sha256,
        head="memory",
        settings=tuple(setting.name for setting in settings),
        outcome=outcome,
        remarks=(f"n slices and k channels are remembered. {how} Prompt: {protocol.sentence}, the same for all.",),
        figure=memory_figure(outcome, list(models), usual, seconds),
        findings=(
            *(_largest_change(outcome, source, length_name(usual)) for source in outcome.sources),
            _timed(seconds),
        ),
        figures={
            "decode_seconds": seconds,
            "weights": {length_name(length): model.weights_sha256 for length, model in models.items()},
        },
    )


def _timed(seconds: Mapping[str, float]) -> str:
    kind = "wall" if torch.cuda.is_available() else "processor"
    listed = ", ".join(f"{name}: {value:.2f} s" for name, value in seconds.items())
    return f"Median {kind} time of decoding, the part that reads the memories: {listed}."


def _largest_change(outcome: Outcome, source: str, usual: str) -> str:
    """How far the mean Dice of a region gets from that of the usual lengths."""
    changes = {}
    for setting in dict.fromkeys(answer.setting for answer in outcome.answers):
        for region in REGIONS:
            before = list(outcome.per_case(source, usual, dice_of(region)).values())
            after = list(outcome.per_case(source, setting, dice_of(region)).values())
            if before:
                changes[setting, region] = float(np.mean(after) - np.mean(before))
    setting, region = max(changes, key=lambda place: abs(changes[place]))
    return (
        f"Largest change of a mean Dice from {usual}, {source}: {changes[setting, region]:+.4f} ({region}, {setting})."
    )
