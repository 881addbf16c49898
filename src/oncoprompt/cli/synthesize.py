"""`oncoprompt synthesize`: synthetic studies with their truth, named as BraTS names its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oncoprompt.cli.case_files import check_cases, check_room_for_cases, write_case
from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import check_readable
from oncoprompt.cli.options import Overwrite, Quiet, Verbose
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.synthesis import SyntheticStudy

SHEET = "montage.png"
EXAMPLE = "Example: oncoprompt synthesize -n 4 -o synthetic/ --seed 7"


def synthesize(
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder in which each study gets a folder.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many studies.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first study; the next one has the next seed.")] = 0,
    family: Annotated[str | None, typer.Option(help="Kind of tumour, such as meningioma; drawn if not given.")] = None,
    anatomy: Annotated[
        Path | None,
        typer.Option(help="Folder of label maps of heads in FreeSurfer's numbering; an average brain if not given."),
    ] = None,
    whole_head: Annotated[
        bool, typer.Option("--whole-head", help="Keep skull and scalp; needs label maps of whole heads (--anatomy).")
    ] = False,
    replay: Annotated[
        Path | None, typer.Option(help="Make the study of this -record.json again, with what was edited in it.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Make synthetic studies with a tumour: four channels, the label map, and a record of all that was drawn.

    montage.png in the folder shows the first twelve of them.
    """
    talk = Talk(quiet, verbose)
    with talk.errors_told(overwrite):
        if out.exists() and not out.is_dir():
            raise InputError(f"Output '{out}' is a file; give a folder.")
        for flag, path, folder in (("--anatomy", anatomy, None), ("--replay", replay, False)):
            if path is not None:
                check_readable(path, flag, folder)
        check_room_for_cases(out, number)
        if replay is not None:
            if number > 1 or seed or family is not None or whole_head:
                raise InputError(
                    "--replay makes the study of its record; leave out -n, --seed, --family, --whole-head."
                )
            check_cases(out, [], [out / SHEET], [replay])
            _write_all(out, 1, _replayed(replay, anatomy), talk)
            return
        if whole_head and anatomy is None:
            raise InputError(
                "--whole-head needs --anatomy, a folder of label maps of whole heads: the average brain has no head."
            )
        seeds = range(seed, seed + number)
        check_cases(out, map(case_name, seeds), [out / SHEET])
        _write_all(out, number, _drawn(seeds, family, anatomy, whole_head), talk)


def case_name(seed: int) -> str:
    """Name of the study of a seed."""
    return f"OncoPrompt-SYN-{seed:05d}-000"


def _drawn(
    seeds: range, family: str | None, anatomy: Path | None, whole_head: bool
) -> Iterator[tuple[str, SyntheticStudy]]:
    """Name and study of each seed; where there are several anatomies, the seed decides for one."""
    import numpy as np

    from oncoprompt.synthesis import synthesize as make
    from oncoprompt.synthesis.atlases import load_atlases

    atlases = load_atlases(anatomy)
    for seed in seeds:
        atlas = atlases.random(np.random.default_rng(seed))
        yield case_name(seed), make(seed, family, atlas=atlas, whole_head=whole_head)


def _replayed(path: Path, anatomy: Path | None) -> Iterator[tuple[str, SyntheticStudy]]:
    from oncoprompt.synthesis.atlases import load_atlases
    from oncoprompt.synthesis.generate import synthesize_from

    record = _record(path)
    made = synthesize_from(record, load_atlases(anatomy))
    yield case_name(int(record["seed"])), made


def _record(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"'{path}' is no JSON file: {error}. Give the -record.json that synthesize wrote.") from error
    if not isinstance(content, Mapping):
        raise InputError(f"'{path}' is no record of a study. Give the -record.json that synthesize wrote.")
    return content


def _write_all(out: Path, number: int, studies: Iterator[tuple[str, SyntheticStudy]], talk: Talk) -> None:
    """Write each study as soon as it is made, and then the contact sheet of the first ones."""
    from oncoprompt.report.contact_sheet import MOST_ROWS, SheetRow, draw_contact_sheet
    from oncoprompt.synthesis.case import SCHEMA

    rows: list[SheetRow] = []
    with talk.progress("Making study", number) as begin:
        for _ in range(number):
            begin()
            name, made = next(studies)
            folder = write_case(out, name, made.study, made.label_map, SCHEMA, made.record)
            if len(rows) < MOST_ROWS:
                rows.append(SheetRow.of_case(_title(name, made), made.study, made.label_map, SCHEMA))
            if talk.level >= 0:
                say(str(folder))
    draw_contact_sheet(out / SHEET, rows)


def _title(name: str, made: SyntheticStudy) -> str:
    volumes = [f"{component} {ml:.1f}" for component, ml in made.record["volume_ml"].items() if ml > 0]
    return f"{name}, {made.family}: {', '.join(volumes)} ml" if volumes else f"{name}, {made.family}"
