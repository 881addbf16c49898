"""CLIP's image tower, frozen, and what it sees in the slices of a crop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection

from oncoprompt.methods.tags.clip_files import read_frozen

# Mean and deviation of the colours that CLIP was trained with.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, eq=False)
class ImageTower:
    """The frozen tower; it is no part of a network's weights."""

    tower: CLIPVisionModelWithProjection

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: nothing changes it, and it is large."""
        return self

    @property
    def width(self) -> int:
        """Length of its vectors, which lie in one space with those of the words."""
        return len(self.tower.visual_projection.weight)

    @torch.no_grad()
    def semantics(self, image: Tensor, slices: int, grid: tuple[int, int, int]) -> Tensor:
        """Unit vectors [B, width, d, h, w] of what is seen in each token of ``grid`` of an image [B, 1, D, H, W].

        So many axial slices, evenly spread, are stretched to the tower's size, from the darkest voxel of the crop to
        the brightest; the vectors of their patches are interpolated between patches and slices.
        """
        config: Any = self.tower.config
        depth = image.shape[2]
        cast(nn.Module, self.tower).to(image.device)
        chosen = ((torch.arange(slices) + 0.5) * depth / slices).long().to(image.device)
        planes = image[:, 0, chosen].float()
        low, high = planes.amin((1, 2, 3), keepdim=True), planes.amax((1, 2, 3), keepdim=True)
        grey = ((planes - low) / (high - low).clamp_min(1e-6)).flatten(0, 1)[:, None]
        side = (config.image_size, config.image_size)
        grey = functional.interpolate(grey, side, mode="bicubic", antialias=True).clamp(0, 1)
        mean, deviation = (torch.tensor(x, device=image.device).view(1, 3, 1, 1) for x in (_MEAN, _DEVIATION))
        # slice by slice: a batch of them would need gigabytes
        seen = torch.cat([self._patches((plane[None] - mean) / deviation) for plane in grey])
        patches = config.image_size // config.patch_size
        tokens = seen.unflatten(0, (-1, slices)).unflatten(2, (patches, patches)).movedim(-1, 1)
        return functional.normalize(functional.interpolate(tokens, grid, mode="trilinear"), dim=1)

    def _patches(self, picture: Tensor) -> Tensor:
        """Picture [1, 3, S, S] -> unit vectors [1, patches, width], projected as CLIP projects that of the picture."""
        vision = self.tower.vision_model
        hidden = vision(pixel_values=picture).last_hidden_state[:, 1:]
        return functional.normalize(self.tower.visual_projection(vision.post_layernorm(hidden)), dim=-1)


def read_image_tower(folder: Path) -> ImageTower:
    """CLIP's image tower from a folder of the hub's layout; raises WeightsError where it is missing or not whole."""
    return ImageTower(read_frozen(CLIPVisionModelWithProjection, folder, "image"))
