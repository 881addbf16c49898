"""Stripping: every error of a skull strip takes or leaves what it says, and the brain is there otherwise."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor

from oncoprompt.synthesis.fields import random_field
from oncoprompt.synthesis.stripping import Stripping

N = 80
RADIUS = 60.0


def ball_depth_mm() -> Tensor:
    """Depth below the surface of a ball of 60 mm, on a grid of 2 mm."""
    x = (torch.arange(N) - (N - 1) / 2) * 2.0
    k, j, i = torch.meshgrid(x, x, x, indexing="ij")
    return RADIUS - torch.sqrt(k**2 + j**2 + i**2)


DEPTH = ball_depth_mm()


class Fields:
    """Smooth noise by name, and which names were asked for."""

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.asked = seed, set[str]()

    def __call__(self, name: str, knot_mm: float) -> Tensor:
        self.asked.add(name)
        generator = torch.Generator().manual_seed(self.seed + sum(map(ord, name)))
        return 1.4 * random_field(knot_mm, (2.0 * N,) * 3, (N,) * 3, generator)[0]


def test_a_perfect_strip_leaves_the_brain_and_asks_for_no_noise() -> None:
    fields = Fields()
    assert torch.equal(Stripping().apply(DEPTH, fields), DEPTH > 0)
    assert not fields.asked


@pytest.mark.parametrize("shift", [-2.0, 1.5])
def test_a_shift_erodes_or_dilates_by_its_length(shift: float) -> None:
    mask = Stripping(shift_mm=shift).apply(DEPTH, Fields())
    assert float(DEPTH[mask].min()) > shift
    assert float(DEPTH[~mask].max()) <= shift


def test_a_rough_edge_wanders_by_its_length_and_spares_the_inside() -> None:
    changed = Stripping(rough_mm=1.0).apply(DEPTH, Fields()) ^ (DEPTH > 0)
    assert bool(changed.any())
    assert float(DEPTH[changed].abs().max()) < 6.0
    assert float((DEPTH[changed].abs() < 2.0).float().mean()) > 0.9


def test_bites_are_local_and_take_no_more_cortex_than_they_say() -> None:
    lost = (DEPTH > 0) & ~Stripping(bite_mm=6.0).apply(DEPTH, Fields())
    shell = (DEPTH > 0) & (DEPTH < 2)
    assert 0.005 < float((lost & shell).sum() / shell.sum()) < 0.25
    assert float(DEPTH[lost].max()) <= 6.0
    assert float(DEPTH[lost].max()) > 3.0


def test_leftovers_are_patches_of_a_shell_outside_the_brain() -> None:
    stripping = Stripping(leftover_mm=2.5, leftover_gap_mm=1.0)
    extra = stripping.apply(DEPTH, Fields()) & (DEPTH <= 0)
    assert torch.equal(extra, stripping.leftovers(DEPTH, Fields()))
    assert float(DEPTH[extra].max()) < -1.0
    assert float(DEPTH[extra].min()) > -3.5
    shell = (DEPTH < -1.0) & (DEPTH > -3.5)
    assert 0.05 < float(extra.sum() / shell.sum()) < 0.5


def test_without_leftovers_there_are_none() -> None:
    assert not bool(Stripping(shift_mm=-2.0).leftovers(DEPTH, Fields()).any())


@pytest.mark.parametrize("clips", [False, True])
def test_a_tumour_that_reaches_outside_is_kept_whole_or_clipped_at_the_edge(clips: bool) -> None:
    x = (torch.arange(N) - (N - 1) / 2) * 2.0
    tumour = 12.0 - torch.sqrt((x[:, None, None] - RADIUS) ** 2 + x[None, :, None] ** 2 + x[None, None, :] ** 2)
    mask = Stripping(shift_mm=0.5, clips_tumour=clips).apply(DEPTH, Fields(), tumour)
    outside = (tumour > 0) & (DEPTH <= 0.5)
    assert bool(outside.any())
    assert bool(mask[outside].any()) is not clips
    assert torch.equal(mask | outside, (DEPTH > 0.5) | (tumour > 0))


def test_it_works_on_any_list_of_points() -> None:
    stripping = Stripping(shift_mm=0.3, rough_mm=1.0, bite_mm=4.0, leftover_mm=2.0)
    fields, chosen = Fields(), (DEPTH > -4).view(-1).nonzero()[:, 0]
    flat = stripping.apply(DEPTH.view(-1)[chosen], lambda name, knot: fields(name, knot).view(-1)[chosen])
    assert torch.equal(flat, stripping.apply(DEPTH, fields).view(-1)[chosen])


def test_drawn_errors_are_data_within_their_ranges_and_follow_their_seed() -> None:
    drawn = [Stripping.random(np.random.default_rng(seed)) for seed in range(400)]
    assert drawn[3] == Stripping.random(np.random.default_rng(3))
    assert json.loads(json.dumps(asdict(drawn[3])))["shift_mm"] == drawn[3].shift_mm
    assert all(-2 <= s.shift_mm <= 2 and 0 <= s.rough_mm <= 2 and s.bite_mm <= 6 and s.leftover_mm <= 3 for s in drawn)
    shares = [np.mean([s.bite_mm > 0 for s in drawn]), np.mean([s.leftover_mm > 0 for s in drawn])]
    assert [*shares, np.mean([s.clips_tumour for s in drawn])] == pytest.approx([0.2, 0.3, 0.3], abs=0.07)
    assert all(len(s.leftover_signal) == 4 for s in drawn)


@pytest.mark.parametrize("seed", range(6))
def test_most_of_the_brain_survives_every_draw(seed: int) -> None:
    mask = Stripping.random(np.random.default_rng(seed)).apply(DEPTH, Fields(seed))
    assert float((mask & (DEPTH > 0)).sum() / (DEPTH > 0).sum()) > 0.85
    assert bool(mask[DEPTH > 14].all())
