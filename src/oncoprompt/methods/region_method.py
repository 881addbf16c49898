"""A network for one region of interest behind the interface of all methods: studies in, probabilities out."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from nibabel.orientations import io_orientation
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, resample, roi_grid
from oncoprompt.methods.interface import Encoding, Prompt, RegionProbabilities
from oncoprompt.methods.msm_seg.holes import fill_holes
from oncoprompt.methods.msm_seg.region import RegionPolicy, box_map, click_maps, standardise
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.prompts import Box, Click, Text
from oncoprompt.study import Study
from oncoprompt.study.foreground import Foreground, Foregrounds

_LOGIT_FAR_BELOW = -12.0


class HasLogits(Protocol):
    """An answer of a network with nested logits [B, 3, D, H, W] (WT, TC, ET)."""

    @property
    def logits(self) -> Tensor: ...


class RegionNetwork(Protocol):
    """A network (torch module) for one region of interest, with prompts drawn as maps on its grid."""

    def to(self, device: torch.device, /) -> Any: ...

    def eval(self) -> Any: ...

    def encode(self, images: Tensor, roles: Sequence[str], /) -> Any:
        """Standardised images [B, M, D, H, W] with their channel roles -> features that prompts do not change."""
        ...

    def decode(self, features: Any, prompt: PromptMaps | None = None, /) -> HasLogits:
        """Segment from features; without prompt, automatically."""
        ...


class RegionMethod:
    """A region network with weights, for studies of any spacing and orientation.

    Whatever the network, the region around the box, its resolution, the standardisation and the filling of holes are
    the same, so that networks are compared alone.
    """

    def __init__(
        self,
        network: RegionNetwork,
        name: str,
        weights_sha256: str,
        device: torch.device,
        policy: RegionPolicy | None = None,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.weights_sha256 = weights_sha256
        self.calibration = calibration or {}
        self._device = device
        self._network = network
        network.to(device)
        network.eval()
        self._policy = policy or RegionPolicy()
        self._foregrounds = Foregrounds()

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise InputError for prompts other than boxes and clicks."""
        other = next((prompt for prompt in prompts if not isinstance(prompt, Box | Click)), None)
        if other is not None:
            what = "a text prompt" if isinstance(other, Text) else "an anatomy mask"
            raise InputError(
                f"Model '{self.name}' reads boxes and clicks. Found {what}; leave it out, or use tags-compact."
            )

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        """Resample the region with its margin, or the brain, to isotropic voxels, standardise and encode it."""
        foreground = self._foregrounds.of(study)
        grid = region_grid(study, region, self._policy, foreground)
        tensor = z_scores(region_images(study, grid), foreground).to(self._device)
        with torch.inference_mode():
            features = self._network.encode(tensor[None], tuple(study.channels))
        return Encoding(grid, features)

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """Draw boxes and clicks on the region, decode, and bring the logits back to the study's voxels."""
        self.check(prompts)
        grid = encoding.region
        drawn = drawn_prompts(prompts, grid)
        maps = PromptMaps(drawn.box.to(self._device), drawn.clicks.to(self._device))
        with torch.inference_mode():
            logits = self._network.decode(encoding.features, maps if prompts else None).logits[0]
        return on_study(fill_holes(logits.float().cpu().numpy()), grid, study.grid)


def region_grid(
    study: Study, region: NDArray[np.int64] | None, policy: RegionPolicy, foreground: Mapping[str, Foreground]
) -> Grid:
    """The isotropic grid over a half-open voxel box (3, 2) with its margin, or over the foreground of all channels."""
    spacing = np.asarray(study.grid.spacing_mm)
    if region is None:
        boxes = np.stack([f.bounds for f in foreground.values()])
        around = np.stack([boxes[:, :, 0].min(0), boxes[:, :, 1].max(0)], axis=1) * spacing[:, None]
    else:
        around = policy.expand(region * spacing[:, None])
    order = np.argsort(io_orientation(study.grid.affine)[:, 0])
    voxel_mm, multiple = policy.sampling((around[:, 1] - around[:, 0])[order])
    return roi_grid(study.grid, around / spacing[:, None], voxel_mm, multiple)


def region_images(study: Study, grid: Grid) -> Tensor:
    """Channels [M, D, H, W] on a grid, the lowest value of each beyond its edge."""
    arrays = study.channels.values()
    return torch.from_numpy(
        np.stack([resample(a, study.grid, grid, fill=float(a.min())).transpose(2, 1, 0) for a in arrays])
    )


def z_scores(images: Tensor, foreground: Mapping[str, Foreground]) -> Tensor:
    """Channels [M, D, H, W] standardised by the foreground of each."""
    mean = torch.tensor([f.mean for f in foreground.values()])
    deviation = torch.tensor([f.deviation for f in foreground.values()])
    return standardise(images, mean, deviation)


def drawn_prompts(prompts: Sequence[Prompt], grid: Grid) -> PromptMaps:
    """Boxes and clicks drawn on a grid, a batch of one; other prompts are passed over."""
    shape = (grid.shape[2], grid.shape[1], grid.shape[0])
    boxes = [box_on(prompt, grid) for prompt in prompts if isinstance(prompt, Box)]
    clicks = [
        (grid.to_voxels(np.asarray(prompt.point_mm)), prompt.positive)
        for prompt in prompts
        if isinstance(prompt, Click)
    ]
    return PromptMaps(box_map(boxes, shape)[None], click_maps(clicks, shape)[None])


def box_on(box: Box, grid: Grid) -> NDArray[np.float64]:
    """Bounds (3, 2) of a box in continuous half-open voxels of a grid."""
    corners = grid.to_voxels(box.corners_mm) + 0.5
    return np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1)


def on_study(logits: NDArray[np.float32], region: Grid, grid: Grid) -> RegionProbabilities:
    """Logits ``[3, D, H, W]`` of a region as probabilities on the window of the study's grid it covers.

    Logits, not probabilities, are interpolated: their order, and with it the nesting, survives, and edges stay sharp.
    """
    bounds = grid.reach([region])
    low, window = bounds[:, 0], grid.part(bounds)
    values = np.stack(
        [resample(np.ascontiguousarray(x.transpose(2, 1, 0)), region, window, fill=_LOGIT_FAR_BELOW) for x in logits]
    )
    np.minimum(values[1], values[0], out=values[1])
    np.minimum(values[2], values[1], out=values[2])
    probabilities = torch.sigmoid(torch.from_numpy(values)).numpy()
    return RegionProbabilities(probabilities, (int(low[0]), int(low[1]), int(low[2])))
