"""Synthetic heads made once and kept on disk, so that training can see each of them several times, each time anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.geometry import mask_bounds
from oncoprompt.study.whole_file import write_whole
from oncoprompt.synthesis.atlas import Atlas
from oncoprompt.synthesis.atlases import load_atlases
from oncoprompt.synthesis.fields import BOX_MM
from oncoprompt.synthesis.lattice import Lattice
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.subject import Picture, Subject
from oncoprompt.synthesis.two_kinds import KINDS, TwoKinds
from oncoprompt.training.tensor_file import read_tensor_file, tensor_file

_ENDING = ".safetensors"
_MARGIN_VOXELS = 3
_FOREGROUND_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class StoredHead:
    """Images ``[M, K, J, I]`` float16 of a head, labels of each kind of tumour, the brain; axes are (S, A, R).

    ``labels`` ``[N, K, J, I]`` uint8 are in `synthesis.case.SCHEMA`, one map for each of ``kinds``; ``corner_mm`` is
    the corner of the first voxel in the head box (R, A, S). ``mean`` and ``std`` ``[2, M]`` are each channel's over the
    brain (row 0) and over all that is shown (row 1). ``stripped``: nothing is shown but the brain.
    """

    channels: tuple[str, ...]
    kinds: tuple[str, ...]
    images: Tensor
    labels: Tensor
    brain: Tensor
    corner_mm: tuple[float, float, float]
    spacing_mm: float
    mean: Tensor
    std: Tensor
    stripped: bool

    def to_bytes(self) -> bytes:
        """The head as the content of a safetensors file."""
        tensors = {name: getattr(self, name) for name in ("images", "labels", "brain", "mean", "std")}
        facts = {name: getattr(self, name) for name in ("channels", "kinds", "corner_mm", "spacing_mm", "stripped")}
        return tensor_file(tensors, "facts", facts)

    @staticmethod
    def read(path: Path) -> StoredHead | None:
        """The head in a file, None where it is missing or damaged."""
        try:
            tensors, facts = read_tensor_file(path, "facts")
        except InputError:
            return None
        return StoredHead(
            channels=tuple(facts["channels"]),
            kinds=tuple(facts["kinds"]),
            corner_mm=(facts["corner_mm"][0], facts["corner_mm"][1], facts["corner_mm"][2]),
            spacing_mm=facts["spacing_mm"],
            stripped=facts["stripped"],
            **tensors,
        )


@dataclass(frozen=True)
class HeadConfig:
    """How synthetic heads are drawn; shares are probabilities.

    ``families`` are the shares of `lesion.FAMILIES` where there is one kind of tumour, ``two_kinds_share`` of the heads
    have two. A share ``anatomies_share`` is drawn from the label maps in ``anatomies`` instead of ICBM152,
    ``anatomies_run`` in a row from one (reading it takes seconds), and ``whole_head_share`` of those keep skull and
    scalp. Voxels are ``spacing_mm`` wide.
    """

    families: tuple[tuple[str, float], ...] = (
        ("high-grade glioma", 0.34),
        ("low-grade glioma", 0.16),
        ("metastases", 0.18),
        ("meningioma", 0.18),
        ("post-treatment glioma", 0.08),
        ("healthy", 0.06),
    )
    two_kinds_share: float = 0.2
    anatomies: str | None = None
    anatomies_share: float = 0.75
    anatomies_run: int = 32
    whole_head_share: float = 0.5
    spacing_mm: float = 1.25


def draw_head(config: HeadConfig, seed: int, number: int) -> StoredHead:
    """Synthetic head ``number`` of a seed; the same arguments give the same head."""
    rng = np.random.default_rng([seed, 7, number])
    person_seed = int(rng.integers(2**48))
    atlas: Atlas | None = None
    whole_head = False
    run = np.random.default_rng([seed, 8, number // config.anatomies_run])
    if config.anatomies is not None and run.random() < config.anatomies_share:
        atlas = load_atlases(config.anatomies).random(run)
        whole_head = bool(rng.random() < config.whole_head_share)
    names, shares = zip(*config.families, strict=True)
    if rng.random() < config.two_kinds_share:
        first, second = (str(kind) for kind in rng.permutation(sorted(set(KINDS.values())))[:2])
        families = [str(rng.choice([f for f, kind in KINDS.items() if kind == name])) for name in (first, second)]
        person: Subject | TwoKinds = TwoKinds.random(person_seed, families, atlas, whole_head)
    else:
        family = str(rng.choice(names, p=np.asarray(shares) / sum(shares)))
        person = Subject.random(person_seed, family, atlas=atlas, whole_head=whole_head)
    return _stored(person, config.spacing_mm)


def _stored(person: Subject | TwoKinds, spacing_mm: float) -> StoredHead:
    """The part of the head box that shows anything."""
    axes = [(torch.arange(int(size / spacing_mm)) + 0.5) * spacing_mm - size / 2 for size in BOX_MM]
    lattice = Lattice(axes[0], axes[1], axes[2])
    spacing = (spacing_mm,) * 3
    if isinstance(person, TwoKinds):
        first = person.first
        picture, by_kind = person.picture(lattice.points(), spacing)
    else:
        first = person
        picture = person.picture(lattice.points(), spacing)
        kind = KINDS.get(person.family)
        by_kind = {} if kind is None else {kind: picture.labels}
    stripped = first.stripping is not None
    shown = picture.mask if stripped else _foreground(picture)
    brain = lattice.spread(first.anatomy.smooth[:1])[0] > 0
    k, j, i = part_around(shown | brain)
    seen = brain & shown if bool((brain & shown).any()) else brain
    statistics = [_statistics(picture.images, mask) for mask in (seen, shown)]
    labels = [by_kind[name][k, j, i] for name in by_kind]
    corner = [float(axis[part.start]) - spacing_mm / 2 for axis, part in zip(axes, (i, j, k), strict=True)]
    return StoredHead(
        channels=CHANNELS,
        kinds=tuple(by_kind),
        images=picture.images[:, k, j, i].half().contiguous(),
        labels=torch.stack(labels) if labels else torch.zeros((0, *brain[k, j, i].shape), dtype=torch.uint8),
        brain=brain[k, j, i].to(torch.uint8),
        corner_mm=(corner[0], corner[1], corner[2]),
        spacing_mm=spacing_mm,
        mean=torch.stack([mean for mean, _ in statistics]),
        std=torch.stack([std for _, std in statistics]),
        stripped=stripped,
    )


def part_around(mask: Tensor) -> tuple[slice, slice, slice]:
    """The part (K, J, I) of a head that holds a mask ``[K, J, I]``, and a few voxels around it."""
    k, j, i = (slice(max(0, int(a) - _MARGIN_VOXELS), int(b) + _MARGIN_VOXELS) for a, b in mask_bounds(mask.numpy()))
    return k, j, i


def _foreground(picture: Picture) -> Tensor:
    """What `study.foreground` takes for the head in any channel of a scan that is not stripped."""
    thresholds = [_FOREGROUND_SHARE * _quantile(image, 0.98) for image in picture.images]
    return torch.stack([image > level for image, level in zip(picture.images, thresholds, strict=True)]).any(0)


def _quantile(image: Tensor, share: float) -> float:
    values = image[::2, ::2, ::2].flatten()
    return float(values.kthvalue(max(1, round(share * len(values)))).values)


def _statistics(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    values = images[:, mask]
    return values.mean(1), values.std(1).clamp_min(1e-3)


@dataclass(frozen=True)
class HeadStore:
    """Numbered heads in a folder; one that is missing is made by ``draw(number)`` and kept.

    There is a new head every ``reuse`` items, and an item shows one of the last ``window``. Which one depends on
    ``seed`` and its index alone, so a run can go on anywhere. Heads that have left the window are deleted. Where heads
    are missing, ``run`` numbers in a row are made together: they share what is slow to read.
    """

    folder: Path
    draw: Callable[[int], StoredHead]
    window: int = 256
    reuse: int = 8
    run: int = 32
    seed: int = 0

    def number(self, index: int) -> int:
        """Number of the head that item ``index`` shows."""
        newest = index // self.reuse
        if index % self.reuse == 0:
            return newest
        oldest = max(0, newest - self.window + 1)
        return int(np.random.default_rng([self.seed, 5, index]).integers(oldest, newest + 1))

    def head(self, index: int) -> StoredHead:
        """The head of item ``index``."""
        number, newest = self.number(index), index // self.reuse
        found = StoredHead.read(self._path(number))
        if found is not None:
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        oldest = max(0, newest - self.window + 1)
        first = number - number % self.run
        for other in range(max(first, oldest), min(first + self.run, newest + 1)):
            if other == number or not self._path(other).exists():
                head = self.draw(other)
                write_whole(self._path(other), head.to_bytes())
                found = head if other == number else found
        self._forget(oldest)
        return found if found is not None else self.draw(number)

    def _path(self, number: int) -> Path:
        return self.folder / f"head-{number:07d}{_ENDING}"

    def _forget(self, oldest: int) -> None:
        for path in self.folder.glob(f"head-*{_ENDING}"):
            # a little longer than the window: another worker may still be at an earlier item
            if int(path.stem.removeprefix("head-")) < oldest - 16:
                path.unlink(missing_ok=True)
