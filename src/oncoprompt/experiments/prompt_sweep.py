"""What a prompt is worth, and what its imprecision costs: boxes from tight to loose, clicks, a correction, nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from oncoprompt.experiments.cases import Case
from oncoprompt.experiments.encodings import EncodedOnce
from oncoprompt.experiments.engine import Outcome, Setting, dice_of, run
from oncoprompt.experiments.figure import dot_figure
from oncoprompt.experiments.protocol import PromptProtocol, clicked, corrected_box, moved_box, unprompted
from oncoprompt.experiments.result import Result
from oncoprompt.methods.interface import Method
from oncoprompt.study import REGIONS


def prompt_sweep(model: Method, cases: Sequence[Case], begin: Callable[[], None], draws: int = 3) -> Result:
    """Ask the same of a model in seven ways."""
    protocols = _protocols(draws)
    once = EncodedOnce(model)
    settings = [Setting(protocol.name, once, protocol) for protocol in protocols]
    outcome = run(cases, lambda _: settings, begin)
    names = tuple(protocol.name for protocol in protocols)
    lost = {source: _lost(outcome, source, "tight box", "box ±20%") for source in outcome.sources}
    return Result(
        title="What a prompt is worth",
        model=model.name,
        weights_sha256=model.weights_sha256,
        head="prompt",
        settings=names,
        outcome=outcome,
        remarks=("Prompts: " + "; ".join(f"**{p.name}**: {p.sentence}" for p in protocols) + ".",),
        figure=dot_figure(outcome, names, "What a prompt is worth"),
        findings=tuple(
            f"Lost from the tight box to the box ±20%, Dice, {source}: "
            + ", ".join(f"{region} {value:.3f}" for region, value in values.items())
            for source, values in lost.items()
        ),
        figures={"lost_from_tight_to_20_percent": lost},
    )


def _protocols(draws: int) -> tuple[PromptProtocol, ...]:
    boxes = (moved_box(0.0), moved_box(0.1, draws), moved_box(0.2, draws))
    return (*boxes, clicked(1, draws), clicked(3, draws), corrected_box(0.1, draws), unprompted())


def _lost(outcome: Outcome, source: str, better: str, worse: str) -> dict[str, float]:
    """Mean Dice of one setting minus that of another, a region."""
    lost = {}
    for region in REGIONS:
        first = outcome.per_case(source, better, dice_of(region))
        second = outcome.per_case(source, worse, dice_of(region))
        if first:
            lost[region] = float(np.mean([first[case] - second[case] for case in first]))
    return lost
