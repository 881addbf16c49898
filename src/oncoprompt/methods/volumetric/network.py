"""A plain volumetric network: channels in fixed order, prompts as further channels, nested regions out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg.compact import space_to_depth
from oncoprompt.methods.msm_seg.mf_decoder import nest, unpack
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.volumetric.config import DynUNetConfig, VolumetricConfig
from oncoprompt.methods.volumetric.cores import DynUNetCore, SegResNetCore

REGIONS = 3
CUBE = (2, 2, 2)
FIRST_LOGIT = -2.0
"""Added to all logits, as in MSM-Seg's decoder: most voxels are no tumour."""

_SUBVOXELS = 8


@dataclass(frozen=True)
class VolumetricOutput:
    """Nested logits (WT, TC, ET) [B, 3, D, H, W], and means over cubes of 4, 8, ... voxels a side while it trains."""

    logits: Tensor
    coarser: tuple[Tensor, ...]


class VolumetricNetwork(nn.Module):
    """Channels and maps of prompts, cut into cubes of 2x2x2 voxels -> core -> logits of the eight voxels of each cube.

    It works at stride 2 as the compact MSM-Seg does, with the same first and last step, so that their times compare.
    Sizes that the core cannot halve as often as it wants are continued by their last plane.
    """

    def __init__(self, config: VolumetricConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or VolumetricConfig()
        inputs, outputs = _SUBVOXELS * c.inputs, _SUBVOXELS * REGIONS
        self.core: DynUNetCore | SegResNetCore
        if isinstance(c.core, DynUNetConfig):
            self.core = DynUNetCore(inputs, outputs, c.core)
        else:
            self.core = SegResNetCore(inputs, outputs, c.core)

    def encode(self, images: Tensor, roles: Sequence[str]) -> Tensor:
        """images [B, M, D, H, W] with their roles -> the network's channels [B, C, D, H, W]; nothing is computed yet.

        A missing channel is zero, the mean of the brain; a channel with any other role is not seen. Raises InputError
        where none of its channels is there.
        """
        known = self.config.channels
        if images.ndim != 5 or images.shape[1] != len(roles) or not set(roles) & set(known):
            raise InputError(
                f"Images must be [B, M, D, H, W] with one role a channel, at least one of {', '.join(known)}. "
                f"Found: {tuple(images.shape)}, roles {', '.join(roles) or 'none'}."
            )
        absent = torch.zeros_like(images[:, 0])
        return torch.stack([images[:, roles.index(c)] if c in roles else absent for c in known], dim=1)

    def decode(
        self, channels: Tensor, prompt: PromptMaps | None = None, anatomy: Tensor | None = None
    ) -> VolumetricOutput:
        """Segment channels [B, C, D, H, W] with prompts and an organ mask [B, 1, D, H, W], where it has inputs."""
        size = channels.shape[2:]
        maps = prompt or PromptMaps(
            channels.new_zeros(len(channels), 1, *size), channels.new_zeros(len(channels), 2, *size)
        )
        mask = torch.zeros_like(maps.box) if anatomy is None else anatomy
        drawn = [maps.box] * self.config.box + [maps.clicks] * self.config.clicks + [mask] * self.config.anatomy
        whole = self._padded(torch.cat([channels, *drawn], dim=1))
        cubes = torch.cat([space_to_depth(volume) for volume in whole.unbind(1)], dim=1)
        packed = [nest(x.unflatten(1, (REGIONS, _SUBVOXELS)) + FIRST_LOGIT) for x in self.core(cubes)]
        d, h, w = size
        coarser = tuple(x.mean(2) for x in packed[1:])
        return VolumetricOutput(unpack(packed[0], CUBE)[..., :d, :h, :w], coarser)

    def forward(
        self,
        images: Tensor,
        roles: Sequence[str],
        prompt: PromptMaps | None = None,
        anatomy: Tensor | None = None,
    ) -> VolumetricOutput:
        """Encode and decode."""
        return self.decode(self.encode(images, roles), prompt, anatomy)

    def _padded(self, x: Tensor) -> Tensor:
        stride = self.config.core.stride
        pads = [pad for n in reversed(x.shape[2:]) for pad in (0, -n % stride)]
        return functional.pad(x, pads, mode="replicate") if any(pads) else x
