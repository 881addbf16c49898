"""Training items for TAGS compact: what is asked for in words, clicks, a box, an anatomy mask, or some of these."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import max_pool3d

from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.msm_seg.region import STRIDE, RegionPolicy, box_map, click_maps, standardise
from oncoprompt.methods.tags.vocabulary import ANY_TUMOUR, BRAIN, CONCEPTS, HEALTHY
from oncoprompt.prompts.simulate import jitter_box, random_clicks
from oncoprompt.synthesis.atlases import load_atlases
from oncoprompt.synthesis.ct.subject import ORGANS, AbdomenSubject
from oncoprompt.synthesis.two_kinds import KINDS
from oncoprompt.training.items import regions_of
from oncoprompt.training.tags_scenes import Abdomen, Crop, Head, Overview, Scene, View

_CLICK_COUNTS = (1, 1, 1, 2, 3, 3, 4, 6, 10)
_LEAST_CELLS = 4
_HEALTHY_SHARE = 0.04

HEALTHY_ORGAN = len(CONCEPTS)
"""In `TagsItem.kinds`: healthy tissue of an organ that may hold a tumour."""


@dataclass(frozen=True)
class TagsItem:
    """Images ``[M, D, H, W]`` with their roles, truth ``[3, D, H, W]`` (WT, TC, ET) of what is asked for, prompts.

    ``box`` ``[1, D, H, W]``, ``clicks`` ``[2, D, H, W]`` and ``anatomy`` ``[1, D, H, W]`` are maps, ``concept`` a row
    of CONCEPTS. Of the regions the first ``known`` are told; ``corrected``: whether a second answer is trained, after
    clicks on the errors of a first. ``other_concept`` asks a second question about the same images in a word alone, to
    which ``other_regions`` are the truth; -1 and no voxels where there is none. ``kinds`` ``[D, H, W]`` holds each
    voxel's row of CONCEPTS, HEALTHY_ORGAN or, outside of the organs, "healthy"; ``words`` the rows that it may hold.
    """

    images: Tensor
    roles: tuple[str, ...]
    regions: Tensor
    box: Tensor
    clicks: Tensor
    anatomy: Tensor
    concept: int
    known: int
    corrected: bool
    other_concept: int
    other_regions: Tensor
    kinds: Tensor
    words: tuple[int, ...]


@dataclass(frozen=True)
class TagsItemConfig:
    """How items are drawn; shares are probabilities.

    Items show CT or MRI, with tumours of one kind or two. The one that is asked for is told by its word
    (``word_share``), another word of which there is none (``absent_share``, the answer is nothing, as for "healthy"),
    or no word; clicks, box and anatomy mask come with their shares, and one of them tells which of two is meant.
    Without a box a second question is asked in a word alone: for the other tumour, or (``denied_share``) for one that
    is not there, or for the same one.
    Boxes lie about one lesion of several with ``single_lesion_share``, about its core alone with ``core_box_share``,
    and are wider by up to 60 % with ``loose_share``.
    Clicks miss by up to ``slip_mm`` with ``slip_share``; masks of anatomy are wrong with ``wrong_anatomy_share``.
    """

    ct_share: float = 0.4
    two_kinds_share: float = 0.5
    word_share: float = 0.65
    absent_share: float = 0.05
    box_share: float = 0.25
    click_share: float = 0.3
    anatomy_share: float = 0.35
    wrong_anatomy_share: float = 0.2
    negative_share: float = 0.25
    slip_share: float = 0.15
    slip_mm: float = 8.0
    corrected_share: float = 0.25
    single_lesion_share: float = 0.4
    core_box_share: float = 0.0
    loose_share: float = 0.0
    second_question_share: float = 1.0
    denied_share: float = 0.5
    most_jitter: float = 0.25
    channel_dropout: float = 0.1
    shift: float = 0.2
    scale: float = 0.12
    least_voxels: int = 56
    least_voxels_unboxed: int = 56
    most_voxels: int = 72
    abdomen_mm: tuple[float, float] = (2.0, 3.6)
    anatomies: str | None = None
    anatomies_share: float = 0.5
    anatomies_run: int = 32


@dataclass(frozen=True)
class TagsItems:
    """Endless items; ``item(index)`` depends on the seed and the index alone."""

    config: TagsItemConfig = TagsItemConfig()
    seed: int = 0

    def item(self, index: int) -> TagsItem:
        """Draw item ``index``."""
        rng = np.random.default_rng([self.seed, index])
        return ItemDraw(self.config, rng).item(self._scene(rng, index))

    def _scene(self, rng: np.random.Generator, index: int) -> Scene:
        config, seed = self.config, int(rng.integers(2**48))
        two = rng.random() < config.two_kinds_share
        if rng.random() < config.ct_share:
            organs = [str(organ) for organ in rng.permutation(ORGANS)]
            also = organs[1 : 2 + int(rng.integers(2))] if two else ()
            return Abdomen(AbdomenSubject.random(seed, organs[0], also=also))
        run = np.random.default_rng([self.seed, 1, index // config.anatomies_run])
        own = config.anatomies is not None and run.random() < config.anatomies_share
        atlas = load_atlases(config.anatomies).random(run) if own and config.anatomies is not None else None
        return Head.random(seed, two_families(rng) if two else (one_family(rng),), atlas)


def one_family(rng: np.random.Generator) -> str:
    """A family, each kind of tumour as likely as the others, or now and then a healthy head."""
    if rng.random() < _HEALTHY_SHARE:
        return "healthy"
    kind = str(rng.choice(BRAIN))
    return str(rng.choice([family for family, name in KINDS.items() if name == kind]))


def two_families(rng: np.random.Generator) -> tuple[str, str]:
    """Two families of tumours of different kinds, the first the one that pushes the brain."""
    first, second = (str(kind) for kind in rng.permutation(BRAIN)[:2])
    names = [str(rng.choice([f for f, name in KINDS.items() if name == kind])) for kind in (first, second)]
    return names[0], names[1]


@dataclass(frozen=True)
class _Question:
    """A row of CONCEPTS and the kind that is meant, "" for none, None for all there are."""

    concept: int
    kind: str | None


@dataclass(frozen=True)
class ItemDraw:
    """One item in the making."""

    config: TagsItemConfig
    rng: np.random.Generator

    def item(self, scene: Scene) -> TagsItem:
        config, rng = self.config, self.rng
        overview = scene.overview()
        question = self._question(scene, tuple(overview.tumours))
        tumour = _meant(overview, question)
        unsure = question.concept == ANY_TUMOUR and question.kind is not None and len(overview.tumours) > 1
        some = bool(tumour.any())
        boxed = some and rng.random() < config.box_share
        if boxed and rng.random() < config.single_lesion_share:
            tumour = self._one_of(tumour)
        clicked = some and (rng.random() < config.click_share or (unsure and not boxed))
        box_mm = self._box(self._boxed(tumour, overview), overview) if boxed else None
        crop = self._crop(overview, tumour, box_mm)
        view = scene.view(crop)
        regions = _regions(view, question) * _near(tumour, overview, crop)
        clicks = self._clicks(regions[0].numpy() > 0, view, crop) if clicked else []
        boxes = [] if box_mm is None else [crop.voxels(box_mm.T).T + 0.5]
        order = self._channels(len(scene.channels))
        second = not boxed and rng.random() < config.second_question_share
        other = self._other(scene, overview, question) if second else None
        return TagsItem(
            images=self._standardised(scene, view.images)[order].contiguous(),
            roles=tuple(scene.channels[c] for c in order),
            regions=regions,
            box=box_map(boxes, crop.shape),
            clicks=click_maps(clicks, crop.shape),
            anatomy=self._anatomy(view, question),
            concept=question.concept,
            known=1 if scene.statistics() is None else 3,
            corrected=bool(rng.random() < config.corrected_share),
            other_concept=-1 if other is None else other.concept,
            other_regions=torch.zeros((3, 0, 0, 0), dtype=torch.uint8) if other is None else _regions(view, other),
            kinds=_kinds(view),
            words=(HEALTHY, *(CONCEPTS.index(word) for word in scene.words)),
        )

    def _other(self, scene: Scene, overview: Overview, question: _Question) -> _Question:
        """A second question, in a word alone."""
        kinds = [kind for kind in overview.tumours if kind != question.kind]
        if len(overview.tumours) > 1 and kinds:
            kind = str(self.rng.choice(kinds))
            return _Question(CONCEPTS.index(kind), kind)
        absent = [CONCEPTS.index(word) for word in scene.words if word not in overview.tumours]
        if not overview.tumours or (absent and self.rng.random() < self.config.denied_share):
            return _Question(int(self.rng.choice([*absent, *absent, HEALTHY])), "")
        kind = next(iter(overview.tumours))
        return _Question(CONCEPTS.index(kind), kind)

    def _question(self, scene: Scene, kinds: tuple[str, ...]) -> _Question:
        draw = self.rng.random()
        if draw < self.config.absent_share or not kinds:
            absent = [row for row, word in enumerate(CONCEPTS) if word not in kinds and row != ANY_TUMOUR]
            near = [CONCEPTS.index(word) for word in scene.words if word not in kinds]
            rows = near * 2 + [HEALTHY] * 2 + absent
            return _Question(int(self.rng.choice(rows)) if self.rng.random() < 0.8 or kinds else ANY_TUMOUR, "")
        kind = str(self.rng.choice(kinds))
        if draw < self.config.absent_share + self.config.word_share:
            return _Question(CONCEPTS.index(kind), kind)
        return _Question(ANY_TUMOUR, kind if self.rng.random() < 0.5 else None)

    def _one_of(self, tumour: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """One connected part of a mask, of those that are more than specks."""
        parts = cc3d.connected_components(tumour, connectivity=26)
        sizes = np.bincount(parts.ravel())[1:]
        worth = np.flatnonzero(sizes >= _LEAST_CELLS) + 1
        return np.asarray(parts == int(self.rng.choice(worth))) if worth.size else tumour

    def _boxed(self, tumour: NDArray[np.bool_], overview: Overview) -> NDArray[np.bool_]:
        """What the box is drawn around: the target, or its core."""
        if self.rng.random() >= self.config.core_box_share or not overview.cores:
            return tumour
        core = np.logical_or.reduce(list(overview.cores.values())) & tumour
        return core if core.any() else tumour

    def _box(self, target: NDArray[np.bool_], overview: Overview) -> NDArray[np.float64]:
        """A box (3, 2) in mm (R, A, S) about a target, each side moved."""
        tight = mask_bounds(target)[::-1]
        k, j, i = target.shape
        if self.rng.random() < self.config.loose_share:
            sides = tight[:, 1] - tight[:, 0]
            wider = self.rng.uniform(0.0, 0.3, (3, 2)) * sides[:, None]
            tight = np.stack([tight[:, 0] - wider[:, 0], tight[:, 1] + wider[:, 1]], axis=1)
            tight = np.clip(np.round(tight).astype(np.int64), 0, np.array([[i], [j], [k]]))
        scaled = jitter_box(tight * 4, self.rng.uniform(0, self.config.most_jitter), self.rng, (4 * i, 4 * j, 4 * k))
        return np.asarray(scaled * (overview.spacing_mm / 4) + overview.corner_mm[:, None])

    def _crop(self, overview: Overview, tumour: NDArray[np.bool_], box_mm: NDArray[np.float64] | None) -> Crop:
        config, rng = self.config, self.rng
        least = config.least_voxels if box_mm is not None else config.least_voxels_unboxed
        most = int(rng.choice(np.arange(least, config.most_voxels + 1, 8)))
        policy = RegionPolicy(rng.uniform(0.1, 0.35), most_voxels=most)
        bounds = overview.bounds_mm
        if box_mm is not None:
            region = policy.expand(box_mm)
        elif bounds[0, 1] - bounds[0, 0] < 250.0:
            region = bounds
        else:
            return self._part(overview, tumour, most)
        spacing = policy.spacing_mm(region[:, 1] - region[:, 0])
        counts = np.maximum(np.ceil((region[:, 1] - region[:, 0]) / spacing / STRIDE - 1e-6), 1).astype(int) * STRIDE
        corner = region.mean(axis=1) - counts * spacing / 2
        return Crop(corner, spacing, (int(counts[2]), int(counts[1]), int(counts[0])))

    def _part(self, overview: Overview, tumour: NDArray[np.bool_], voxels: int) -> Crop:
        """A cube of an abdomen that holds some of the target, or of what else there is."""
        rng = self.rng
        spacing = float(rng.uniform(*self.config.abdomen_mm))
        shown = tumour if tumour.any() else np.logical_or.reduce(list(overview.tumours.values()) or [tumour])
        if shown.any() and rng.random() < 0.9:
            centre = random_clicks(shown, 1, rng)[0][::-1] * overview.spacing_mm + overview.corner_mm
        else:
            centre = rng.uniform(overview.bounds_mm[:, 0] + 60, overview.bounds_mm[:, 1] - 60)
        half = voxels * spacing / 2
        centre = centre + rng.uniform(-0.35, 0.35, 3) * 2 * half
        low, high = overview.bounds_mm.T
        centre = np.clip(centre, np.minimum(low + half, 0), np.maximum(high - half, 0))
        return Crop(centre - half, spacing, (voxels,) * 3)

    def _clicks(
        self, target: NDArray[np.bool_], view: View, crop: Crop
    ) -> list[tuple[NDArray[np.float64] | NDArray[np.int64], bool]]:
        """Positive clicks in the target, some of which slip, and sometimes negative ones beside it."""
        config, rng = self.config, self.rng
        if not target.any():
            return []
        count = int(rng.choice(_CLICK_COUNTS))
        points = random_clicks(target, count, rng)[:, ::-1].astype(np.float64)
        if rng.random() < config.slip_share:
            points += rng.uniform(-1, 1, points.shape) * config.slip_mm / crop.spacing_mm
        clicks: list[tuple[NDArray[np.float64] | NDArray[np.int64], bool]] = [(point, True) for point in points]
        if rng.random() < config.negative_share:
            other = np.logical_or.reduce([label.numpy() > 0 for label in view.labels.values()]) & ~target
            outside = other if other.any() and rng.random() < 0.6 else _beside(target)
            if outside.any():
                clicks += [(p[::-1], False) for p in random_clicks(outside, int(rng.integers(1, 4)), rng)]
        return clicks

    def _anatomy(self, view: View, question: _Question) -> Tensor:
        """The mask of the asked kind's organ; zero where none is given, moved or grown where it is wrong."""
        some = next(iter(view.anatomy.values()))
        word = question.kind or (CONCEPTS[question.concept] if CONCEPTS[question.concept] in view.anatomy else None)
        if self.rng.random() >= self.config.anatomy_share or word not in view.anatomy:
            return torch.zeros((1, *some.shape))
        mask = view.anatomy[word][None].float()
        if self.rng.random() < self.config.wrong_anatomy_share:
            shifts = [int(n) for n in self.rng.integers(-6, 7, 3)]
            mask = torch.roll(mask, shifts, (1, 2, 3))
            size = 2 * int(self.rng.integers(0, 3)) + 1
            mask = (
                max_pool3d(mask, size, 1, size // 2)
                if self.rng.random() < 0.5
                else 1 - max_pool3d(1 - mask, size, 1, size // 2)
            )
        return mask

    def _standardised(self, scene: Scene, images: Tensor) -> Tensor:
        config, rng = self.config, self.rng
        statistics = scene.statistics()
        if statistics is None:
            return images
        mean, deviation = statistics
        shift = torch.tensor(rng.normal(0, config.shift, len(images)), dtype=torch.float32)
        scale = torch.tensor(np.exp(rng.normal(0, config.scale, len(images))), dtype=torch.float32)
        return standardise(images, mean + shift * deviation, deviation * scale)

    def _channels(self, count: int) -> list[int]:
        kept = [c for c in range(count) if self.rng.random() >= self.config.channel_dropout]
        return kept or [int(self.rng.integers(count))]


def _meant(overview: Overview, question: _Question) -> NDArray[np.bool_]:
    """What is asked for on the coarse grid."""
    wanted = [mask for kind, mask in overview.tumours.items() if question.kind in (None, kind)]
    return np.asarray(np.logical_or.reduce(wanted)) if wanted else np.zeros((1, 1, 1), dtype=bool)


def _regions(view: View, question: _Question) -> Tensor:
    """Truth ``[3, D, H, W]`` of what is asked for."""
    labels = [label for kind, label in view.labels.items() if question.kind in (None, kind)]
    together = torch.zeros(view.images.shape[1:], dtype=torch.uint8)
    for label in labels:
        together = torch.where(together > 0, together, label)
    return regions_of(together)


def _kinds(view: View) -> Tensor:
    """Rows of CONCEPTS, or HEALTHY_ORGAN, ``[D, H, W]`` uint8 of what there is."""
    rows = torch.full(view.images.shape[1:], HEALTHY, dtype=torch.uint8)
    for organ in view.anatomy.values():
        rows[organ] = HEALTHY_ORGAN
    for kind, label in view.labels.items():
        rows[(label > 0) & (label < 4)] = CONCEPTS.index(kind)
    return rows


def _near(tumour: NDArray[np.bool_], overview: Overview, crop: Crop) -> Tensor:
    """Whether voxels of a crop lie in the cells of a coarse mask or beside them, ``[D, H, W]`` uint8."""
    grown = max_pool3d(torch.from_numpy(tumour)[None].float(), 3, 1, 1)[0] > 0
    cells = []
    for axis, n in enumerate(reversed(crop.shape)):
        centres = crop.corner_mm[axis] + (np.arange(n) + 0.5) * crop.spacing_mm
        found = np.floor((centres - overview.corner_mm[axis]) / overview.spacing_mm).astype(int)
        cells.append(torch.from_numpy(np.clip(found, 0, grown.shape[2 - axis] - 1)))
    return grown[cells[2]][:, cells[1]][:, :, cells[0]].to(torch.uint8)


def _beside(target: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What lies within a few voxels of a target, but not in it."""
    grown = max_pool3d(torch.from_numpy(target)[None].float(), 9, 1, 4)[0].numpy() > 0
    return np.asarray(grown & ~target)
