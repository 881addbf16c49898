"""Files that people ask for: whole or not there, never in place of a file that this program did not write.

A file is ours while it holds the mark of its own content (own_mark.py): one that a person has corrected since is theirs
(docs/decisions/0016-outputs.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from oncoprompt.errors import InputError
from oncoprompt.study.own_mark import is_unchanged, marked
from oncoprompt.study.whole_file import write_whole

_ALLOWED: ContextVar[bool] = ContextVar("overwriting", default=False)


@contextmanager
def overwriting(allowed: bool) -> Iterator[None]:
    """Let outputs replace files that are not ours, while this lasts."""
    token = _ALLOWED.set(allowed or _ALLOWED.get())
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def may_overwrite() -> bool:
    """Whether outputs may replace files that are not ours just now."""
    return _ALLOWED.get()


def write_output(target: str | os.PathLike[str], content: bytes) -> bytes:
    """Write a file that a person asked for, with our mark, compressed where its name ends in .gz; returns its bytes.

    Raises InputError as `check_output` does, and where it cannot be written.
    """
    path = Path(target)
    check_output(path)
    written = marked(path.name, content)
    write_whole(path, written)
    return written


def check_output(target: str | os.PathLike[str]) -> None:
    """Raise InputError where a file is there that this program did not write, or that was changed since."""
    path = Path(target)
    if (file := next((parent for parent in path.parents if parent.is_file()), None)) is not None:
        raise InputError(f"'{path}' cannot be written: '{file}' is a file, not a folder. Give another output.")
    # a folder in the place of a file is for the writer to tell
    if not os.path.lexists(path) or path.is_dir() or _ALLOWED.get():
        return
    unchanged = is_unchanged(path)
    if unchanged is None:
        raise InputError(_refused(path, "OncoPrompt did not write it"))
    if not unchanged:
        raise InputError(_refused(path, "it was changed after OncoPrompt had written it"))


def check_outputs(targets: Iterable[Path], inputs: Iterable[Path] = ()) -> None:
    """Raise InputError for outputs that would replace an input, another output, or a file that is not ours."""
    read = list(inputs)
    seen: list[Path] = []
    for target in targets:
        if any(_same(path, target) for path in read):
            raise InputError(f"Output '{target}' is the scan itself, or another file that is read; give another file.")
        if any(_same(path, target) for path in seen):
            raise InputError(f"Two outputs would be one file, '{target}'. Give each its own.")
        check_output(target)
        seen.append(target)


def _refused(path: Path, why: str) -> str:
    return f"'{path}' is there already, and {why}. Give another output, or --overwrite (overwrite=True) to replace it."


def _same(first: Path, second: Path) -> bool:
    """Whether two paths are one file, by whatever names and links."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)
