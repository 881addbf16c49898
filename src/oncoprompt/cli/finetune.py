"""`oncoprompt finetune`: a few labelled cases of one's own in, a model adapted to them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import check_model, check_readable, check_schema
from oncoprompt.cli.options import DEFAULT_MODEL, Overwrite, Quiet, Verbose
from oncoprompt.cli.process import IN_PART
from oncoprompt.errors import InputError
from oncoprompt.training.process_settings import prepare_process

if TYPE_CHECKING:
    from oncoprompt.methods.interface import Method
    from oncoprompt.synthesis.case import LabelledCase
    from oncoprompt.synthesis.case_folder import CaseFiles
    from oncoprompt.training.finetune import FineTuned

EXAMPLE = "Example: oncoprompt finetune --data my-cases/ -o my-model/ --schema brats2021 --minutes 30"
_LEAST_TO_HOLD_OUT = 4
_MOST_SCORED = 4


def finetune(
    data: Annotated[Path, typer.Option("--data", help="Folder with one folder for each case: scans and *-seg.nii.gz.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for the weights, their manifest and the run.")],
    model: Annotated[str, typer.Option(help="Model to start from: a name or the path of weights.")] = DEFAULT_MODEL,
    schema: Annotated[str | None, typer.Option(help="Label schema of the label maps, such as brats2021.")] = None,
    minutes: Annotated[float, typer.Option(min=0.0, help="How long to train.")] = 20.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Train so many steps instead.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Adapt a model to your own labelled cases, one to fifty of them; Ctrl-C keeps what has been learnt.

    Of four cases or more, one is held out to tell what was gained. Exit code 4 says that cases could not be used.
    """
    talk = Talk(quiet, max(1, verbose))
    prepare_process()
    with talk.errors_told(overwrite):
        if not minutes > 0 or minutes == float("inf"):
            raise InputError(f"--minutes is {minutes:g}; give a positive number.")
        check_readable(data, "--data", folder=True)
        check_model(model)
        check_schema(schema)
        from oncoprompt.training.finetune import FinetuneConfig, check
        from oncoprompt.training.finetune import finetune as run

        config = FinetuneConfig(model=model, minutes=minutes, steps=steps, seed=seed)
        check(out, config, resume)
        files, cases = _read(data, schema, talk)
        held_out = cases[seed % len(cases)].name if len(cases) >= _LEAST_TO_HOLD_OUT else None
        result = run([case for case in cases if case.name != held_out], out, config, resume)
        if not quiet:
            _tell(result, files, cases, held_out, schema, model, talk)
    from oncoprompt.synthesis.case_folder import cases_left_out

    if len(cases) < len(files) or cases_left_out(data):
        raise typer.Exit(IN_PART)


def _tell(
    result: FineTuned,
    files: Sequence[CaseFiles],
    cases: Sequence[LabelledCase],
    held_out: str | None,
    schema: str | None,
    model: str,
    talk: Talk,
) -> None:
    """What was learnt, in Dice before and after, and how to use it."""
    from oncoprompt.methods.registry import load_model

    if not result.complete:
        say(f"Stopped after {result.progress.step} steps; --resume goes on.")
    names = [held_out] if held_out else [case.name for case in cases][:_MOST_SCORED]
    scored = [file for file in files if file.name in names]
    with talk.step("Comparing with the model before"):
        models = (load_model(model), load_model(str(result.weights)))
        say(_comparison([_scores(file, schema, models) for file in scored], held_out is not None))
    say(f"{result.weights}\nUse it: oncoprompt segment --model {result.weights} ...")
    say("To share it, give the weights and their manifest; the folder 'run' names your cases.")


def _read(data: Path, schema: str | None, talk: Talk) -> tuple[list[CaseFiles], list[LabelledCase]]:
    """The files of the labelled cases, and the cases."""
    from oncoprompt.synthesis.case_folder import find_cases, read_cases

    files = find_cases(data)
    with talk.step(f"Reading {len(files)} case{'' if len(files) == 1 else 's'}"):
        return files, list(read_cases(data, schema))


Scores = tuple[str, dict[str, float], dict[str, float]]


def _scores(file: CaseFiles, schema: str | None, models: Sequence[Method]) -> Scores | None:
    """Name of a case and its Dice by the model before and after; None where it has no tumour."""
    from oncoprompt.experiments.protocol import box_dice
    from oncoprompt.study import Study, read_label_map

    study, truth = Study.read(file.folder), read_label_map(file.label_map, schema)
    before, after = (box_dice(model, study, truth) for model in models)
    return None if before is None or after is None else (file.name, before, after)


def _comparison(rows: Sequence[Scores | None], held_out: bool) -> str:
    """The table of Dice before and after, headed by what it is worth."""
    from oncoprompt.experiments.protocol import BOX_PROTOCOL

    kind = (
        "Dice on the case that was held out"
        if held_out
        else f"Dice on cases it was TRAINED on (fewer than {_LEAST_TO_HOLD_OUT} cases: none held out), no proof of gain"
    )
    lines = [f"{kind}; {BOX_PROTOCOL.format(draws=3)}:"]
    for row in rows:
        if row is None:
            continue
        name, before, after = row
        numbers = "  ".join(f"{region} {before[region]:.3f} -> {after[region]:.3f}" for region in before)
        lines.append(f"  {name}: {numbers}")
    return "\n".join(lines)
