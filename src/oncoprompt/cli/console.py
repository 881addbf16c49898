"""What verbs share: messages and progress on standard error, results on standard output, exit codes."""

import itertools
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import typer

from oncoprompt.cli.process import BAD_INPUT, Stopped, check_stop, complain, write_out
from oncoprompt.cli.process import FAILED as UNEXPECTED
from oncoprompt.errors import InputError, OncoPromptError, WeightsError, in_shell, reason_of

NO_WEIGHTS = 3
_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}


class Talk:
    """How much a verb says: `level` is -1 for errors only, 0 for warnings, 1 for what happens, 2 for everything."""

    def __init__(self, quiet: bool, verbose: int) -> None:
        self.level = -1 if quiet else min(verbose, 2)

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Show what is being done while it is, on a terminal; as a line of the log elsewhere with -v."""
        check_stop()
        logging.getLogger("oncoprompt.cli").info(doing)
        if self.level < 0 or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(doing):
            yield

    @contextmanager
    def progress(self, doing: str, total: int) -> Iterator[Callable[[], None]]:
        """Show `doing` "n of total" and a bar, on a terminal; as lines of the log elsewhere with -v.

        Gives a function to call when the next of the `total` begins.
        """
        log = logging.getLogger("oncoprompt.cli")
        texts = (f"{doing} {n} of {total}" for n in itertools.count(1))
        if self.level < 0 or not sys.stderr.isatty():

            def note() -> None:
                check_stop()
                log.info(next(texts))

            yield note
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        # what is written to standard output stays there where that is no terminal
        shown = sys.stdout.isatty()
        with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=shown) as bar:
            task = bar.add_task(doing, total=total, completed=-1)

            def begin() -> None:
                check_stop()
                text = next(texts)
                log.info(text)
                bar.update(task, advance=1, description=text)

            yield begin

    @contextmanager
    def errors_told(self, overwrite: bool = False) -> Iterator[None]:
        """Turn an error into one sentence on standard error and the exit code that belongs to it.

        With ``overwrite``, outputs replace files that are not ours.
        """
        try:
            with _logging_to_stderr(_LEVELS[self.level]), ExitStack() as stack:
                if overwrite:
                    from oncoprompt.study.output import overwriting

                    stack.enter_context(overwriting(True))
                yield
        except KeyboardInterrupt as error:
            raise Stopped(signal.SIGINT) from error
        except OncoPromptError as error:
            raise self._told(error, in_shell(error), _code(error)) from error
        except OSError as error:
            where = "" if error.filename is None else f": '{os.fsdecode(error.filename)}'"
            raise self._told(error, f"{reason_of(error)}{where}.", BAD_INPUT) from error
        except MemoryError as error:
            raise self._told(error, "Not enough memory. Give a smaller box.", UNEXPECTED) from error
        except Exception as error:
            hint = "" if self.level >= 2 else " Run again with -vv for the place in the code."
            raise self._told(error, f"Unexpected {type(error).__name__}: {error}.{hint}", UNEXPECTED) from error

    def _told(self, error: Exception, sentence: str, code: int) -> typer.Exit:
        # a library may make an error of its own of being stopped
        check_stop()
        if self.level >= 2:
            traceback.print_exception(error)
        complain(sentence)
        return typer.Exit(code)


class _Handler(logging.Handler):
    """Writes records on standard error as sentences."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


@contextmanager
def _logging_to_stderr(level: int) -> Iterator[None]:
    handler = _Handler()
    logger = logging.getLogger("oncoprompt")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def say(text: str) -> None:
    """Write a result on standard output."""
    write_out(text)


def say_json(content: Mapping[str, Any]) -> None:
    """Write a result as JSON on standard output."""
    import json

    write_out(json.dumps(content, indent=2))


def _code(error: OncoPromptError) -> int:
    if isinstance(error, WeightsError):
        return NO_WEIGHTS
    return BAD_INPUT if isinstance(error, InputError) else UNEXPECTED
