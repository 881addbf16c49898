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
from oncoprompt.study.output import write_output
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
    outcome = result.outcome
    origin = origin_of(result.model, result.weights_sha256, command)
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
    return write_parts(out, name, _page(result, name, origin), content, result.figure)


def origin_of(model: str, weights_sha256: str | None, command: str) -> dict[str, str | None]:
    """Where numbers come from: model, weights, version, commit and command."""
    return {
        "model": model,
        "weights_sha256": weights_sha256,
        "version": __version__,
        "commit": source_commit(),
        "command": command,
    }


def write_parts(out: Path, name: str, page: str, content: Mapping[str, Any], figure: Figure) -> list[Path]:
    """Write a page as ``<name>.md``, numbers as ``<name>.json`` and a figure as ``<name>.png``, each whole or not."""
    out.mkdir(parents=True, exist_ok=True)
    with io.BytesIO() as picture:
        figure.savefig(picture, format="png", dpi=130, facecolor="white")
        drawn = picture.getvalue()
    parts = {
        "md": page.encode(),
        "json": f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode(),
        "png": drawn,
    }
    paths = []
    for ending, data in parts.items():
        paths.append(out / f"{name}.{ending}")
        write_output(paths[-1], data)
    return paths


def origin_lines(origin: Mapping[str, str | None]) -> list[str]:
    """The last paragraphs of a page: model, weights, version and command."""
    sha256 = origin["weights_sha256"]
    weights = f"weights {sha256[:12]}" if sha256 else "weights trained here, see the JSON"
    commit = f", commit {origin['commit']}" if origin["commit"] else ""
    return [f"Model {origin['model']}, {weights}; oncoprompt {origin['version']}{commit}.", f"    {origin['command']}"]


def _page(result: Result, name: str, origin: Mapping[str, str | None]) -> str:
    outcome = result.outcome
    parts = [f"# {result.title}", " ".join([*result.remarks, MISS_SENTENCE])]
    for source in outcome.sources:
        heading = f"## {source.capitalize()} ({len(outcome.cases(source))})"
        parts += [heading, score_table(outcome, source, result.settings, result.head)]
    parts += [*_caveats(outcome), bullets("Findings", result.findings), bullets("Left out", outcome.problems)]
    parts += [f"![{result.title}]({name}.png)", *origin_lines(origin)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _caveats(outcome: Outcome) -> list[str]:
    caveats = []
    if len(outcome.cases(LABELLED)) in range(2, 20):
        caveats.append("Brackets are 95 % bootstrap intervals over cases; with so few cases they are too narrow.")
    if LABELLED not in outcome.sources:
        caveats.append("Scores on synthetic studies alone: they do not say how good the model is on real scans.")
    return caveats


def bullets(heading: str, sentences: Sequence[str]) -> str:
    """Sentences as a list under a heading, nothing where there are none."""
    return "\n".join([f"**{heading}**", "", *(f"- {sentence}" for sentence in sentences)]) if sentences else ""
