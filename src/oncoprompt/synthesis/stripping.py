"""What skull stripping leaves of a head, with its errors: pointwise functions of depth and smooth noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

Noise = Callable[[str, float], Tensor]
"""Gives the values of a named smooth field of about unit variance for a knot distance in mm."""

_EDGE_KNOT_MM = 8.0
_BITE_KNOT_MM = 20.0
_BITE_LEVEL = 1.6
_LEFTOVER_KNOT_MM = 14.0
_LEFTOVER_LEVEL = 0.9


@dataclass(frozen=True)
class Stripping:
    """The errors of one skull strip; lengths in mm, 0 where an error is absent.

    The edge lies ``shift_mm`` deeper than the brain's (negative: outside) and wanders by ``rough_mm``; bites take up to
    ``bite_mm`` of cortex; patches of a shell ``leftover_mm`` thick, ``leftover_gap_mm`` outside the brain, stay. Their
    signal is ``leftover_signal`` of the brightest tissue, one for each channel. ``clips_tumour`` cuts a tumour where
    the mask ends instead of keeping it whole.
    """

    shift_mm: float = 0.0
    rough_mm: float = 0.0
    bite_mm: float = 0.0
    leftover_mm: float = 0.0
    leftover_gap_mm: float = 0.0
    leftover_signal: tuple[float, ...] = ()
    clips_tumour: bool = False

    @staticmethod
    def random(rng: np.random.Generator, channels: int = 4) -> Stripping:
        """Edges within 2 mm, mostly smooth; bites in a fifth of studies, leftovers and clipped tumours in a third."""
        bites, leaves, clips = rng.random(3) < (0.2, 0.3, 0.3)
        return Stripping(
            shift_mm=float(np.clip(rng.normal(-0.2, 0.9), -2, 2)),
            rough_mm=2.0 * rng.uniform() ** 2,
            bite_mm=rng.uniform(2, 6) if bites else 0.0,
            leftover_mm=rng.uniform(1, 3) if leaves else 0.0,
            leftover_gap_mm=rng.uniform(0, 2),
            leftover_signal=tuple(float(v) for v in rng.uniform(0.1, 1.0, channels)),
            clips_tumour=bool(clips),
        )

    def apply(self, depth_mm: Tensor, noise: Noise, tumour_mm: Tensor | None = None) -> Tensor:
        """Mask bool of the points that stay, of the shape of ``depth_mm`` (below the brain's edge, negative outside).

        ``depth > shift + rough * noise + bites``, leftovers, and where ``tumour_mm`` (signed distance, positive inside)
        is above 0, unless the tumour is clipped. Labels have to be cleared outside the mask.
        """
        mask = depth_mm > self._edge(noise)
        if self.leftover_mm > 0:
            mask |= self.leftovers(depth_mm, noise)
        if tumour_mm is not None and not self.clips_tumour:
            mask |= tumour_mm > 0
        return mask

    def leftovers(self, depth_mm: Tensor, noise: Noise) -> Tensor:
        """Where scalp, eye or dura stays, bool: patches of a shell round the brain, to be painted before masking."""
        if self.leftover_mm == 0:
            return depth_mm.new_zeros(depth_mm.shape).bool()
        outer = -self.leftover_gap_mm - self.leftover_mm
        shell = (depth_mm < -self.leftover_gap_mm) & (depth_mm > outer)
        return shell & (noise("strip leftovers", _LEFTOVER_KNOT_MM) > _LEFTOVER_LEVEL)

    def _edge(self, noise: Noise) -> Tensor | float:
        edge: Tensor | float = self.shift_mm
        if self.rough_mm > 0:
            edge = edge + self.rough_mm * noise("strip edge", _EDGE_KNOT_MM)
        if self.bite_mm > 0:
            edge = edge + self.bite_mm * (2.0 * (noise("strip bites", _BITE_KNOT_MM) - _BITE_LEVEL)).clamp(0, 1)
        return edge
