"""Training items for MSM-Seg: a synthetic person, a box such as people draw, and the region around it."""

from dataclasses import dataclass

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.msm_seg.region import PlanePolicy, RegionPolicy, box_map, click_maps, standardise
from oncoprompt.prompts.simulate import jitter_box, random_clicks
from oncoprompt.synthesis.anatomy import LOW_SPACING_MM
from oncoprompt.synthesis.fields import BOX_MM, box_points, sample
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.subject import Subject

_HALF_MM = np.array(BOX_MM) / 2


@dataclass(frozen=True)
class TrainingItem:
    """Images ``[M, D, H, W]`` with their roles, truth ``[3, D, H, W]`` (WT, TC, ET), box and click maps."""

    images: Tensor
    roles: tuple[str, ...]
    regions: Tensor
    box: Tensor
    clicks: Tensor


@dataclass(frozen=True)
class ItemConfig:
    """How training items are drawn; fractions are probabilities unless a unit is named.

    With ``plane`` an item is a clip of ``slices`` axial planes of ``plane`` pixels (Hiera), else a volume whose longest
    side has ``least_voxels`` to ``most_voxels``. ``shift`` and ``scale`` spread each channel's mean and deviation.
    """

    box_share: float = 0.8
    most_jitter: float = 0.2
    least_margin: float = 0.1
    most_margin: float = 0.3
    click_share: float = 0.2
    single_lesion_share: float = 0.5
    channel_dropout: float = 0.1
    shuffle_share: float = 0.5
    shift: float = 0.2
    scale: float = 0.12
    least_voxels: int = 56
    least_voxels_unboxed: int = 72
    most_voxels: int = 88
    plane: int | None = None
    slices: int = 8

    def __post_init__(self) -> None:
        least = max(self.least_voxels, self.least_voxels_unboxed)
        if self.plane is None and not 8 <= least <= self.most_voxels:
            raise InputError(
                f"Training items need 8 <= least_voxels and least_voxels_unboxed <= most_voxels. Found: "
                f"{self.least_voxels}, {self.least_voxels_unboxed} and {self.most_voxels}."
            )


@dataclass(frozen=True)
class SyntheticItems:
    """Endless training items; ``item(index)`` depends on the seed and the index alone."""

    config: ItemConfig = ItemConfig()
    seed: int = 0

    def item(self, index: int) -> TrainingItem:
        """Draw item ``index``."""
        config = self.config
        rng = np.random.default_rng([self.seed, index])
        subject = Subject.random(int(rng.integers(2**48)))
        wanted = _wanted_lesion(subject, rng, config.single_lesion_share)
        boxed = bool(wanted.any()) and rng.random() < config.box_share
        policy = _policy(config, rng, boxed)
        if boxed:
            # masks are [K, J, I], boxes ordered (R, A, S)
            tight = mask_bounds(wanted)[::-1] * int(LOW_SPACING_MM)
            size = (int(BOX_MM[0]), int(BOX_MM[1]), int(BOX_MM[2]))
            box_mm = jitter_box(tight, rng.uniform(0, config.most_jitter), rng, size) - _HALF_MM[:, None]
            region_mm = policy.expand(box_mm)
        else:
            wanted = subject.lesion.label_map().numpy() > 0
            box_mm = None
            region_mm = mask_bounds(_brain(subject))[::-1] * LOW_SPACING_MM - _HALF_MM[:, None] + [[-4.0, 4.0]]
        spacing, multiple = policy.sampling(region_mm[:, 1] - region_mm[:, 0])
        if config.plane is not None:
            region_mm = _clip(region_mm, config.slices * spacing[2], rng)
        points, origin, shape = _points(region_mm, spacing, multiple)
        picture = subject.picture(points, (float(spacing[2]), float(spacing[1]), float(spacing[0])))
        labels = picture.labels * _near(wanted, points)
        regions = torch.stack([labels > 0, (labels == 1) | (labels == 3), labels == 3]).to(torch.uint8)
        boxes = [] if box_mm is None else [(box_mm - origin[:, None]) / spacing[:, None]]
        clicks = _clicks(regions[0].numpy(), rng) if rng.random() < config.click_share else []
        order = _channel_order(rng, config)
        mean, deviation = subject.statistics()
        # real brains differ in how much of them is fluid or tumour, which moves the mean and the deviation
        shift = torch.tensor(rng.normal(0, config.shift, 4), dtype=torch.float32)
        scale = torch.tensor(np.exp(rng.normal(0, config.scale, 4)), dtype=torch.float32)
        images = standardise(picture.images, mean + shift * deviation, deviation * scale)
        return TrainingItem(
            images=images[order].contiguous(),
            roles=tuple(CHANNELS[c] for c in order),
            regions=regions,
            box=box_map(boxes, shape),
            clicks=click_maps(clicks, shape),
        )


