"""What each channel is worth: every subset of the channels, and the loss where one is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np

from oncoprompt.experiments.cases import Case, LabelledStudy
from oncoprompt.experiments.engine import Outcome, Setting, dice_of, run
from oncoprompt.experiments.figure import dot_figure
from oncoprompt.experiments.protocol import moved_box
from oncoprompt.experiments.result import Result
from oncoprompt.methods.interface import Method
from oncoprompt.study import REGIONS
from oncoprompt.synthesis.relaxometry import CHANNELS

Losses = dict[str, dict[str, float]]


def missing_channels(model: Method, cases: Sequence[Case], begin: Callable[[], None]) -> Result:
    """Segment every case from each of the 15 subsets of its four channels, with the same box."""
    protocol = moved_box(0.1, draws=1)

    def settings(labelled: LabelledStudy) -> Iterator[Setting]:
        for subset in subsets(name for name in CHANNELS if name in labelled.study.channels):
            yield Setting(subset_name(subset), model, protocol, subset)

    outcome = run(cases, settings, begin)
    asked = {answer.setting for answer in outcome.answers}
    names = tuple(name for name in map(subset_name, subsets(CHANNELS)) if name in asked)
    losses = {source: left_out(outcome, source) for source in outcome.sources}
    return Result(
        title="What each channel is worth",
        model=model.name,
        weights_sha256=model.weights_sha256,
        head="channels",
        settings=names,
        outcome=outcome,
        remarks=(f"Prompt: {protocol.sentence}, the same for all subsets of a case's channels.",),
        figure=dot_figure(outcome, names, "What each channel is worth"),
        findings=tuple(_sentence(source, loss) for source, loss in losses.items() if loss),
        figures={"lost_without": losses},
    )


def subsets(channels: Sequence[str] | Iterator[str]) -> Iterator[tuple[str, ...]]:
    """All non-empty subsets, the largest first."""
    names = tuple(channels)
    for size in range(len(names), 0, -1):
        yield from combinations(names, size)


def subset_name(channels: Sequence[str]) -> str:
    """Name of a setting with these channels."""
    return " ".join(channels)


def left_out(outcome: Outcome, source: str) -> Losses:
    """Mean Dice of all four channels minus that without one of them: channel -> region -> loss.

    Over the cases that have all four; empty where none has.
    """
    losses: Losses = {}
    for channel in CHANNELS:
        rest = subset_name([name for name in CHANNELS if name != channel])
        for region in (*REGIONS, "mean"):
            whole = outcome.per_case(source, subset_name(CHANNELS), dice_of(region))
            without = outcome.per_case(source, rest, dice_of(region))
            if whole:
                loss = float(np.mean([whole[case] - without[case] for case in whole]))
                losses.setdefault(channel, {})[region] = loss
    return losses


def _sentence(source: str, losses: Losses) -> str:
    listed = "; ".join(
        f"{channel} " + ", ".join(f"{region} {loss[region]:.3f}" for region in REGIONS if region in loss)
        for channel, loss in losses.items()
    )
    channel, region = max(
        ((channel, region) for channel, loss in losses.items() for region in REGIONS if region in loss),
        key=lambda place: losses[place[0]][place[1]],
    )
    return (
        f"Dice lost without one channel, {source}: {listed}. The largest loss is that of {region} without {channel}, "
        f"{losses[channel][region]:.3f}."
    )
