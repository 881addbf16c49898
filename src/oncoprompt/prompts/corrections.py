"""Where simulated users click on what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from oncoprompt.geometry import mask_bounds


def innermost(part: NDArray[np.bool_], spacing: Sequence[float] | None = None) -> tuple[int, ...]:
    """Position of a mask (2-D or 3-D, not empty) that lies farthest from its edge; the array's edge is one.

    ``spacing`` is the size of a voxel along each axis, by default 1.
    """
    bounds = mask_bounds(part)
    window = tuple(slice(low, high) for low, high in bounds.tolist())
    inner = (slice(1, -1),) * part.ndim
    depth = distance_transform_edt(np.pad(part[window], 1), sampling=spacing)[inner]
    place = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return tuple(int(p) + int(low) for p, low in zip(place, bounds[:, 0], strict=True))


def middles_of_errors(
    answer: NDArray[np.bool_], truth: NDArray[np.bool_], count: int, least: int
) -> list[tuple[int, ...]]:
    """Positions deep in each of the ``count`` largest connected errors (2-D or 3-D) of ``least`` voxels and more.

    The edge of the array is no edge: what is wrong may go on beyond it.
    """
    parts = cc3d.connected_components(answer ^ truth, connectivity=26 if truth.ndim == 3 else 8)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    places = []
    for part in np.argsort(-sizes)[:count]:
        if sizes[part] >= least:
            place = np.unravel_index(int(distance_transform_edt(parts == part).argmax()), truth.shape)
            places.append(tuple(int(p) for p in place))
    return places
