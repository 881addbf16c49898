"""What was given on the command line, refused by its flag before torch is imported and a scan is read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oncoprompt.errors import InputError, reason_of
from oncoprompt.methods.names import BOXED, MODELS, SLICE_MODELS, WEIGHTS_ENDINGS

_DEVICES = re.compile(r"auto|cpu|mps|xpu|cuda(:\d+)?")


@contextmanager
def about(flag: str) -> Iterator[None]:
    """Put the flag that is meant before what an `InputError` says."""
    try:
        yield
    except InputError as error:
        told = error.in_shell
        raise InputError(told if flag in told else f"{flag}: {told}") from error


def check_readable(path: Path, flag: str, folder: bool | None = None) -> None:
    """Raise InputError for a path that is not there, may not be read, or is neither file nor folder.

    ``folder`` is True where only a folder will do, False where only a file will.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        hint = ": it is a link that leads nowhere" if path.is_symlink() else ""
        raise InputError(f"{flag}: '{path}' does not exist. There is no file or folder of that name{hint}.") from error
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else error
        raise InputError(f"{flag}: '{path}' cannot be read: {reason}.") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(f"{flag}: '{path}' is not a file or folder, but a pipe or device. Give a file.")
    if folder is True and not stat.S_ISDIR(mode):
        raise InputError(f"{flag}: '{path}' is not a folder. Give a folder.")
    if folder is False and stat.S_ISDIR(mode):
        raise InputError(f"{flag}: '{path}' is a folder. Give a file.")
    if not os.access(path, os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)):
        raise InputError(f"{flag}: '{path}' may not be read by this user. Change its permissions.")


def check_if_there(path: Path, flag: str, folder: bool | None = None) -> None:
    """Like `check_readable`, but what is not there at all is left to those who know what it should be."""
    if os.path.lexists(path):
        check_readable(path, flag, folder)


def check_schema(name: str | None, flag: str = "--schema") -> None:
    """Raise InputError for a label schema that is not known."""
    if name is not None:
        from oncoprompt.study import schemas

        with about(flag):
            schemas.get(name)


def check_model(name: str, words: bool = False, anatomy: bool = False) -> None:
    """Raise InputError for a model that is not known, or does not read what it is given beside boxes and clicks."""
    if name not in MODELS and (name.endswith(WEIGHTS_ENDINGS) or os.path.isdir(name)):
        check_if_there(Path(name), "--model")
        return
    if name not in MODELS:
        raise InputError(
            f"There is no model '{name}', which --model names. Known: {', '.join(MODELS)}, or the path of weights "
            f"({', '.join(WEIGHTS_ENDINGS)})."
        )
    if name in BOXED and (words or anatomy):
        flag, what = ("--text", "a text prompt") if words else ("--anatomy", "an anatomy mask")
        raise InputError(
            f"{flag}: Model '{name}' reads boxes and clicks. Found {what}; leave it out, or use tags-compact."
        )
    if name in SLICE_MODELS and anatomy:
        raise InputError("--anatomy: A model of slices reads no anatomy mask. Leave it out, or use tags-compact.")


def check_device(name: str) -> None:
    """Raise InputError for what is no name of a device; whether it is there, only torch can tell."""
    if not _DEVICES.fullmatch(name):
        raise InputError(f"--device: There is no device '{name}'. Use auto, cpu, cuda or cuda:N.")
