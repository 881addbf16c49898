"""What an experiment leaves: a page, the numbers behind it and a figure, with where they come from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from oncoprompt import __version__
from oncoprompt.experiments.cases import LABELLED
from oncoprompt.experiments.engine import Outcome
from oncoprompt.experiments.table import MISS_SENTENCE, plain_answers, plain_means, score_table
from oncoprompt.study.writer import write_whole
from oncoprompt.training.export import source_commit


@dataclass(frozen=True)
class Result:
    """An experiment that was run: model, settings in the order of the tables, remarks on how, findings, figure.

    ``head`` names what the settings are; ``figures`` are findings as data. Where models are trained by the experiment
    there is no one hash of their weights.
    """

    title: str
    model: str
    weights_sha256: str | None
    head: str
    settings: tuple[str, ...]
    outcome: Outcome
    remarks: tuple[str, ...]
    figure: Figure
    findings: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def write_result(result: Result, out: Path, name: str, command: str) -> list[Path]:
    """Write ``<name>.md``, ``<name>.json`` and ``<name>.png`` into ``out``, each whole or not at all.

    Model, weights, ``command``, version and commit go along.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.{ending}" for ending in ("md", "json", "png")]
    outcome = result.outcome
    origin = {
        "model": result.model,
        "weights_sha256": result.weights_sha256,
        "version": __version__,
        "commit": source_commit(),
        "command": command,
    }
    content = {
        "experiment": name,
        **origin,
        "remarks": result.remarks,
        "cases": {source: len(outcome.cases(source)) for source in outcome.sources},
        "problems": outcome.problems,
        "findings": result.findings,
        **result.figures,
        "means": plain_means(outcome, result.settings),
        "answers": plain_answers(outcome),
    }
    with io.BytesIO() as picture:
        result.figure.savefig(picture, format="png", dpi=130, facecolor="white")
        contents = (_page(result, name, origin), f"{json.dumps(content, indent=1, allow_nan=False)}\n")
        for path, data in zip(paths, (*(text.encode() for text in contents), picture.getvalue()), strict=True):
            write_whole(path, data)
    return paths


def _page(result: Result, name: str, origin: Mapping[str, str | None]) -> str:
    outcome = result.outcome
    parts = [f"# {result.title}", " ".join([*result.remarks, MISS_SENTENCE])]
    for source in outcome.sources:
        heading = f"## {source.capitalize()} ({len(outcome.cases(source))})"
        parts += [heading, score_table(outcome, source, result.settings, result.head)]
    parts += [*_caveats(outcome), _bullets("Findings", result.findings), _bullets("Left out", outcome.problems)]
    parts.append(f"![{result.title}]({name}.png)")
    weights = f"weights {result.weights_sha256[:12]}" if result.weights_sha256 else "weights trained here, see the JSON"
    commit = f", commit {origin['commit']}" if origin["commit"] else ""
    parts += [f"Model {result.model}, {weights}; oncoprompt {__version__}{commit}.", f"    {origin['command']}"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _caveats(outcome: Outcome) -> list[str]:
    caveats = []
    if len(outcome.cases(LABELLED)) in range(2, 20):
        caveats.append("Brackets are 95 % bootstrap intervals over cases; with so few cases they are too narrow.")
    if LABELLED not in outcome.sources:
        caveats.append("Scores on synthetic studies alone: they do not say how good the model is on real scans.")
    return caveats


def _bullets(heading: str, sentences: Sequence[str]) -> str:
    return "\n".join([f"**{heading}**", "", *(f"- {sentence}" for sentence in sentences)]) if sentences else ""
