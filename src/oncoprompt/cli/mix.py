"""`oncoprompt mix`: new labelled cases between the labelled cases of a small data set."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oncoprompt.cli.case_files import check_cases, check_room_for_cases, write_case
from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import check_readable, check_schema
from oncoprompt.cli.options import Overwrite, Quiet, Verbose
from oncoprompt.cli.process import IN_PART
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.mixing.store import FieldStore

_log = logging.getLogger(__name__)

EXAMPLE = "Example: oncoprompt mix train/ -o mixed/ -n 20 --schema brats2021"


def mix(
    dataset: Annotated[Path, typer.Argument(help="Folder of cases, each a folder with scans and a *-seg.nii.gz.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for the new cases, and fields/ between the old.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many cases to make.")] = 1,
    schema: Annotated[
        str | None, typer.Option(help="Label schema of the cases, such as brats2021, where their files name none.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of partners, weights and times.")] = 0,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of each fit; about 0.1 s each.")] = 150,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Mix labelled cases: each new one is a head moved part of the way to others, its tumour carried along.

    Velocity fields are fitted once for a folder of results and found again by the next run. Exit code 4 says that cases
    could not be used.
    """
    talk = Talk(quiet, verbose)
    with talk.errors_told(overwrite):
        if out.exists() and not out.is_dir():
            raise InputError(f"Output '{out}' is a file; give a folder.")
        if out.resolve() == dataset.resolve():
            raise InputError(f"Output '{out}' is the data set itself; give another folder, or cases would mix twice.")
        check_readable(dataset, "DATASET", folder=True)
        check_schema(schema)
        check_room_for_cases(out, number)
        check_cases(out, (case_name(seed, index) for index in range(number)), inputs=dataset.rglob("*"))
        from oncoprompt.mixing.store import FieldStore

        store = FieldStore(out / "fields")
        partners, complete = _fitted(dataset, schema, seed, iterations, store, talk)
        _mix(dataset, schema, seed, number, partners, store, out, talk)
    from oncoprompt.synthesis.case_folder import cases_left_out

    if not complete or cases_left_out(dataset):
        raise typer.Exit(IN_PART)


def case_name(seed: int, index: int) -> str:
    """Name of a mixed case."""
    return f"OncoPrompt-MIX-{seed:05d}-{index:03d}"


def _fitted(
    dataset: Path, schema: str | None, seed: int, iterations: int, store: FieldStore, talk: Talk
) -> tuple[dict[str, list[str]], bool]:
    """Fit what is missing; returns the partners of each case, and whether every labelled case has one."""
    import numpy as np

    from oncoprompt.mixing.anchor import Anchor
    from oncoprompt.mixing.store import choose_pairs
    from oncoprompt.mixing.velocity_field import FitSettings
    from oncoprompt.synthesis.case_folder import find_cases, read_cases

    with talk.step(f"Reading the cases of {dataset.name}"):
        anchors: dict[str, Anchor] = {}
        for case in read_cases(dataset, schema, at_least=2):
            try:
                anchors[case.name] = Anchor.of_case(case)
            except InputError as error:
                _log.warning("%s", error)
    pairs = choose_pairs(list(anchors.values()), np.random.default_rng(seed))
    if not pairs:
        raise InputError(f"No two cases of '{dataset}' have a channel in common; mixing needs two that do.")
    settings = FitSettings(iterations=iterations, seed=seed)
    partners: dict[str, list[str]] = {}
    for current, (source, target) in enumerate(pairs, 1):
        with talk.step(f"Velocity field {current} of {len(pairs)}: {source} to {target}"):
            store.fit(anchors[source], anchors[target], settings)
        partners.setdefault(source, []).append(target)
    mixed = {name for pair in pairs for name in pair}
    for name in sorted(anchors.keys() - mixed):
        _log.warning("Case '%s' is not mixed: it has no channel in common with another case.", name)
    return partners, all(case.name in mixed for case in find_cases(dataset))


def _mix(
    dataset: Path,
    schema: str | None,
    seed: int,
    number: int,
    partners: dict[str, list[str]],
    store: FieldStore,
    out: Path,
    talk: Talk,
) -> None:
    import numpy as np

    from oncoprompt.mixing.mix import Mixture
    from oncoprompt.synthesis.case import SCHEMA, as_volume
    from oncoprompt.synthesis.case_folder import find_cases

    files = {found.name: found for found in find_cases(dataset)}
    names = sorted(partners)
    # Anchor by anchor, so that each case is read once.
    for first, name in enumerate(names[:number]):
        anchor = files[name].read(schema)
        for index in range(first, number, len(names)):
            mixture = Mixture.random(name, partners[name], np.random.default_rng([seed, index]))
            with talk.step(f"Mixing case {index + 1} of {number}"):
                made = replace(store.mix(anchor, mixture), name=case_name(seed, index))
                record = {"kind": "mixed", "seed": seed, "index": index, "mixture": asdict(mixture)}
                folder = write_case(out, made.name, made.study(), as_volume(made.labels), SCHEMA, record)
            if talk.level >= 0:
                say(str(folder))
