"""Mixed cases: exact at the corners, without folds between them, labels carried along."""

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch

from mixing.heads import CPU, LESION_MM, ball, ball_case, determinant, random_field
from oncoprompt.errors import InputError
from oncoprompt.mixing.mix import Mixture, combined_displacement, mix, mixed_displacement, warp, without_folds
from oncoprompt.synthesis.fields import box_points, box_shape, sample

FIELDS = [random_field(seed) for seed in (1, 2, 3)]
OUTSIDE = [(1.5, -0.5), (1.5, 1.5), (2.0, -1.0), (2.5, 2.5)]


@pytest.fixture(scope="module")
def case():
    return ball_case()


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("log_domain", [False, True])
def test_all_weight_on_one_partner_gives_its_pair_exactly(index, log_domain):
    weights = [float(index == k) for k in range(3)]
    found = mixed_displacement(FIELDS, weights, log_domain=log_domain)
    assert torch.equal(found, FIELDS[index].displacement())


def test_mixes_in_the_simplex_do_not_fold():
    rng = np.random.default_rng(0)
    for _ in range(12):
        mixture = Mixture.random("a", ["b1", "b2", "b3"], rng)
        fields = [FIELDS[int(name[1]) - 1] for name in mixture.partners]
        displacement = combined_displacement(fields, mixture.weights, mixture.time)
        assert float(determinant(displacement).min()) > 0.1
        assert without_folds(displacement) is displacement


def test_outside_the_simplex_the_linear_mix_folds_and_the_log_domain_does_not():
    pair = [random_field(1, 7.0), random_field(2, 7.0)]
    folds = {
        log_domain: [
            float((determinant(combined_displacement(pair, w, 1.0, log_domain)) <= 0).float().mean()) for w in OUTSIDE
        ]
        for log_domain in (False, True)
    }
    assert all(linear >= log for linear, log in zip(folds[False], folds[True], strict=True))
    assert folds[False][-1] > 0.05
    assert folds[False][-2] > 0
    assert max(folds[True]) < 0.001


@pytest.mark.parametrize(
    ("weights", "time", "log_domain"),
    [((0.4, 0.6), 0.7, False), ((1.5, -0.5), 0.7, True), ((0.9, 0.9), 0.7, True), ((0.4, 0.6), 1.3, True),
     ((0.4, 0.6), -0.3, True)],
)  # fmt: skip
def test_the_log_domain_is_taken_where_a_mix_extrapolates(weights, time, log_domain):
    found = mixed_displacement(FIELDS[:2], weights, time)
    assert torch.equal(found, mixed_displacement(FIELDS[:2], weights, time, log_domain))
    assert not torch.equal(found, mixed_displacement(FIELDS[:2], weights, time, not log_domain))


def test_the_guard_shrinks_what_folds_until_it_does_not():
    folded = FIELDS[0].displacement() * 2.2
    assert float(determinant(folded).min()) < 0.1
    guarded = without_folds(folded)
    assert float(determinant(guarded).min()) >= 0.1
    ratio = float(guarded.norm() / folded.norm())
    assert min(abs(ratio - 0.8**n) for n in range(1, 6)) < 1e-4
    hopeless = FIELDS[0].displacement() * 50
    assert float(without_folds(hopeless).norm() / hopeless.norm()) == pytest.approx(0.8**5, rel=1e-4)


def test_no_displacement_changes_nothing(case):
    still = warp(case, torch.zeros(3, *box_shape(8.0)))
    assert torch.equal(still.labels, case.labels)
    assert torch.equal(still.brain, case.brain)
    torch.testing.assert_close(still.images, case.images, atol=0.05, rtol=0)


def test_a_shift_moves_image_labels_and_brain_by_as_much(case):
    shift = torch.zeros(3, *box_shape(8.0))
    shift[0] = 3.0
    moved = warp(case, shift)
    assert torch.equal(moved.labels[:, :, 10:150], case.labels[:, :, 13:153])
    assert torch.equal(moved.brain[:, :, 10:150], case.brain[:, :, 13:153])
    torch.testing.assert_close(moved.images[..., 10:150], case.images[..., 13:153], atol=0.05, rtol=0)


def test_a_mix_carries_only_the_labels_of_its_anchor_and_their_volume_follows_the_determinant(case):
    mixed = mix(case, FIELDS[:2], (0.4, 0.6), 0.8)
    assert sorted(mixed.labels.unique().tolist()) == [0, 2, 3]
    assert not bool((mixed.labels[~mixed.brain] > 0).any())
    assert not bool(mixed.images[:, ~mixed.brain].any())
    assert mixed.channels == case.channels
    # What the map pulls from the ball: the integral of one over the determinant, on the target's side.
    displacement = mixed_displacement(FIELDS[:2], (0.4, 0.6), 0.8)
    points = box_points(2.0, CPU)
    where = points + sample(displacement, points).permute(1, 2, 3, 0)
    pulled = ball(where, LESION_MM, 18.0).float().mean() * (160 * 192 * 160)
    assert float((mixed.labels > 0).sum()) == pytest.approx(float(pulled), rel=0.02)
    inside = ball(where, LESION_MM, 18.0)
    determinants = sample(determinant(displacement)[None], points)[0]
    assert float(determinants[inside].sum() * 8) == pytest.approx(float((case.labels > 0).sum()), rel=0.02)


def test_the_same_mixture_gives_the_same_bytes_and_a_case_without_lesion_stays_without(case):
    first, second = (
        mix(replace(case, labels=torch.zeros_like(case.labels)), FIELDS[:1], (1.0,), 0.6) for _ in range(2)
    )
    assert first.images.numpy().tobytes() == second.images.numpy().tobytes()
    assert not bool(first.labels.any())


def test_random_mixtures_keep_to_their_ranges_and_to_their_seed():
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    drawn = [Mixture.random("a", [f"b{k}" for k in range(5)], rng) for _ in range(100)]
    assert {len(mixture.partners) for mixture in drawn} == {1, 2, 3}
    for mixture in drawn:
        assert len(set(mixture.partners)) == len(mixture.partners) == len(mixture.weights)
        assert sum(mixture.weights) == pytest.approx(1.0)
        assert min(mixture.weights) >= 0
        assert 0.2 <= mixture.time <= 1.0
    assert astuple(drawn[0]) == astuple(Mixture.random("a", [f"b{k}" for k in range(5)], again))
    assert len(Mixture.random("a", ["b"], rng).partners) == 1


def test_wrong_mixes_are_refused(case):
    with pytest.raises(InputError, match="one weight for each field"):
        mixed_displacement(FIELDS, (0.5, 0.5))
    with pytest.raises(InputError, match="finite"):
        mixed_displacement(FIELDS[:1], (float("nan"),))
    with pytest.raises(InputError, match="cannot move case"):
        mix(case, [replace(FIELDS[0], source="other")], (1.0,))
    with pytest.raises(InputError, match="no partner"):
        Mixture.random("a", [], np.random.default_rng(0))
