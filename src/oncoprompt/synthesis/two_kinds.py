"""People with tumours of two kinds, for models that are asked in words for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.synthesis.anatomy import LOW_SPACING_MM
from oncoprompt.synthesis.atlas import Atlas
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.lattice import Lattice
from oncoprompt.synthesis.lesion import FAMILIES, Lesion, labels_of
from oncoprompt.synthesis.relaxometry import CHANNELS
from oncoprompt.synthesis.subject import Picture, Subject
from oncoprompt.synthesis.tumours import Site, build_lesion
from oncoprompt.synthesis.view import LESION_REACH_MM

KINDS = {
    "high-grade glioma": "glioma",
    "low-grade glioma": "glioma",
    "post-treatment glioma": "glioma",
    "metastases": "brain metastasis",
    "meningioma": "meningioma",
}
"""What people call the tumours of each of lesion.FAMILIES."""

_APART_MM = 2.0
_BLEND_MM = 3.0


@dataclass(frozen=True)
class TwoKinds:
    """A synthetic person and, in the same head, a lesion of a second kind, which pushes nothing.

    ``second`` is the same person with that lesion alone.
    """

    first: Subject
    second: Subject

    @staticmethod
    def random(seed: int, families: Sequence[str], atlas: Atlas | None = None, whole_head: bool = False) -> TwoKinds:
        """Draw a person with lesions of two of lesion.FAMILIES; the same arguments give the same person.

        ``atlas`` and ``whole_head`` are those of `Subject.random`.

        The second keeps clear of the first, and may be small or missing where there is little room. Raises InputError
        for families that are not known, healthy or of one kind.
        """
        kinds = [KINDS.get(family) for family in families]
        if len(kinds) != 2 or None in kinds or kinds[0] == kinds[1]:
            raise InputError(
                f"Two families of different kinds of tumour are needed, of {', '.join(FAMILIES[:-1])}. "
                f"Found: {', '.join(families) or 'none'}."
            )
        first = Subject.random(seed, families[0], atlas=atlas, whole_head=whole_head)
        rng = np.random.default_rng([seed, 2])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        low = Lattice.of_points(box_points(LOW_SPACING_MM, generator.device))
        atlas_mm = low.spread(first.anatomy.atlas_points).movedim(0, -1)
        place = first.anatomy.place_on(low)
        site = Site(place.tissues, place.depth_mm, rng, generator, atlas_mm, place.falx_mm)
        lesion = _clear_of(build_lesion(families[1], site), first.lesion)
        appearance = replace(first.appearance, lesion=lesion.tissue)
        return TwoKinds(first, replace(first, family=families[1], lesion=lesion, appearance=appearance))

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of a picture."""
        return CHANNELS

    @cached_property
    def kinds(self) -> tuple[str, str]:
        """What people call the first and the second tumour."""
        return KINDS[self.first.family], KINDS[self.second.family]

    def label_maps(self) -> dict[str, Tensor]:
        """Labels ``[K, J, I]`` (case.SCHEMA) of each kind at 2 mm."""
        return {kind: labels_of(p.lesion.levels) for kind, p in zip(self.kinds, (self.first, self.second), strict=True)}

    def picture(
        self, points_mm: Tensor, spacing_mm: Sequence[float], seed: int = 0
    ) -> tuple[Picture, dict[str, Tensor]]:
        """Image the person as `Subject.picture` does; the labels of both kinds, and those of each."""
        lattice = Lattice.of_points(points_mm)
        signals, labels, mask = self.first.noise_free(lattice)
        other, other_labels, _ = self.second.noise_free(lattice)
        level = lattice.spread(self.second.lesion.levels.amax(0, keepdim=True))[0]
        share = ((level + _BLEND_MM) / _BLEND_MM).clamp(0.0, 1.0)
        signals = torch.lerp(signals, other, share)
        other_labels[labels > 0] = 0
        each = dict(zip(self.kinds, (labels, other_labels), strict=True))
        images = self.first.acquired(signals, mask, spacing_mm, seed)
        return Picture(images, labels + other_labels, mask), each


def _clear_of(lesion: Lesion, other: Lesion) -> Lesion:
    """A lesion without what lies in or close to another one."""
    room = -other.levels.amax(0) - _APART_MM
    return replace(lesion, levels=torch.minimum(lesion.levels, room.clamp_max(LESION_REACH_MM * 10)[None]))
