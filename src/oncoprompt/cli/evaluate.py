"""`oncoprompt evaluate`: predicted label maps against true ones, lesion by lesion, by the rules of a challenge."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import about, check_readable, check_schema
from oncoprompt.cli.options import Overwrite, Quiet, Verbose
from oncoprompt.cli.process import IN_PART
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.evaluation.cohort_scores import CohortScores
    from oncoprompt.evaluation.pairing import Pairing
    from oncoprompt.evaluation.profiles import Profile
    from oncoprompt.evaluation.statistics import PairedTest

EXAMPLE = (
    "Example: oncoprompt evaluate --truth labels/ --prediction results/ --profile brats2024-met --html scores.html"
)
WORST = 3

_log = logging.getLogger(__name__)


def evaluate(
    truth: Annotated[Path, typer.Option(help="Folder of <case>.nii.gz or <case>-seg.nii.gz, or one file.")],
    prediction: Annotated[Path, typer.Option(help="Folder of predictions, named likewise, or one file.")],
    profile: Annotated[str, typer.Option(help="Rules to score by, such as brats2023-gli or brats2024-met.")],
    compare: Annotated[
        Path | None, typer.Option(help="Other predictions of the same cases, for a paired Wilcoxon test.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="Label schema of files that name none, such as brats2021; the profile's if not given."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every figure; null is not defined or infinite.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with tables and the worst cases.")
    ] = None,
    truth_images: Annotated[
        Path | None, typer.Option(help="Folder with the scans of each case, to draw the worst ones over.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many cases to score at a time.")] = 1,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Score predictions lesion by lesion: each case, the mean over cases, and its bootstrap 95 % interval.

    A case without a prediction that can be used is scored as missing, as the challenge does, and told. Exit code 4 says
    that there was one, or a case or a prediction that was not scored.
    """
    talk = Talk(quiet, verbose)
    with talk.errors_told(overwrite):
        request = Request(truth, prediction, profile, compare, schema, json_file, html_file, truth_images, jobs)
        complete = run(request, talk)
    if not complete:
        raise typer.Exit(IN_PART)


@dataclass(frozen=True)
class Request:
    """What one run of the verb is asked for."""

    truth: Path
    prediction: Path
    profile: str
    compare: Path | None = None
    schema: str | None = None
    json_file: Path | None = None
    html_file: Path | None = None
    truth_images: Path | None = None
    jobs: int = 1

    @property
    def files_read(self) -> list[Path]:
        """Label maps and scans that the run may read."""
        given = [path for path in (self.truth, self.prediction, self.compare, self.truth_images) if path is not None]
        return [file for path in given for file in (path.rglob("*") if path.is_dir() else [path])]

    def check(self) -> None:
        """Raise InputError for an output that cannot be written, an input that is not there, or an unknown schema."""
        from oncoprompt.study.disk import check_room
        from oncoprompt.study.output import check_outputs

        for flag, given in (("--truth", self.truth), ("--prediction", self.prediction), ("--compare", self.compare)):
            if given is not None:
                check_readable(given, flag)
        for option, path, ending in (("--json", self.json_file, ".json"), ("--html", self.html_file, ".html")):
            if path is None:
                continue
            if path.suffix.lower() != ending:
                raise InputError(f"{option} '{path.name}' must end in {ending}.")
            if path.is_dir() or not path.resolve().parent.is_dir():
                raise InputError(f"{option} '{path}' cannot be written: give a file in a folder that exists.")
            with about(option):
                check_room(path, 0)
                check_outputs([path], self.files_read)
        if self.truth_images is not None and not self.truth_images.is_dir():
            raise InputError(f"--truth-images '{self.truth_images}' is no folder.")
        if self.truth_images is not None and self.html_file is None:
            raise InputError("--truth-images is for the pictures of --html FILE; give both.")
        check_schema(self.schema)


def run(request: Request, talk: Talk) -> bool:
    """Pair, score, write and tell; whether every case was scored by its prediction.

    Nothing is scored before the request has been checked.
    """
    request.check()
    from oncoprompt.evaluation.pairing import pair_label_maps
    from oncoprompt.evaluation.profiles import profile
    from oncoprompt.report.evaluation_summary import comparison_table, mean_table

    with about("--profile"):
        rules = profile(request.profile)
    pairing = pair_label_maps(request.truth, request.prediction)
    others = None if request.compare is None else pair_label_maps(request.truth, request.compare)
    scores = _score(pairing, rules, request, talk)
    other = None if others is None else _score(others, rules, request, talk)
    tests = {} if other is None else scores.compared(other)
    _write(request, pairing, scores, other, tests, talk)
    complete = not any(found.problems or found.without_truth for found in (scores, other) if found is not None)
    if talk.level < 0:
        return complete
    say(mean_table(scores).rstrip())
    if other is not None:
        say(f"\n{request.compare}:\n{mean_table(other).rstrip()}")
        say(f"\nMedian difference and Wilcoxon's p:\n{comparison_table(tests).rstrip()}")
    return complete


def _score(pairing: Pairing, rules: Profile, request: Request, talk: Talk) -> CohortScores:
    from oncoprompt.evaluation.cohort_scores import score_cohort

    with talk.progress("Scoring case", len(pairing.pairs)) as begin:
        scores = score_cohort(pairing, rules, request.schema, request.jobs, begin)
    missing = set(scores.missing)
    for case, problem in scores.problems.items():
        _log.warning("%s: %s %s", case, problem, "Scored as missing." if case in missing else "Not scored.")
    if scores.without_truth:
        _log.warning("Not scored, for there is no truth: %s.", ", ".join(scores.without_truth))
    return scores


def _write(
    request: Request,
    pairing: Pairing,
    scores: CohortScores,
    other: CohortScores | None,
    tests: Mapping[str, Mapping[str, PairedTest]],
    talk: Talk,
) -> None:
    import json

    from oncoprompt.report.evaluation_page import EvaluationPage
    from oncoprompt.report.evaluation_summary import summarise_scores
    from oncoprompt.report.worst_cases import draw_worst_cases
    from oncoprompt.study.output import write_output

    if request.json_file is not None:
        summary = summarise_scores(scores, other, tests)
        write_output(request.json_file, f"{json.dumps(summary, indent=2, allow_nan=False)}\n".encode())
    if request.html_file is not None:
        with talk.step("Drawing the worst cases"):
            pictures = draw_worst_cases(scores, pairing, WORST, request.schema, request.truth_images)
        names = request.prediction.name, "" if request.compare is None else request.compare.name
        EvaluationPage(scores, names[0], other, names[1], tests, pictures).write(request.html_file)
