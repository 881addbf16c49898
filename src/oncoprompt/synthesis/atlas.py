"""What an anatomy is made of: maps of tissue, depth, dura and ventricles at 1 mm, and the ICBM152 average brain."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import edt
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.geometry import mask_bounds
from oncoprompt.synthesis.fields import BOX_MM, box_points, sample

TISSUES = ("cortical grey", "deep grey", "white", "csf")
HEAD_TISSUES = ("bone", "fat", "muscle", "eye fluid", "blood")
"""What lies round the brain; only atlases of whole heads hold these."""

# T1 (s), T2 (s) and proton density in the order of HEAD_TISSUES, by field strength in tesla. Fat, muscle and blood:
# Stanisz et al. 2005 (muscle, blood; 1.5 and 3 T) and Gold et al. 2004 (fat); vitreous humour is taken as free water
# at body temperature. Cortical bone gives no signal on these sequences (T2 under 1 ms): its density is lowered
# instead, so that rates of voxels that hold a little bone still mix linearly.
HEAD_T1 = {1.5: (0.50, 0.29, 1.01, 4.0, 1.44), 3.0: (0.60, 0.37, 1.41, 4.2, 1.93)}
HEAD_T2 = {1.5: (0.040, 0.165, 0.044, 1.2, 0.29), 3.0: (0.035, 0.133, 0.050, 1.1, 0.275)}
HEAD_DENSITY = (0.08, 0.90, 0.75, 1.0, 0.85)

_FIXED = len(TISSUES) + 3
_DEEP_MM = 21.5
_ICBM_LARGER = 1.095
"""ICBM152's brain has 1.9 l, people's about 1.2 to 1.6 l."""


@dataclass(frozen=True)
class Place:
    """What an atlas holds at points of any shape ``[...]``.

    ``tissues`` ``[4 (+ E), ...]`` are shares in 0..1 (TISSUES, then HEAD_TISSUES), air is what they leave; ``depth_mm``
    is the depth below the brain's edge, negative outside; ``falx_mm`` the distance to the dura between the hemispheres
    (and over the cerebellum where labels tell it apart); ``ventricle`` the share of ventricle.
    """

    tissues: Tensor
    depth_mm: Tensor
    falx_mm: Tensor
    ventricle: Tensor


@dataclass(frozen=True, eq=False)
class Atlas:
    """Maps of one head at 1 mm on the head box, ``[7 + E, K, J, I]``, in one tensor so that they are read in one go.

    The order is the four TISSUES, depth (mm), falx (mm), ventricle, then HEAD_TISSUES (E is 0 for an atlas of the brain
    alone). ``identity`` is a digest of what the maps were made from, ``larger`` how much longer than people's it is
    along each axis.
    """

    name: str
    identity: str
    maps: Tensor
    larger: float = 1.0

    @classmethod
    def of_maps(
        cls,
        name: str,
        tissues: Sequence[NDArray[np.float32]],
        depth_mm: NDArray[np.float32],
        falx_mm: NDArray[np.float32],
        ventricle: NDArray[np.float32],
        device: torch.device,
    ) -> Atlas:
        """An atlas of maps ``[K, J, I]``: shares of the four TISSUES and, for a whole head, of HEAD_TISSUES."""
        n = len(TISSUES)
        maps = np.empty((_FIXED + len(tissues) - n, *depth_mm.shape), np.float32)
        for row, values in zip(maps, (*tissues[:n], depth_mm, falx_mm, ventricle, *tissues[n:]), strict=True):
            row[...] = values
        # what is read beyond the box repeats its outermost voxels: they are air there, at the depth they have
        for axis in (1, 2, 3):
            walls = np.moveaxis(maps, axis, 0)[[0, -1]]
            walls[:, :n] = 0.0
            walls[:, _FIXED - 1 :] = 0.0
            np.moveaxis(maps, axis, 0)[[0, -1]] = walls
        identity = hashlib.sha256(maps[:n, ::2, ::2, ::2].tobytes()).hexdigest()[:16]
        return cls(name, identity, torch.from_numpy(maps).to(device))

    def at(self, atlas_mm: Tensor, head: bool = True) -> Place:
        """Maps at points ``[..., 3]`` in mm (R, A, S); without ``head`` only the four tissues of the brain are read."""
        shape = atlas_mm.shape[:-1]
        maps = self.maps if head else self.maps[:_FIXED]
        values = sample(maps, atlas_mm.reshape(1, 1, -1, 3)).view(maps.shape[0], *shape)
        n = len(TISSUES)
        tissues = torch.cat([values[:n], values[_FIXED:]]) if maps.shape[0] > _FIXED else values[:n]
        return Place(tissues, values[n], values[n + 1], values[n + 2])

    @cached_property
    def coarse(self) -> Atlas:
        """The same atlas at 2 mm, for what looks at whole heads on coarse grids: it fits the cache of a processor."""
        return replace(self, maps=F.avg_pool3d(self.maps[None], 2)[0])

    @property
    def has_head(self) -> bool:
        """Whether there is skull, scalp and face round the brain."""
        return self.maps.shape[0] > _FIXED

    @property
    def tissues(self) -> Tensor:
        """Shares ``[4, K, J, I]`` of TISSUES."""
        return self.maps[: len(TISSUES)]

    @property
    def depth_mm(self) -> Tensor:
        """Depth below the brain's edge ``[1, K, J, I]``, negative outside."""
        return self.maps[len(TISSUES)][None]

    @cached_property
    def ventricle_centre_mm(self) -> Tensor:
        """Centre of mass of the ventricles ``[3]``."""
        weight = self.maps[_FIXED - 1]
        points = box_points(1.0, weight.device)
        return (points * weight[..., None]).sum((0, 1, 2)) / weight.sum().clamp_min(1e-6)


