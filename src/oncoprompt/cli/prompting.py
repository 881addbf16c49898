"""Prompts as people write them on the command line, and as they are told back to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oncoprompt.cli.arguments import whole_numbers
from oncoprompt.cli.given import about, check_readable
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.geometry import Grid
    from oncoprompt.methods.interface import Prompt


@dataclass(frozen=True)
class Asked:
    """Texts of the prompt options, as given."""

    boxes: Sequence[str] = ()
    clicks: Sequence[str] = ()
    no_clicks: Sequence[str] = ()
    words: Sequence[str] = ()
    anatomy: Path | None = None

    def check(self) -> None:
        """Raise `InputError` for numbers that fit no scan, empty words, and a mask that is not there."""
        if self.anatomy is not None:
            check_readable(self.anatomy, "--anatomy")
        clicked = {
            option: {tuple(whole_numbers(text, 2 if _count(text) == 2 else 3, option, "I J K")) for text in texts}
            for option, texts in (("--click", self.clicks), ("--no-click", self.no_clicks))
        }
        for voxel in clicked["--click"] & clicked["--no-click"]:
            numbers = " ".join(map(str, voxel))
            raise InputError(f"--click {numbers} and --no-click {numbers} contradict each other. Leave one out.")
        if not self.boxes and not self.words:
            return
        from oncoprompt.prompts import Box, Text

        for text in self.boxes:
            if _count(text) not in (4, 6):
                raise InputError(
                    "--box takes 6 whole numbers, I0 I1 J0 J1 K0 K1; in a picture --box takes 4 whole numbers, "
                    f"X0 Y0 X1 Y1. Found: '{text}'."
                )
            if _count(text) == 4:
                whole_numbers(text, 4, "--box", "X0 Y0 X1 Y1")
            else:
                with about("--box"):
                    Box.check(_six(text))
        for words in self.words:
            with about("--text"):
                Text(words)

    def prompts(self, grid: Grid) -> list[Prompt]:
        """Prompts on the grid of the study; raises `InputError` as `drawn` does, and for words that are empty."""
        from oncoprompt.prompts import Text

        return [*self.drawn(grid), *(Text(words) for words in self.words)]

    def drawn(self, grid: Grid) -> list[Prompt]:
        """Prompts other than words on the grid of the study.

        Raises `InputError` for numbers that are none or lie outside the scan, and for a file that holds no mask.
        """
        from oncoprompt.prompts import Anatomy, Box, Click

        found: list[Prompt] = []
        for text in self.boxes:
            with about("--box"):
                found.append(Box.from_voxels(_box(text, grid), grid))
        for option, texts, positive in (("--click", self.clicks, True), ("--no-click", self.no_clicks, False)):
            for text in texts:
                with about(option):
                    found.append(Click.at_voxel(_voxel(text, option, grid), grid, positive=positive))
        if self.anatomy is not None:
            with about("--anatomy"):
                found.append(Anatomy.read(self.anatomy))
        return found


def _box(text: str, grid: Grid) -> list[list[int]]:
    """Voxel ranges of six numbers I0 I1 J0 J1 K0 K1 or, in scans one slice thick, of four, X0 Y0 X1 Y1."""
    from oncoprompt.study.slices import thin_axis

    axis = thin_axis(grid)
    if axis is None or _count(text) == 6:
        return _six(text)
    x0, y0, x1, y1 = whole_numbers(text, 4, "--box", "X0 Y0 X1 Y1")
    if x1 <= x0 or y1 <= y0:
        raise InputError(f"The box {text} is inverted or empty. Give X0 Y0 X1 Y1 with X0 < X1 and Y0 < Y1.")
    ranges = [[x0, x1], [y0, y1]]
    ranges.insert(axis, [0, 1])
    return ranges


def _six(text: str) -> list[list[int]]:
    i0, i1, j0, j1, k0, k1 = whole_numbers(text, 6, "--box", "I0 I1 J0 J1 K0 K1")
    return [[i0, i1], [j0, j1], [k0, k1]]


def _voxel(text: str, option: str, grid: Grid) -> list[int]:
    """A voxel of three numbers I J K or, in scans one slice thick, of two, X Y."""
    from oncoprompt.study.slices import thin_axis

    axis = thin_axis(grid)
    if axis is None or _count(text) == 3:
        return whole_numbers(text, 3, option, "I J K")
    voxel = whole_numbers(text, 2, option, "X Y")
    voxel.insert(axis, 0)
    return voxel


def _count(text: str) -> int:
    return len(text.replace(",", " ").split())


def described(prompt: Prompt, grid: Grid) -> dict[str, Any]:
    """A prompt as plain data, in voxels of the grid; a mask by its volume and its share in the scan."""
    from oncoprompt.prompts import Box, Click, Text

    if isinstance(prompt, Box):
        return {"kind": "box", "voxels": prompt.to_voxels(grid).tolist()}
    if isinstance(prompt, Click):
        return {"kind": "click", "voxel": prompt.to_voxel(grid).tolist(), "positive": prompt.positive}
    if isinstance(prompt, Text):
        return {"kind": "text", "words": prompt.words}
    share = round(prompt.share_in(grid), 4)
    return {"kind": "anatomy", "volume_ml": round(prompt.volume_ml, 4), "share_in_scan": share}
