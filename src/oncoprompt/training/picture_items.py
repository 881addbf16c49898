"""Batches of synthetic pictures for MedSAM compact: a target, a box such as people draw, and corrections of answers."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.medsam.frame import Frame, prompt_maps, standardise
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.prompts.corrections import middles_of_errors
from oncoprompt.synthesis.pictures import PictureWithTarget, StudySlices, random_picture
from oncoprompt.synthesis.pictures.noise import smooth_noise, warped
from oncoprompt.training.slice_loss import SliceLoss, mask_loss

_BATCHES_A_PERSON = 20
_LEAST_BOX_PX = 4.0


@dataclass(frozen=True)
class PictureBatch:
    """Standardised frames [B, 3, S, S], prompt maps [B, 4, S, S] and targets [B, 1, S, S] in 0..1."""

    images: Tensor
    prompts: Tensor
    targets: Tensor


@dataclass(frozen=True)
class PictureItemConfig:
    """How batches are drawn; shares are probabilities.

    ``study_share`` of the pictures are slices of the generator's people, the others are made up. Each picture is seen
    ``views`` times, with its own box, turn and prompts. Sides of boxes move by up to one of ``jitters`` of their
    length.
    """

    pictures: int = 8
    views: int = 2
    frame: int = 128
    study_share: float = 0.35
    jitters: tuple[float, ...] = (0.0, 0.05, 0.05, 0.1, 0.1, 0.2)
    correction_share: float = 0.25
    click_share: float = 0.1
    scribble_share: float = 0.05


class SyntheticPictures:
    """Batches as a function of (seed, index)."""

    def __init__(self, config: PictureItemConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self._slices = StudySlices(seed)

    def item(self, index: int) -> PictureBatch:
        """Batch ``index``: pictures x views frames."""
        rng = np.random.default_rng((self.seed, 1, index))
        views = []
        for _ in range(self.config.pictures):
            picture = self._picture(rng, index // _BATCHES_A_PERSON)
            views += [self._view(rng, picture) for _ in range(self.config.views)]
        images, prompts, targets = zip(*views, strict=True)
        return PictureBatch(torch.stack(images), torch.stack(prompts), torch.stack(targets))

    def _picture(self, rng: np.random.Generator, person: int) -> PictureWithTarget:
        found = self._slices.slice(person, rng) if rng.random() < self.config.study_share else None
        return random_picture(rng) if found is None else found

    def _view(self, rng: np.random.Generator, picture: PictureWithTarget) -> tuple[Tensor, Tensor, Tensor]:
        turns, flip = int(rng.integers(4)), rng.random() < 0.5
        step = -1 if flip else 1
        image, mask = np.rot90(picture.image, turns)[:, ::step], np.rot90(picture.mask, turns)[:, ::step]
        grey = image.ndim == 2
        planes = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        planes = planes.expand(3, *planes.shape) if grey else planes.permute(2, 0, 1)
        box = drawn_box(rng, mask, float(rng.choice(self.config.jitters)))
        frame = Frame.around(box, self.config.frame)
        target = frame.cut(torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))[None])
        maps = prompt_maps(SlicePrompt(box=box), frame)
        self._correct(rng, maps, target[0].numpy() > 0.5)
        return standardise(frame.cut(planes)), maps, target

    def _correct(self, rng: np.random.Generator, maps: Tensor, truth: NDArray[np.bool_]) -> None:
        """Add to a box's maps an earlier answer with clicks on its errors, clicks alone, or a scribble."""
        config, draw = self.config, rng.random()
        if draw < config.correction_share:
            answer = faulty(rng, truth)
            maps[3] = torch.from_numpy(np.where(answer, 1.0, -1.0).astype(np.float32))
            _mark(maps, error_clicks(answer, truth, int(rng.integers(0, 4))), truth)
        elif draw < config.correction_share + config.click_share:
            at = rng.integers(0, truth.shape[0], (int(rng.integers(1, 4)), 2))
            _mark(maps, at, truth)
        elif draw < config.correction_share + config.click_share + config.scribble_share:
            strokes = np.abs(smooth_noise(rng, truth.shape[0], 5)[0]) < 0.06
            if rng.random() < 0.6:
                strokes &= truth
            maps[3] = torch.from_numpy(np.where(strokes, np.where(truth, 1.0, -1.0), 0.0).astype(np.float32))


def picture_loss(model: nn.Module, batch: PictureBatch) -> SliceLoss:
    """MedSAM's loss of a batch's frames."""
    return mask_loss(model(batch.images, batch.prompts), batch.targets)


def drawn_box(rng: np.random.Generator, mask: NDArray[np.bool_], jitter: float) -> tuple[float, float, float, float]:
    """The box (x0, y0, x1, y1) of a mask, each side moved by up to ``jitter`` of its length, kept on the picture."""
    edges = mask_bounds(mask)[::-1].T.ravel().astype(np.float64)
    sides = np.tile(edges[2:] - edges[:2], 2)
    x0, y0, x1, y1 = edges + rng.uniform(-jitter, jitter, 4) * sides
    high, wide = mask.shape
    x0, y0 = max(0.0, min(x0, wide - _LEAST_BOX_PX)), max(0.0, min(y0, high - _LEAST_BOX_PX))
    return x0, y0, min(float(wide), max(x1, x0 + _LEAST_BOX_PX)), min(float(high), max(y1, y0 + _LEAST_BOX_PX))


def faulty(rng: np.random.Generator, truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A wrong answer: the target moved and bent, with a piece too many or missing."""
    side = truth.shape[0]
    answer = warped(rng, truth.astype(np.float32), rng.uniform(1, 9), int(rng.integers(2, 7))) > 0.5
    for _ in range(int(rng.integers(0, 3))):
        centre, radius = rng.uniform(0, side, 2), side * rng.uniform(0.08, 0.3)
        y, x = np.mgrid[:side, :side]
        piece = np.hypot(x - centre[0], y - centre[1]) < radius
        answer = answer | piece if rng.random() < 0.5 else answer & ~piece
    return np.asarray(answer)


def error_clicks(answer: NDArray[np.bool_], truth: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Up to ``count`` points (x, y) deep in the largest connected errors."""
    points = [(x, y) for y, x in middles_of_errors(answer, truth, count, least=4)]
    return np.array(points, dtype=np.int64).reshape(-1, 2)


def _mark(maps: Tensor, points: NDArray[np.int64], truth: NDArray[np.bool_]) -> None:
    side = truth.shape[0]
    whole = Frame(0, 0, side, side, side)
    positive = truth[points[:, 1], points[:, 0]]
    spots = prompt_maps(SlicePrompt(points=points.astype(np.float64), positive=positive), whole)
    maps[1:3] = spots[1:3]