@lru_cache(maxsize=2)
def icbm152(device: torch.device) -> Atlas:
    """ICBM152 2009a as nilearn brings it: grey and white matter of an average brain; deep grey is told by its depth."""
    from nilearn import datasets

    images = [
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
    ]
    # copies: nilearn caches what it loads, and an edit in place would poison later calls
    grey, white, mask = (_on_box(np.array(image.get_fdata(dtype=np.float32))) for image in images)
    inside = mask > 0.5
    total = np.maximum(grey + white, 1.0)
    grey, white = grey * inside / total, white * inside / total
    depth = depth_of(inside)
    deep = grey * (depth > _DEEP_MM)
    csf = np.clip(inside - grey - white, 0.0, 1.0).astype(np.float32)
    sheet = _icbm_falx(inside & (white + deep < 0.3))
    ventricle = csf * (depth > _DEEP_MM)
    tissues = (grey - deep, deep, white, csf)
    made = Atlas.of_maps("icbm152", tissues, depth, distance_to(sheet), ventricle, device)
    return replace(made, larger=_ICBM_LARGER)


def _icbm_falx(apart: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of voxels that are neither white nor deep grey, those between the hemispheres, above and round the callosum."""
    x, y, z = box_points(1.0, torch.device("cpu")).unbind(-1)
    above = (z > 22) | ((y > 27) & (z > -25)) | ((y < -27) & (z > 0.45 * (y + 27) - 6))
    # nilearn's templates have their middle half a voxel right of the box's
    sheet: NDArray[np.bool_] = apart & (((x - 0.5).abs() <= 1) & above).numpy()
    return sheet


def depth_of(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Signed distance (mm, 1 mm voxels) to the edge of a mask, positive inside; the edge is between voxels."""
    within, without = edt.edt(inside.astype(np.uint8)), edt.edt((~inside).astype(np.uint8))
    depth: NDArray[np.float32] = np.where(inside, within - 0.5, 0.5 - without).astype(np.float32)
    return depth


def distance_to(mask: NDArray[np.bool_], reach_mm: int = 1000) -> NDArray[np.float32]:
    """Distance (mm, 1 mm voxels) to the nearest voxel of a mask, 0 on it; values above ``reach_mm`` are not exact."""
    distance = np.full(mask.shape, reach_mm + 1.0, np.float32)
    if mask.any():
        near = tuple(slice(max(0, low - reach_mm), high + reach_mm) for low, high in mask_bounds(mask))
        distance[near] = edt.edt((~mask[near]).astype(np.uint8))
    return distance


def _on_box(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre the brain of an (I, J, K) template on the head box at 1 mm, as (K, J, I)."""
    shape = tuple(int(extent) for extent in BOX_MM)
    out = np.zeros(shape, np.float32)
    # middle of the brain's bounding box in nilearn's 197 x 233 x 189 files
    centre = (98, 116, 76)
    source, target = [], []
    for axis in range(3):
        start = centre[axis] - shape[axis] // 2
        low, high = max(0, start), min(volume.shape[axis], start + shape[axis])
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    out[tuple(target)] = volume[tuple(source)]
    return np.ascontiguousarray(out.transpose(2, 1, 0))
