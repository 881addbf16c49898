"""Reading every file of a case once, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oncoprompt.cohort.case import Case
from oncoprompt.cohort.cohort import Problem
from oncoprompt.errors import InputError, in_shell
from oncoprompt.geometry import Grid
from oncoprompt.study.schemas import UnnamedSchemaError
from oncoprompt.study.volume import Volume, read_volume


@dataclass(frozen=True)
class Inspection:
    """Problems of one case, and a digest of the content of each channel that could be read and is not constant."""

    problems: tuple[Problem, ...]
    digests: dict[str, str]


def inspect_case(case: Case) -> Inspection:
    """Read the channels and the label map of a case; nothing is raised for what is wrong with them."""
    problems: list[Problem] = []
    digests: dict[str, str] = {}
    grids: dict[Path, Grid] = {}
    for path in case.files():
        try:
            volume = read_volume(path)
        except (InputError, OSError) as error:
            problems.append(Problem(case.name, "unreadable file", str(error)))
            continue
        grids[path] = volume.grid
        for channel, array in _channels(case, path, volume, problems):
            fault = _fault(array)
            if fault is not None:
                problems.append(Problem(case.name, fault[0], f"channel {channel} ({path.name}) {fault[1]}"))
            else:
                digests[channel] = _digest(array)
    problems += _of_label_map(case, grids)
    problems += _of_grids(case, grids)
    return Inspection(tuple(problems), digests)


def _channels(
    case: Case, path: Path, volume: Volume, problems: list[Problem]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Channels of one file and their arrays (I, J, K); a problem where their number is not that of its volumes."""
    held = {channel: source.volume for channel, source in case.channels.items() if source.path == path}
    volumes = volume.array[..., None] if volume.array.ndim == 3 else volume.array
    if volumes.shape[3] != len(held):
        sentence = f"{path.name} holds {volumes.shape[3]} volumes, but stands for {len(held)}: {', '.join(held)}."
        problems.append(Problem(case.name, "contradiction", sentence))
        return
    for channel, index in held.items():
        yield channel, volumes[..., index or 0]


def _fault(array: NDArray[np.float32]) -> tuple[str, str] | None:
    """Kind and description of what makes a channel useless, or None."""
    low, high = float(array.min()), float(array.max())
    # NaN and infinities reach the extremes, so healthy volumes pay for no second look
    if not (np.isfinite(low) and np.isfinite(high)):
        return "not finite", f"holds {np.count_nonzero(~np.isfinite(array))} values that are NaN or infinite."
    return ("constant channel", f"is {low:g} in every voxel.") if low == high else None


def _digest(array: NDArray[np.float32]) -> str:
    """Digest of shape and values; the stored type, the compression and the header do not matter."""
    # transposed, the arrays of NIfTI files are contiguous and need no copy
    content = np.ascontiguousarray(array.T).data
    return f"{hashlib.sha256(content).hexdigest()} {array.shape}"


def _of_label_map(case: Case, grids: dict[Path, Grid]) -> Iterator[Problem]:
    """Problems of the label map; its grid joins `grids`."""
    if case.label_map is None:
        return
    try:
        labels = case.labels()
    except UnnamedSchemaError as error:
        yield Problem(case.name, "no label schema", f"{case.label_map.name}: {in_shell(error)}")
    except (InputError, OSError) as error:
        yield _of_unusable(case, case.label_map, error)
    else:
        grids[case.label_map] = labels.grid
        if not labels.labels.any():
            yield Problem(case.name, "empty label map", f"{case.label_map.name} holds no tumour.")


def _of_unusable(case: Case, label_map: Path, error: Exception) -> Problem:
    try:
        read_volume(label_map, raw=True)
    except (InputError, OSError) as unreadable:
        return Problem(case.name, "unreadable file", str(unreadable))
    hint = " If it is in another schema, name that with --schema." if case.schema is not None else ""
    return Problem(case.name, "labels", f"{label_map.name}: {in_shell(error)}{hint}")


def _of_grids(case: Case, grids: dict[Path, Grid]) -> Iterator[Problem]:
    """A problem for each file whose grid is not that of the first."""
    first = next(iter(grids), None)
    for path, grid in grids.items():
        if first is None or grid.matches(grids[first]):
            continue
        sentence = f"{first.name} and {path.name} lie on different grids: {grids[first].difference(grid)}."
        yield Problem(case.name, "different grids", sentence)
