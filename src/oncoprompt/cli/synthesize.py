"""`oncoprompt synthesize`: synthetic studies with their truth, named as BraTS names its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oncoprompt.cli.case_files import write_case
from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.options import Quiet, Verbose

EXAMPLE = "Example: oncoprompt synthesize -n 4 -o synthetic/ --seed 7"


def synthesize(
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder in which each study gets a folder.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many studies.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first study; the next one has the next seed.")] = 0,
    family: Annotated[str | None, typer.Option(help="Kind of tumour, such as meningioma; drawn if not given.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Make synthetic studies with a tumour: four channels, the label map (brats2023) and how they were made."""
    talk = Talk(quiet, verbose)
    with talk.errors_told():
        from oncoprompt.synthesis import synthesize as make
        from oncoprompt.synthesis.case import SCHEMA

        for current in range(seed, seed + number):
            with talk.step(f"Making study {current - seed + 1} of {number}"):
                made = make(current, family)
                folder = write_case(out, case_name(current), made.study, made.label_map, SCHEMA, made.record)
            if not quiet:
                say(str(folder))


def case_name(seed: int) -> str:
    """Name of the study of a seed."""
    return f"OncoPrompt-SYN-{seed:05d}-000"
