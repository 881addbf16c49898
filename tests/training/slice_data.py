"""Labelled pictures to train slice models on, small enough for a test."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oncoprompt.training.slice_stack import LabelledSlices, SliceCase

SIDE = 48


def disc(centre: tuple[float, float], radius: float, side: int = SIDE) -> NDArray[np.bool_]:
    """Pixels within a radius of a centre (x, y)."""
    y, x = np.mgrid[:side, :side]
    return np.asarray(np.hypot(x - centre[0], y - centre[1]) <= radius)


def write_pictures(folder: Path, count: int = 4) -> None:
    """images/ and masks/: a bright disc (target 1) and a dark one (target 2) on grey noise."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        bright, dark = disc((15, 20 + number), 13), disc((38, 32), 9)
        image = 100 + 10 * rng.standard_normal((SIDE, SIDE)) + 90 * bright - 60 * dark
        labels = np.where(bright, 1, np.where(dark, 2, 0)).astype(np.uint8)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / "images" / f"case{number}.png")
        Image.fromarray(labels).save(folder / "masks" / f"case{number}.png")


def cases_in_memory(count: int, label: int = 1) -> list[SliceCase]:
    """Pictures whose grey level is their number, with one square target of 12 pixels a side."""

    def read(number: int) -> LabelledSlices:
        labels = np.zeros((1, SIDE, SIDE), dtype=np.uint8)
        labels[0, 10:22, 20:32] = label
        return LabelledSlices(f"case{number}", np.full((1, SIDE, SIDE), number, dtype=np.uint8), labels)

    return [SliceCase(f"case{number}", lambda number=number: read(number)) for number in range(count)]
