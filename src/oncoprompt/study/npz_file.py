"""Arrays of an npz file, read without running code from it."""

from __future__ import annotations

import io
import math
import pickle
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from oncoprompt.errors import InputError
from oncoprompt.study.volume import MAX_VOXELS

_HEADER_BYTES = 65_536
_PICKLED_BY = ("numpy.core.multiarray", "numpy._core.multiarray")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
# what a damaged or hostile pickle may fail with
_UNREADABLE = (ValueError, EOFError, pickle.UnpicklingError, TypeError, AttributeError, IndexError, KeyError)


def read_arrays(path: Path, names: Collection[str], max_values: int = MAX_VOXELS) -> dict[str, Any]:
    """Those of the named arrays that a file has; an array of objects becomes the list that it holds.

    Objects are lists, dictionaries, texts and numbers; anything else in them, such as a call, is refused before it is
    made. Raises InputError for a file that is missing, damaged or not to be read safely, and for an array of more than
    ``max_values``.
    """
    if not path.is_file():
        raise InputError(f"File '{path}' does not exist.")
    try:
        with zipfile.ZipFile(path) as archive:
            present = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            wanted = {name: present[name] for name in names if name in present}
            largest = max((entry.file_size for entry in wanted.values()), default=0)
            if largest > 8 * max_values + _HEADER_BYTES:
                raise InputError(f"'{path.name}' claims an array of {largest} bytes, more than is read; crop it.")
            content = {name: archive.read(entry) for name, entry in wanted.items()}
    except _DAMAGED as error:
        raise InputError(f"'{path.name}' is no npz file or is damaged ({error}). Copy it again.") from error
    found = {}
    for name, stored in content.items():
        try:
            found[name] = _value(stored, max_values)
        except _UNREADABLE as error:
            raise InputError(
                f"'{name}' of '{path.name}' cannot be read safely ({error}). Store numbers, lists and dictionaries."
            ) from error
    return found


def _value(content: bytes, max_values: int) -> Any:
    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    values = math.prod(shape)
    if not dtype.hasobject:
        # judged before anything is allocated
        if values > max_values or values * dtype.itemsize > len(content):
            raise ValueError(f"it claims {values} values, more than it holds or than are read")
        return npy.read_array(io.BytesIO(content), allow_pickle=False)
    value = _Plain(stream).load()
    return value.tolist() if isinstance(value, np.ndarray) else value


class _Plain(pickle.Unpickler):
    """Knows how NumPy pickles arrays, types and numbers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _PICKLED_BY and name == "_reconstruct":
            return _empty_array
        if module in _PICKLED_BY and name == "scalar":
            return _number
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it would call {module}.{name}")


def _empty_array(kind: Any, _shape: Any, _code: Any) -> np.ndarray[Any, Any]:
    if kind is not np.ndarray:
        raise pickle.UnpicklingError("it holds another kind of array")
    return np.ndarray((0,), dtype=np.uint8)


def _number(dtype: Any, raw: Any) -> Any:
    if not (isinstance(dtype, np.dtype) and dtype.kind in "biuf" and isinstance(raw, bytes)):
        raise pickle.UnpicklingError("it holds a number of an unknown type")
    return np.frombuffer(raw, dtype=dtype)[0].item()
