"""What all verbs of `oncoprompt experiment` do: find cases, ask, write what was found and tell it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import check_readable, check_schema
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.experiments.cases import Case
    from oncoprompt.experiments.result import Result

Begin = Callable[[], None]
AnyCase = TypeVar("AnyCase")
AnyResult = TypeVar("AnyResult")


@dataclass(frozen=True)
class Asked:
    """What every experiment is asked for."""

    context: typer.Context
    out: Path
    data: Path | None
    schema: str | None
    synthetic: int
    seed: int
    overwrite: bool
    quiet: bool
    verbose: int

    def run(self, ask: Callable[[list[Case], Begin], Result]) -> None:
        """Find the cases, run the experiment, write what it found and tell it; errors become exit codes."""

        def find() -> list[Case]:
            if self.data is not None:
                check_readable(self.data, "--data")
            check_schema(self.schema)
            from oncoprompt.experiments.cases import cases_of

            return cases_of(self.data, self.schema, self.synthetic, self.seed)

        def write(result: Result, name: str) -> list[Path]:
            from oncoprompt.experiments.result import write_result

            return write_result(result, self.out, name, command_of(self.context))

        self.run_on(find, ask, write)

    def run_on(
        self,
        find: Callable[[], list[AnyCase]],
        ask: Callable[[list[AnyCase], Begin], AnyResult],
        write: Callable[[AnyResult, str], list[Path]],
    ) -> None:
        """The same with cases and results of another kind; ``write`` is given the experiment's name."""
        talk = Talk(self.quiet, self.verbose)
        with talk.errors_told(self.overwrite):
            if self.out.exists() and not self.out.is_dir():
                raise InputError(f"--output '{self.out}' is a file; give a folder.")
            from oncoprompt.study.output import check_outputs

            name = self.context.info_name or "experiment"
            check_outputs(self.out / f"{name}.{ending}" for ending in ("md", "json", "png"))
            cases = find()
            with ExitStack() as shown:
                # training shows its own progress, so that of the cases begins with the first
                told: list[Begin] = []

                def begin() -> None:
                    if not told:
                        told.append(shown.enter_context(talk.progress("Case", len(cases))))
                    told[0]()

                result = ask(cases, begin)
            page, *others = write(result, name)
            if not self.quiet:
                say("\n".join([page.read_text(encoding="utf-8"), *map(str, (page, *others))]))


def command_of(context: typer.Context) -> str:
    """The command line as it was given, from the options that were."""
    words = context.command_path.split()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "")
        if given is not None and given.name == "COMMANDLINE":
            value = context.params[option.name or ""]
            words += [option.opts[0]] if value is True else [option.opts[0], str(value)]
    return shlex.join(words)
