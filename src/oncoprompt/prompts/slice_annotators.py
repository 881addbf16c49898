"""Simulated annotators of slices: what a person draws of a known target [D, H, W], and how many actions it takes.

An action is a drag or a click; turning to another slice is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial.distance import pdist, squareform

from oncoprompt.errors import InputError
from oncoprompt.geometry import mask_bounds
from oncoprompt.prompts.corrections import innermost
from oncoprompt.prompts.simulate import jitter_box
from oncoprompt.prompts.slice_box import SliceBox

BOX_ACTIONS = 1
"""A box on a slice is one drag."""
AXES_ACTIONS = 2
"""A long and a short axis are a drag each."""
VOLUME_BOX_ACTIONS = 2
"""A box in three dimensions is a drag in the slice and a drag across slices."""
CLICK_ACTIONS = 1

Mask = NDArray[np.bool_]
Segment = tuple[tuple[float, float], tuple[float, float]]


def drawn_box(target: Mask, jitter: float, rng: np.random.Generator) -> SliceBox:
    """Box around a target [H, W], each side moved by uniform(-jitter, jitter) of its length and rounded.

    Raises InputError for an empty target.
    """
    ranges = jitter_box(mask_bounds(_present(target)[None]), jitter, rng, (1, *target.shape))
    _, (y0, y1), (x0, x1) = ranges.tolist()
    return x0, y0, x1, y1


def drawn_axes(target: Mask, jitter: float, rng: np.random.Generator) -> tuple[Segment, Segment]:
    """Longest diameter of a target [H, W] and the longest chord at a right angle to it, between pixel centres (x, y).

    Each end is moved along x and y by uniform(-jitter, jitter) of the length of its axis. Raises InputError for an
    empty target.
    """
    pixels = np.argwhere(_present(target))[:, ::-1].astype(np.float64)
    rim = _row_ends(pixels)
    start, end = rim[list(np.unravel_index(int(np.argmax(lengths := squareform(pdist(rim)))), lengths.shape))]
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    across = pixels @ np.array([-along[1], along[0]])
    lines = np.round(pixels @ along).astype(np.int64)
    chords = {line: pixels[lines == line][np.argsort(across[lines == line])[[0, -1]]] for line in np.unique(lines)}
    short = max(chords.values(), key=lambda ends: float(np.linalg.norm(ends[1] - ends[0])))
    return _moved(np.stack([start, end]), jitter, rng), _moved(short, jitter, rng)


def drawn_volume_box(target: Mask, jitter: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Half-open ranges (3, 2) of slices, rows and columns around a target [D, H, W].

    Sides are moved as `jitter_box` moves them. Raises InputError for an empty target.
    """
    return jitter_box(mask_bounds(_present(target)), jitter, rng, target.shape)


def marked_slices(target: Mask, step: int) -> list[int]:
    """Every step-th slice that shows a target [D, H, W], from its first on, and its last.

    Raises InputError for an empty target.
    """
    shown = np.flatnonzero(_present(target).any(axis=(1, 2))).tolist()
    return sorted({*shown[:: max(1, step)], shown[-1]})


def key_slice(target: Mask) -> int:
    """The slice on which a target [D, H, W] is largest; raises InputError where it is empty."""
    return int(np.argmax(np.count_nonzero(_present(target), axis=(1, 2))))


def worst_slices(answer: Mask, target: Mask) -> list[int]:
    """Slices with wrong pixels, those with most first."""
    wrong = np.count_nonzero(answer ^ target, axis=(1, 2))
    return [int(index) for index in np.argsort(-wrong, kind="stable") if wrong[index]]


def correcting_click(answer: Mask, target: Mask) -> tuple[tuple[float, float], bool] | None:
    """Pixel (x, y) in the middle of the largest connected error on a slice [H, W], and whether it is target.

    None where there is no error.
    """
    parts, count = label(answer ^ target, structure=np.ones((3, 3)))
    if not count:
        return None
    y, x = innermost(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))
    return (float(x), float(y)), bool(target[y, x])


def _present(target: Mask) -> Mask:
    if not target.any():
        raise InputError("The target is empty, so there is nothing to draw around.")
    return target


def _row_ends(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """First and last pixel (x, y) of every row; the ends of the longest diameter are among them."""
    rows = [pixels[pixels[:, 1] == row] for row in np.unique(pixels[:, 1])]
    return np.concatenate([row[[row[:, 0].argmin(), row[:, 0].argmax()]] for row in rows])


def _moved(ends: NDArray[np.float64], jitter: float, rng: np.random.Generator) -> Segment:
    length = float(np.linalg.norm(ends[1] - ends[0]))
    (ax, ay), (bx, by) = (ends + rng.uniform(-jitter, jitter, size=(2, 2)) * length).tolist()
    return (ax, ay), (bx, by)
