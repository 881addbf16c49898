"""Errors a person can act on; every message says what was wrong, what was found and what to do."""

import errno


class OncoPromptError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(OncoPromptError, ValueError):
    """Data, a prompt or an option given by the caller cannot be used; the command line exits with code 2.

    ``in_shell`` says it to a person at a shell, where the message itself speaks of Python.
    """

    def __init__(self, message: str, in_shell: str | None = None) -> None:
        super().__init__(message)
        self.in_shell = message if in_shell is None else in_shell


class WeightsError(OncoPromptError):
    """Weights are missing, damaged or do not fit the model; the command line exits with code 3."""


def in_shell(error: Exception) -> str:
    """An error's message as a person at a shell should read it."""
    return error.in_shell if isinstance(error, InputError) else str(error)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason_of(error: OSError) -> str:
    """Why the system refused, in words: "No space left on the disk" whatever the limit, else its own."""
    if error.errno in _FULL:
        return "No space left on the disk"
    return error.strerror or str(error) or type(error).__name__
