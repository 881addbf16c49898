"""What goes in and out of the TAGS network's two steps."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

POSITIVE, NEGATIVE, PADDING = 1, 0, -1
"""Labels of clicks; a click that only fills a batch is PADDING."""


@dataclass(frozen=True)
class TagsFeatures:
    """Of each stage: features [B, C, d, h, w] and alignment tokens [B, width, d, h, w] (empty without alignment).

    image: the crop's first channel [B, 1, D, H, W], which the decoder sees again.
    """

    stages: tuple[Tensor, ...]
    alignments: tuple[Tensor, ...]
    image: Tensor


@dataclass(frozen=True)
class TagsPrompt:
    """Clicks [B, N, 3] in continuous voxels (d, h, w) of the crop, the middle of the first voxel at 0, labels [B, N].

    box: [B, 3, 2], half-open bounds in voxels (d, h, w) from the crop's edge; text: [B, 2, width], unit vectors of the
    healthy organ and of the organ with a tumour; None where there is none.
    """

    clicks: Tensor
    labels: Tensor
    box: Tensor | None = None
    text: Tensor | None = None


class Tower(Protocol):
    """CLIP's image tower, which takes seconds to import: see `clip_image.ImageTower`."""

    @property
    def width(self) -> int: ...

    def semantics(self, image: Tensor, slices: int, grid: tuple[int, int, int], /) -> Tensor:
        """Image [B, 1, D, H, W] -> unit vectors [B, width, d, h, w] of what is seen in each token of `grid`."""
        ...
