"""Slices of the generator's own people with one target each: tumours of heads, organs and lesions of abdomens."""

from functools import lru_cache

import cc3d
import numpy as np
from numpy.typing import NDArray

from oncoprompt.synthesis.case import as_volume
from oncoprompt.synthesis.ct import ORGANS, WINDOWS, AbdomenSubject
from oncoprompt.synthesis.ct.sketch import REGIONS as STRUCTURES
from oncoprompt.synthesis.generate import case_of
from oncoprompt.synthesis.lesion import FAMILIES
from oncoprompt.synthesis.pictures.looks import as_stored
from oncoprompt.synthesis.pictures.picture import PictureWithTarget
from oncoprompt.synthesis.subject import Subject

ABDOMEN_SHARE = 0.45
LEAST_PIXELS = 40

_ABDOMEN_MM = 2.0
_REGIONS = ((1, 2, 3), (1, 3), (3,))
"""Labels of WT, TC and ET in the generator's schema."""
_NO_TARGET = frozenset({"air", "table", "skin", "fat", "muscle", "gas", "bowel content", "vein", "artery"})
_TRIES = 40


class StudySlices:
    """Slices as a function of a person's number and a generator; the last person is kept.

    A person is a head with a tumour of any family or an abdomen, drawn from (seed, person).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def slice(self, person: int, rng: np.random.Generator) -> PictureWithTarget | None:
        """One slice along a random axis in which a random target has LEAST_PIXELS; None where none was found."""
        images, targets = _person(self._seed, person)
        for _ in range(_TRIES):
            image, target = images[rng.integers(len(images))], targets[rng.integers(len(targets))]
            axis = int(rng.choice(3, p=(0.2, 0.2, 0.6)))
            seen = np.flatnonzero(target.sum(axis=tuple(a for a in range(3) if a != axis)) >= LEAST_PIXELS)
            if not seen.size:
                continue
            index = int(rng.choice(seen))
            mask = np.take(target, index, axis).T[::-1]
            if rng.random() < 0.8:
                mask = _one_part(rng, mask)
            if np.count_nonzero(mask) >= LEAST_PIXELS:
                plane = np.take(image, index, axis).T[::-1].astype(np.float32)
                return PictureWithTarget(as_stored(rng, _shown(rng, plane)), np.ascontiguousarray(mask))
        return None


@lru_cache(maxsize=1)
def _person(seed: int, person: int) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]:
    """Images and targets (I, J, K) of a person."""
    rng = np.random.default_rng((seed, person))
    drawn = int(rng.integers(2**31))
    if rng.random() < ABDOMEN_SHARE:
        subject = AbdomenSubject.random(drawn, ORGANS[rng.integers(len(ORGANS))])
        picture = subject.picture(subject.whole(_ABDOMEN_MM))
        hu, structures = as_volume(picture.hu), as_volume(picture.regions)
        names = [n for n, name in enumerate(STRUCTURES) if name not in _NO_TARGET]
        found = [structures == n for n in names]
        return [hu.astype(np.float32)], [mask for mask in found if np.count_nonzero(mask) >= LEAST_PIXELS]
    families = [family for family in FAMILIES if family != "healthy"]
    case = case_of(Subject.random(drawn, families[rng.integers(len(families))]), "person")
    labels = as_volume(case.labels)
    images = [as_volume(channel).astype(np.float32) for channel in case.images]
    return images, [np.isin(labels, region) for region in _REGIONS]


def _one_part(rng: np.random.Generator, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One connected part, the larger the likelier."""
    parts, count = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=8, return_N=True)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())[1:].astype(np.float64)
    return np.asarray(parts == 1 + rng.choice(count, p=sizes / sizes.sum()))


def _shown(rng: np.random.Generator, plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """HU in a window by chance; a plane of a head as it is."""
    if plane.min() > -500.0:
        return plane
    window = list(WINDOWS.values())[rng.integers(len(WINDOWS))]
    width = window.width * rng.uniform(0.7, 1.8)
    low = window.level + rng.normal(0, 40) - width / 2
    return np.asarray(np.clip(plane, low, low + width), dtype=np.float32)
