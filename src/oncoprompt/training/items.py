"""Training items for MSM-Seg: a patient, a box such as people draw, and the region around it."""

from dataclasses import dataclass
from typing import Protocol

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
from oncoprompt.synthesis.atlas import Atlas
from oncoprompt.synthesis.atlases import load_atlases
from oncoprompt.synthesis.fields import BOX_MM, box_points, sample
from oncoprompt.synthesis.lattice import Lattice
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.subject import Picture, Subject

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
    With ``anatomies``, a folder of label maps of heads, a share ``anatomy_share`` of people is drawn from them instead
    of from ICBM152, ``anatomy_run`` items in a row from one, and ``whole_head_share`` of those keep their skull.
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
    anatomies: str | None = None
    anatomy_share: float = 0.5
    anatomy_run: int = 32
    whole_head_share: float = 0.15

    def __post_init__(self) -> None:
        least = max(self.least_voxels, self.least_voxels_unboxed)
        if self.plane is None and not 8 <= least <= self.most_voxels:
            raise InputError(
                f"Training items need 8 <= least_voxels and least_voxels_unboxed <= most_voxels. Found: "
                f"{self.least_voxels}, {self.least_voxels_unboxed} and {self.most_voxels}."
            )


class Patient(Protocol):
    """A head with a tumour that can be imaged on any grid of the head box: a synthetic person, or a labelled case."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of a picture."""
        ...

    @property
    def scattered(self) -> bool:
        """Whether the lesions lie apart, so that a person may mean one of them."""
        ...

    def label_map(self) -> Tensor:
        """Labels ``[K, J, I]`` (case.SCHEMA) of the head box at LOW_SPACING_MM."""
        ...

    def brain(self) -> Tensor:
        """Whether there is brain, ``[K, J, I]`` of the head box at LOW_SPACING_MM."""
        ...

    def picture(self, points_mm: Tensor, spacing_mm: tuple[float, float, float]) -> Picture:
        """Images, labels and brain mask at points ``[k, j, i, 3]`` (mm, R A S); spacing in the order (k, j, i)."""
        ...

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the brain."""
        ...


@dataclass(frozen=True)
class SyntheticItems:
    """Endless training items; ``item(index)`` depends on the seed and the index alone."""

    config: ItemConfig = ItemConfig()
    seed: int = 0

    def item(self, index: int) -> TrainingItem:
        """Draw item ``index``."""
        rng = np.random.default_rng([self.seed, index])
        seed = int(rng.integers(2**48))
        atlas = self._atlas(index)
        whole_head = atlas is not None and rng.random() < self.config.whole_head_share
        return draw_item(SyntheticPatient(Subject.random(seed, atlas=atlas, whole_head=whole_head)), self.config, rng)

    def _atlas(self, index: int) -> Atlas | None:
        """The label map an item's person is drawn from, or None for ICBM152; items in a row share one."""
        rng = np.random.default_rng([self.seed, 1, index // self.config.anatomy_run])
        if self.config.anatomies is None or rng.random() >= self.config.anatomy_share:
            return None
        return load_atlases(self.config.anatomies).random(rng)


@dataclass(frozen=True)
class SyntheticPatient:
    """A synthetic person as a patient."""

    subject: Subject
    channels: tuple[str, ...] = CHANNELS

    @property
    def scattered(self) -> bool:
        """Whether the tumour is a family of many."""
        return self.subject.family == "metastases"

    def label_map(self) -> Tensor:
        """The lesion's own labels."""
        return self.subject.lesion.label_map()

    def brain(self) -> Tensor:
        """Inside of the brain's surface."""
        points = box_points(LOW_SPACING_MM, self.subject.lesion.levels.device)
        return Lattice.of_points(points).spread(self.subject.anatomy.smooth[:1])[0] > 0

    def picture(self, points_mm: Tensor, spacing_mm: tuple[float, float, float]) -> Picture:
        """What the person's scanners show."""
        return self.subject.picture(points_mm, spacing_mm)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Intensities of the whole head."""
        return self.subject.statistics()


def draw_item(patient: Patient, config: ItemConfig, rng: np.random.Generator) -> TrainingItem:
    """Look at a patient as a person with a box would: box or none, region, clicks, channels, standardisation."""
    tumour = in_whole_tumour(patient.label_map()).numpy()
    wanted = _wanted_lesion(tumour, patient.scattered, rng, config.single_lesion_share)
    boxed = bool(wanted.any()) and rng.random() < config.box_share
    policy = _policy(config, rng, boxed)
    if boxed:
        # masks are [K, J, I], boxes ordered (R, A, S)
        tight = mask_bounds(wanted)[::-1] * int(LOW_SPACING_MM)
        size = (int(BOX_MM[0]), int(BOX_MM[1]), int(BOX_MM[2]))
        box_mm = jitter_box(tight, rng.uniform(0, config.most_jitter), rng, size) - _HALF_MM[:, None]
        region_mm = policy.expand(box_mm)
    else:
        wanted = tumour
        box_mm = None
        brain = patient.brain().numpy()
        region_mm = mask_bounds(brain)[::-1] * LOW_SPACING_MM - _HALF_MM[:, None] + [[-4.0, 4.0]]
    spacing, multiple = policy.sampling(region_mm[:, 1] - region_mm[:, 0])
    if config.plane is not None:
        region_mm = _clip(region_mm, config.slices * spacing[2], rng)
    points, origin, shape = _points(region_mm, spacing, multiple)
    picture = patient.picture(points, (float(spacing[2]), float(spacing[1]), float(spacing[0])))
    regions = regions_of(picture.labels * _near(wanted, points))
    boxes = [] if box_mm is None else [(box_mm - origin[:, None]) / spacing[:, None]]
    clicks = _clicks(regions[0].numpy(), rng) if rng.random() < config.click_share else []
    count = len(patient.channels)
    order = _channel_order(rng, config, count)
    mean, deviation = patient.statistics()
    # real brains differ in how much of them is fluid or tumour, which moves the mean and the deviation
    shift = torch.tensor(rng.normal(0, config.shift, count), dtype=torch.float32)
    scale = torch.tensor(np.exp(rng.normal(0, config.scale, count)), dtype=torch.float32)
    images = standardise(picture.images, mean + shift * deviation, deviation * scale)
    return TrainingItem(
        images=images[order].contiguous(),
        roles=tuple(patient.channels[c] for c in order),
        regions=regions,
        box=box_map(boxes, shape),
        clicks=click_maps(clicks, shape),
    )


def in_whole_tumour(labels: Tensor) -> Tensor:
    """Whether labels of case.SCHEMA belong to the whole tumour, which the resection cavity (4) does not."""
    return (labels > 0) & (labels < 4)


def regions_of(labels: Tensor) -> Tensor:
    """Masks ``[3, ...]`` uint8 of WT = {1, 2, 3}, TC = {1, 3} and ET = {3} of labels in case.SCHEMA."""
    return torch.stack([in_whole_tumour(labels), (labels == 1) | (labels == 3), labels == 3]).to(torch.uint8)


def _wanted_lesion(
    tumour: NDArray[np.bool_], scattered: bool, rng: np.random.Generator, single_share: float
) -> NDArray[np.bool_]:
    """The lesion(s) a person would draw the box around, ``[K, J, I]`` on the 2 mm grid: all, or one of several."""
    if not scattered or rng.random() > single_share:
        return tumour
    parts, count = cc3d.connected_components(tumour, connectivity=26, return_N=True)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    worth = np.flatnonzero(sizes >= 8) + 1
    return parts == int(rng.choice(worth)) if worth.size else tumour


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


def _channel_order(rng: np.random.Generator, config: ItemConfig, count: int) -> list[int]:
    """Indices of the channels that are present, mostly in the usual order."""
    kept = [c for c in range(count) if rng.random() >= config.channel_dropout] or [int(rng.integers(count))]
    return [int(c) for c in rng.permutation(kept)] if rng.random() < config.shuffle_share else kept
