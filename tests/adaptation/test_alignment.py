"""CORAL aligns covariances; prototypes draw real features to the class they belong to."""

import pytest
import torch
from torch import nn

from oncoprompt.adaptation.alignment import ClassPrototypes, coral, feature_rows
from oncoprompt.errors import InputError


def test_coral_of_a_set_with_itself_is_zero():
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert float(coral(x, x)) == 0
    assert float(coral(x, x + 3.0)) == pytest.approx(0, abs=1e-9)


def test_coral_is_the_distance_of_covariances_over_four_c_squared():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(40, 3, generator=generator), 2 * torch.randn(30, 3, generator=generator)
    expected = (torch.cov(x.T) - torch.cov(y.T)).square().sum() / 36
    assert float(coral(x, y)) == pytest.approx(float(expected), rel=1e-5)


def test_minimising_coral_gives_real_features_the_covariance_of_the_synthetic_ones():
    generator = torch.Generator().manual_seed(2)
    mixing = torch.randn(5, 5, generator=generator)
    synthetic = torch.randn(400, 5, generator=generator)
    real = torch.randn(400, 5, generator=generator) @ mixing + 4.0
    layer = nn.Linear(5, 5)
    optimiser = torch.optim.Adam(layer.parameters(), 0.02)
    before = float((torch.cov(real.T) - torch.cov(synthetic.T)).norm())
    for _ in range(400):
        optimiser.zero_grad()
        coral(synthetic, layer(real)).backward()
        optimiser.step()
    after = float((torch.cov(layer(real).detach().T) - torch.cov(synthetic.T)).norm())
    assert after < 0.05 * before


@pytest.mark.parametrize(("n", "m"), [((5, 3), (5, 4)), ((1, 3), (5, 3))])
def test_sets_that_have_no_comparable_covariance_are_refused(n, m):
    with pytest.raises(InputError, match="two rows of one width"):
        coral(torch.zeros(n), torch.zeros(m))


def test_rows_are_positions():
    features = torch.arange(24.0).view(1, 3, 2, 2, 2)
    assert feature_rows(features).shape == (8, 3)
    assert feature_rows(features)[5].tolist() == features[0, :, 1, 0, 1].tolist()


def test_prototypes_are_moving_averages_of_the_class_means():
    prototypes = ClassPrototypes(3, 2, momentum=0.9)
    prototypes.update(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0, 2]))
    assert prototypes.centres.tolist() == [[2, 0], [0, 0], [0, 5]]
    assert prototypes.seen.tolist() == [True, False, True]
    prototypes.update(torch.tensor([[12.0, 0.0]]), torch.tensor([0]))
    assert prototypes.centres[0].tolist() == pytest.approx([0.9 * 2 + 0.1 * 12, 0])


def test_confident_real_features_are_drawn_to_the_prototype_of_their_class_and_others_are_left():
    prototypes = ClassPrototypes(2, 2)
    prototypes.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    real = torch.tensor([[1.0, 0.9], [0.9, 1.0], [0.5, 0.5]], requires_grad=True)
    probabilities = torch.tensor([[0.95, 0.05], [0.05, 0.95], [0.6, 0.4]])
    optimiser = torch.optim.SGD([real], 0.5)
    for _ in range(200):
        optimiser.zero_grad()
        prototypes.loss(real, probabilities).backward()
        optimiser.step()
    direction = nn.functional.normalize(real.detach(), dim=1)
    assert torch.allclose(direction[:2], torch.eye(2), atol=0.05)
    assert real.detach()[2].tolist() == [0.5, 0.5]


def test_a_rare_class_weighs_as_much_as_background():
    prototypes = ClassPrototypes(2, 2)
    prototypes.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    rows = torch.tensor([[1.0, 0.0]] * 99 + [[0.0, -1.0]])
    probabilities = torch.tensor([[1.0, 0.0]] * 99 + [[0.0, 1.0]])
    assert float(prototypes.loss(rows, probabilities)) == pytest.approx((0 + 2) / 2)


def test_nothing_confident_or_nothing_seen_costs_nothing_but_can_be_differentiated():
    rows = torch.ones(4, 2, requires_grad=True)
    prototypes = ClassPrototypes(2, 2)
    unseen = prototypes.loss(rows, torch.tensor([[1.0, 0.0]] * 4))
    prototypes.update(torch.ones(1, 2), torch.tensor([0]))
    unsure = prototypes.loss(rows, torch.full((4, 2), 0.5))
    (unseen + unsure).backward()
    assert unseen.item() == unsure.item() == float(rows.grad.abs().max()) == 0
