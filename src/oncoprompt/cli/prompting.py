"""Prompts as people write them on the command line, and as they are told back to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oncoprompt.cli.arguments import whole_numbers

if TYPE_CHECKING:
    from oncoprompt.geometry import Grid
    from oncoprompt.prompts import Box, Click, Text

    Prompt = Box | Click | Text


@dataclass(frozen=True)
class Asked:
    """Texts of the prompt options, as given."""

    boxes: Sequence[str] = ()
    clicks: Sequence[str] = ()
    no_clicks: Sequence[str] = ()
    words: str | None = None

    def prompts(self, grid: Grid) -> list[Prompt]:
        """Prompts on the grid of the study; raises `InputError` for numbers that are none or lie outside the scan."""
        from oncoprompt.prompts import Box, Click, Text

        found: list[Prompt] = []
        for text in self.boxes:
            i0, i1, j0, j1, k0, k1 = whole_numbers(text, 6, "--box", "I0 I1 J0 J1 K0 K1")
            found.append(Box.from_voxels([[i0, i1], [j0, j1], [k0, k1]], grid))
        for option, texts, positive in (("--click", self.clicks, True), ("--no-click", self.no_clicks, False)):
            for text in texts:
                voxel = whole_numbers(text, 3, option, "I J K")
                found.append(Click.at_voxel(voxel, grid, positive=positive))
        if self.words is not None:
            found.append(Text(self.words))
        return found


def described(prompt: Prompt, grid: Grid) -> dict[str, Any]:
    """A prompt as plain data, in voxels of the grid."""
    from oncoprompt.prompts import Box, Click

    if isinstance(prompt, Box):
        return {"kind": "box", "voxels": prompt.to_voxels(grid).tolist()}
    if isinstance(prompt, Click):
        return {"kind": "click", "voxel": prompt.to_voxel(grid).tolist(), "positive": prompt.positive}
    return {"kind": "text", "words": prompt.words}
