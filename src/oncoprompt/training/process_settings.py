"""Settings of a training process that must be made before torch is imported."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEPT_BYTES = 1 << 28


def prepare_process() -> None:
    """Let threads sleep while they wait, and keep freed memory for the next step.

    Threads that spin are slow where the cores are shared (a step took 11 to 27 s beside another busy process), and a
    step allocates and frees some hundred large tensors, whose pages the system would clear each time. Does nothing for
    an environment that sets these things itself, and nothing to the allocator outside of glibc.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for setting, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _KEPT_BYTES)):
            mallopt(setting, value)
