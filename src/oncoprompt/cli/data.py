"""`oncoprompt data`: what a data set holds, what is wrong with it, and how it is split."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import about, check_if_there, check_readable, check_schema
from oncoprompt.cli.options import Overwrite, Quiet, Verbose
from oncoprompt.cli.process import BAD_INPUT, IN_PART
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.cohort import Cohort, Problem, Split

_log = logging.getLogger(__name__)
_PARTS = ("train", "validation", "test")

app = typer.Typer(help="List, check and split data sets of labelled cases.", no_args_is_help=True)

Data = Annotated[Path, typer.Argument(help="Folder of the data set, or a manifest in .csv or .json.")]
Layout = Annotated[
    str | None,
    typer.Option(
        help="brats2021, brats2023, folders, nnunet, decathlon, bids, kits21, lits or manifest; else found out."
    ),
]
Schema = Annotated[
    str | None, typer.Option(help="Label schema of the label maps, where neither names nor files tell it.")
]


@app.command("list", epilog="Example: oncoprompt data list Dataset137_BraTS/")
def list_cases(
    data: Data, layout: Layout = None, schema: Schema = None, quiet: Quiet = False, verbose: Verbose = 0
) -> None:
    """List the cases of a data set: patient, channels, label map and the schema its numbers are in.

    Exit code 4 says that something in it is no case that can be used; messages name it.
    """
    with Talk(quiet, verbose).errors_told():
        check_readable(data, "DATA")
        check_schema(schema)
        from oncoprompt.cohort import read_cohort

        cohort = read_cohort(data, layout, schema)
        rows = [("case", "patient", "channels", "label map", "schema")]
        for case in cohort.cases:
            label_map = case.label_map.name if case.label_map else "-"
            named = case.schema.name if case.schema else "-"
            rows.append((case.name, case.patient, " ".join(case.channels), label_map, named))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        count, patients = len(cohort.cases), len({case.patient for case in cohort.cases})
        say(f"Layout {cohort.layout}; cases: {count}, labelled: {len(cohort.labelled)}, patients: {patients}")
        for problem in cohort.problems:
            _log.warning("%s", problem)
        _tell_unused(cohort)
    if cohort.left_out:
        raise typer.Exit(IN_PART)


@app.command(
    "check",
    epilog="Exit codes: 0 no problems, 2 problems found or the data set cannot be read. "
    "Example: oncoprompt data check BraTS2021/ --split split.json",
)
def check(
    data: Data,
    layout: Layout = None,
    schema: Schema = None,
    split: Annotated[Path | None, typer.Option(help="Split to check as well: no patient in two parts.")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="File to write the problems to, as JSON.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Read every file of a data set and tell what is wrong, a line a problem, to the end."""
    talk = Talk(quiet, verbose)
    with talk.errors_told(overwrite):
        check_readable(data, "DATA")
        check_schema(schema)
        from oncoprompt.cohort import read_cohort
        from oncoprompt.cohort.check import check_cohort
        from oncoprompt.study.output import check_outputs

        if report is not None:
            with about("--json"):
                check_outputs([report], [path for path in (data, split) if path is not None])
        cohort = read_cohort(data, layout, schema)
        parts, problems = _read_split(split)
        for problem in problems:
            say(str(problem))
        with talk.progress("Checking case", len(cohort.cases)) as begin:
            for problem in check_cohort(cohort, parts, begin):
                problems.append(problem)
                say(str(problem))
        _tell_unused(cohort)
        if report is not None:
            _write(report, cohort, problems)
        if not quiet:
            say(_summary(cohort, problems))
    if problems:
        raise typer.Exit(BAD_INPUT)


@app.command("split", epilog="Example: oncoprompt data split BraTS2021/ -o split.json --shares 0.7 0.1 0.2")
def split(
    data: Data,
    out: Annotated[Path, typer.Option("--output", "-o", help="File to write, .json; with --folds one for each fold.")],
    shares: Annotated[
        tuple[float, float, float], typer.Option(help="Shares of the patients for train, validation and test.")
    ] = (0.7, 0.1, 0.2),
    number: Annotated[
        int | None, typer.Option("--folds", min=2, help="Write so many folds of train and validation instead.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    layout: Layout = None,
    schema: Schema = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Divide the labelled cases into train, validation and test, patient by patient.

    The same seed gives the same split on every machine, in whatever order the files are listed. Exit code 4 says that
    something in the data set is no case that can be used; messages name it.
    """
    with Talk(quiet, verbose).errors_told(overwrite):
        check_readable(data, "DATA")
        check_schema(schema)
        from oncoprompt.cohort import folds, read_cohort, split_cohort
        from oncoprompt.study.output import check_outputs

        numbers = range(1, number + 1) if number is not None else ()
        files = [out.with_name(f"{out.stem}-{fold}{out.suffix}") for fold in numbers] or [out]
        with about("--output"):
            check_outputs(files, [data])
        cohort = read_cohort(data, layout, schema)
        if number is None:
            wanted = {part: share for part, share in zip(_PARTS, shares, strict=True) if share}
            made = {out: split_cohort(cohort, wanted, seed)}
        else:
            made = dict(zip(files, folds(cohort, number, seed), strict=True))
        for path, drawn in made.items():
            drawn.write(path)
            parts = (f"{part} {len(drawn.cases(part))}" for part in drawn.parts)
            if not quiet:
                say(f"{path}: {', '.join(parts)} cases")
        for problem in cohort.problems:
            _log.warning("%s", problem)
        unlabelled = [case.name for case in cohort.cases if case.label_map is None]
        if unlabelled:
            _log.warning("Not in the split, for they have no label map: %s.", ", ".join(unlabelled))
    if cohort.left_out:
        raise typer.Exit(IN_PART)


def _tell_unused(cohort: Cohort) -> None:
    for file in cohort.unused:
        if file.kind == "unused file":
            _log.warning("%s", file)


def _read_split(path: Path | None) -> tuple[Split | None, list[Problem]]:
    """The split of a file; one that is no split, or has a patient in two parts, is a problem like the others."""
    from oncoprompt.cohort import Problem, Split

    if path is None:
        return None, []
    check_if_there(path, "--split", folder=False)
    try:
        return Split.read(path), []
    except InputError as error:
        return None, [Problem(path.name, "split", str(error))]


def _summary(cohort: Cohort, problems: list[Problem]) -> str:
    cases = f"{len(cohort.cases)} case{'' if len(cohort.cases) == 1 else 's'}"
    if not problems:
        return f"{cases}, no problems (layout {cohort.layout})"
    kinds = Counter(problem.kind for problem in problems)
    counted = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return f"{cases}, {len(problems)} problem{'' if len(problems) == 1 else 's'} (layout {cohort.layout}): {counted}"


def _write(path: Path, cohort: Cohort, problems: list[Problem]) -> None:
    from oncoprompt.study.output import write_output

    content = {
        "layout": cohort.layout,
        "cases": len(cohort.cases),
        "labelled": len(cohort.labelled),
        "problems": [asdict(problem) for problem in problems],
        "unused_files": [asdict(problem) for problem in cohort.unused],
    }
    write_output(path, f"{json.dumps(content, indent=2)}\n".encode())
