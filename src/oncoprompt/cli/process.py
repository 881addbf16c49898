"""The process around a verb: its streams, the signals that stop it, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

from oncoprompt.errors import InputError, OncoPromptError, reason_of

FAILED, BAD_INPUT, IN_PART = 1, 2, 4
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BROKEN_PIPE = 13
"""SIGPIPE's number, by which shells know a program whose reader went away; Windows has no such name."""
_PATIENCE_S = 2.0

_AGAIN_S = 0.05

_asked: list[tuple[int, float]] = []
"""The signal that asks this process to stop, and when it came."""

_raised: list[bool] = []
"""Whether `Stopped` has been raised for it."""


class Stopped(BaseException):
    """A signal has asked the process to stop; like KeyboardInterrupt, no ``except Exception`` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class OutputError(OncoPromptError):
    """Standard output cannot be written to."""


def run(verb: Callable[[], int]) -> None:
    """Run a verb, which gives its exit code, and leave with that.

    It is 130 or 143 after Ctrl-C or SIGTERM, and 141 where nobody reads what is written.
    """
    _prepare_streams()
    code: str | int | None = 0
    with _stopped_by_signals():
        try:
            try:
                _check_folder()
                code = verb()
            except SystemExit as left:
                code = left.code
            _flush()
        except Stopped as stopped:
            code = stopped.code
            if code != 128 + _BROKEN_PIPE:
                complain("Stopped.")
        except OncoPromptError as error:
            complain(str(error))
            code = BAD_INPUT if isinstance(error, InputError) else FAILED
        except OSError as error:
            # what the parser writes itself, such as --help
            _silence(sys.stdout)
            complain(f"Cannot write to standard output: {reason_of(error)}.")
            code = FAILED
        with suppress(OSError):
            sys.stderr.flush()
    sys.exit(code)


def check_stop() -> None:
    """Raise `Stopped` where a signal came whose exception a library has swallowed."""
    if _asked:
        _raised.append(True)
        raise Stopped(_asked[0][0])


def write_out(text: str) -> None:
    """Write a line on standard output; raises `Stopped` where nobody reads it, `OutputError` where it cannot be."""
    check_stop()
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        _silence(sys.stdout)
        raise Stopped(_BROKEN_PIPE) from error
    except OSError as error:
        _silence(sys.stdout)
        raise OutputError(f"Cannot write to standard output: {reason_of(error)}.") from error


def complain(sentence: str) -> None:
    """Write a sentence on standard error, where that can be written to."""
    try:
        sys.stderr.write(f"oncoprompt: {' '.join(sentence.split())}\n")
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def _prepare_streams() -> None:
    """Letters that a console cannot show are replaced; streams that were closed lead nowhere.

    A closed one must not be left: the next file that is opened would get its number, and others' messages.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="replace")


def _check_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise InputError("The current folder does not exist any more. Change to another one.") from error


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        _silence(sys.stdout)
        raise Stopped(_BROKEN_PIPE) from error


def _silence(stream: TextIO) -> None:
    """Lead a stream nowhere, so that the interpreter has no more trouble with it when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped`, in the main thread of this process alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            # a worker that was forked: its parent tells what happened
            os._exit(128 + number)
        if not _asked:
            _asked.append((number, time.monotonic()))
        elif time.monotonic() - _asked[0][1] > _PATIENCE_S:
            os._exit(128 + number)
        else:
            # impatience must not interrupt the removal of what is half-written
            return
        again(number, frame)

    def again(_number: int, frame: FrameType | None) -> None:
        if _raised:
            return
        if _importing(frame) and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
            return
        check_stop()

    def ignored(report: Any) -> None:
        if not isinstance(report.exc_value, Stopped):
            hook(report)

    hook, sys.unraisablehook = sys.unraisablehook, ignored
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    if hasattr(signal, "setitimer"):
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, again)
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
        _asked.clear()
        _raised.clear()


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported; libraries written in C++ abort the process where that fails half-way."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
