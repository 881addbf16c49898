"""Healthy anatomy: the ICBM152 tissue maps that come with nilearn, and random warps of them."""

from dataclasses import dataclass
from functools import lru_cache

import edt
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.synthesis.fields import BOX_MM, box_field, box_points, exponential, sample

TISSUES = ("cortical grey", "deep grey", "white", "csf")
MAP_SPACING_MM = 4.0
LOW_SPACING_MM = 2.0


@dataclass(frozen=True)
class Atlas:
    """Tissue probabilities ``[4, K, J, I]`` in the order of TISSUES and depth below the brain's edge (mm)."""

    tissues: Tensor
    depth_mm: Tensor


@lru_cache(maxsize=2)
def load_atlas(device: torch.device) -> Atlas:
    """ICBM152 2009a at 1 mm on the head box; deep grey and ventricles are told from cortex and sulci by their depth."""
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
    grey, white = grey / total, white / total
    depth = edt.edt(inside.astype(np.uint8)) - edt.edt((~inside).astype(np.uint8))
    deep = grey * (depth > 22.0)
    csf = np.clip(inside - grey - white, 0.0, 1.0)
    tissues = torch.from_numpy(np.stack([grey - deep, deep, white, csf])).to(device)
    return Atlas(tissues=tissues, depth_mm=torch.from_numpy(depth.astype(np.float32))[None].to(device))


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


@dataclass(frozen=True)
class Anatomy:
    """A person: where in the atlas each point of the head box comes from, ``[3, K, J, I]`` mm on a 4 mm grid."""

    atlas: Atlas
    atlas_points: Tensor

    def tissue(self, points_mm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tissue probabilities ``[4, k, j, i]``, depth below the brain's edge and atlas position ``[k, j, i, 3]``."""
        where = sample(self.atlas_points, points_mm).permute(1, 2, 3, 0)
        tissues = sample(self.atlas.tissues, where, padding="zeros")
        return tissues, sample(self.atlas.depth_mm, where)[0], where

    def displaced(self, displacement_mm: Tensor) -> "Anatomy":
        """The same person after tissue moved by ``displacement_mm`` ``[3, K, J, I]`` (small-strain inverse: -u)."""
        points = box_points(MAP_SPACING_MM, displacement_mm.device)
        moved = sample(self.atlas_points, points - displacement_mm.permute(1, 2, 3, 0))
        return Anatomy(self.atlas, moved)


def random_anatomy(rng: np.random.Generator, generator: torch.Generator) -> Anatomy:
    """A random person: affine (10 degrees, 0.9 to 1.1, flip) after a diffeomorphism with 32 and 16 mm knots."""
    device = generator.device
    atlas = load_atlas(device)
    velocity = box_field(32.0, MAP_SPACING_MM, generator, 3) * (MAP_SPACING_MM * rng.uniform(0.3, 1.2))
    velocity += box_field(16.0, MAP_SPACING_MM, generator, 3) * (MAP_SPACING_MM * rng.uniform(0.1, 0.5))
    points = box_points(MAP_SPACING_MM, device)
    # wider or narrower ventricles: a radial flow about the middle of the head
    radius = points.norm(dim=-1)
    radial = rng.uniform(-0.15, 0.15) * torch.exp(-((radius / 35.0) ** 2))
    velocity += radial * points.permute(3, 0, 1, 2)
    warped = points.permute(3, 0, 1, 2) + exponential(velocity, points)
    matrix = torch.from_numpy(_random_affine(rng)).to(device)
    return Anatomy(atlas, torch.einsum("ab,bkji->akji", matrix, warped))


def _random_affine(rng: np.random.Generator) -> NDArray[np.float32]:
    a, b, c = np.deg2rad(rng.uniform(-10, 10, 3))
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    scale = rng.uniform(0.9, 1.12, 3)
    scale[0] *= rng.choice([-1.0, 1.0])
    matrix: NDArray[np.float32] = (turn_x @ turn_y @ turn_z @ np.diag(scale)).astype(np.float32)
    return matrix
