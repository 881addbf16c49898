"""Settings of a training process, made before it allocates anything large."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEPT_BYTES = 1 << 28


def prepare_process() -> None:
    """Keep freed memory for the next step.

    A step allocates and frees some hundred large tensors, whose pages the system would clear each time. Does nothing
    for an environment that sets this itself, and nothing outside of glibc.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for setting, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _KEPT_BYTES)):
            mallopt(setting, value)