def _wanted_lesion(subject: Subject, rng: np.random.Generator, single_share: float) -> NDArray[np.bool_]:
    """The lesion(s) a person would draw the box around, ``[K, J, I]`` on the 2 mm grid: all, or one of several."""
    tumour = subject.lesion.label_map().numpy() > 0
    if subject.family != "metastases" or rng.random() > single_share:
        return tumour
    parts, count = cc3d.connected_components(tumour, connectivity=26, return_N=True)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    worth = np.flatnonzero(sizes >= 8) + 1
    return parts == int(rng.choice(worth)) if worth.size else tumour


def _brain(subject: Subject) -> NDArray[np.bool_]:
    _, depth, _ = subject.anatomy.tissue(box_points(LOW_SPACING_MM, torch.device("cpu")))
    inside: NDArray[np.bool_] = depth.numpy() > 0
    return inside


def _policy(config: ItemConfig, rng: np.random.Generator, boxed: bool) -> RegionPolicy:
    if config.plane is not None:
        return PlanePolicy(plane=config.plane)
    least = config.least_voxels if boxed else config.least_voxels_unboxed
    margin = rng.uniform(config.least_margin, config.most_margin)
    return RegionPolicy(margin, most_voxels=int(rng.choice(np.arange(least, config.most_voxels + 1, 8))))


def _clip(region_mm: NDArray[np.float64], length_mm: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """The region cut to a random stretch of slices."""
    low, high = region_mm[2]
    start = rng.uniform(low, max(low, high - length_mm))
    return np.array([region_mm[0], region_mm[1], [start, start + length_mm]])


def _points(
    region_mm: NDArray[np.float64], spacing: NDArray[np.float64], multiple: NDArray[np.int64]
) -> tuple[Tensor, NDArray[np.float64], tuple[int, int, int]]:
    """Voxel centres ``[D, H, W, 3]`` covering a region, the corner of the first voxel and the shape (D, H, W)."""
    blocks = np.ceil((region_mm[:, 1] - region_mm[:, 0]) / spacing / multiple - 1e-6).astype(int)
    counts = np.maximum(blocks, 1) * multiple
    origin = region_mm.mean(axis=1) - counts * spacing / 2
    x, y, z = (
        torch.from_numpy((origin[a] + (np.arange(counts[a]) + 0.5) * spacing[a]).astype(np.float32)) for a in range(3)
    )
    points = torch.stack(torch.broadcast_tensors(x[None, None, :], y[None, :, None], z[:, None, None]), dim=-1)
    return points, origin, (int(counts[2]), int(counts[1]), int(counts[0]))


def _near(wanted: NDArray[np.bool_], points: Tensor) -> Tensor:
    """Whether points lie in the 2 mm voxels of a mask or touch them, ``[D, H, W]``."""
    return sample(torch.from_numpy(wanted.astype(np.float32))[None], points)[0] > 0.01


def _clicks(tumour: NDArray[np.uint8], rng: np.random.Generator) -> list[tuple[NDArray[np.int64], bool]]:
    """One to three clicks in the tumour and up to two outside, as positions (W, H, D)."""
    clicks = []
    for mask, count, positive in ((tumour > 0, rng.integers(1, 4), True), (tumour == 0, rng.integers(0, 3), False)):
        if mask.any() and count:
            clicks += [(voxel[::-1], positive) for voxel in random_clicks(mask, int(count), rng)]
    return clicks


def _channel_order(rng: np.random.Generator, config: ItemConfig) -> list[int]:
    """Indices of the channels that are present, mostly in the usual order."""
    kept = [c for c in range(4) if rng.random() >= config.channel_dropout] or [int(rng.integers(4))]
    return [int(c) for c in rng.permutation(kept)] if rng.random() < config.shuffle_share else kept
