"""Gradient reversal, and discriminators that end up unable to tell the domains apart."""

import pytest
import torch
from torch import Tensor, nn

from oncoprompt.adaptation.adversarial import (
    DomainAdversary,
    DomainClassifier,
    OutputDiscriminator,
    entropy_map,
    reversal_strength,
    reverse_gradient,
)


@pytest.mark.parametrize("strength", [0.0, 0.03, 1.0])
def test_the_gradient_changes_sign_and_is_scaled_while_the_value_stays(strength):
    x = torch.randn(5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = reverse_gradient(x, strength)
    assert torch.equal(y, x)
    (3 * y).sum().backward()
    assert torch.allclose(x.grad, torch.full((5,), -3 * strength))


def test_the_strength_rises_from_nothing_to_its_peak_as_the_schedule_says():
    values = [reversal_strength(p / 10) for p in range(11)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[5] == pytest.approx(0.1 * 0.98661, rel=1e-4)
    assert values[-1] == pytest.approx(0.1, rel=1e-3)


def test_entropy_is_one_where_all_classes_are_equal_and_none_where_one_is_certain():
    probabilities = torch.zeros(1, 4, 2, 1, 1)
    probabilities[0, :, 0] = 0.25
    probabilities[0, 2, 1] = 1.0
    assert entropy_map(probabilities).flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-5)


def test_the_output_discriminator_reads_the_thinnest_region_there_is():
    assert OutputDiscriminator(4)(torch.rand(1, 4, 8, 16, 24)).shape == (1, 1, 1, 2, 3)


def _domains(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs [N, 8]: 0 and 1 tell the class, 2 the domain (which is the shift), the rest nothing."""
    x = torch.randn(2 * count, 8, generator=generator)
    domain = torch.arange(2 * count) < count
    label = torch.rand(2 * count, generator=generator) > 0.5
    x[:, 0] += 2.0 * (2 * label - 1)
    x[:, 2] += 2.5 * (2 * domain - 1)
    return x, label.float(), domain


def _train(reversed_strength: float) -> tuple[float, float]:
    """Accuracy of a domain classifier trained afresh on the learnt features, and of the task on the second domain."""
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(5)
    network, task, judge = nn.Linear(8, 6), nn.Linear(6, 1), DomainClassifier(6)
    optimiser = torch.optim.Adam([*network.parameters(), *task.parameters()], 3e-3)
    judging = torch.optim.Adam(judge.parameters(), 1e-2)
    told = nn.functional.binary_cross_entropy_with_logits
    for step in range(500):
        x, label, domain = _domains(64, generator)
        features = network(x)
        strength = reversed_strength * reversal_strength(step / 500, peak=1.0)
        by_domain = judge(reverse_gradient(features, strength)[:, :, None])
        loss = told(task(features)[:64, 0], label[:64]) + told(by_domain, domain.float())
        optimiser.zero_grad()
        judging.zero_grad()
        loss.backward()
        optimiser.step()
        judging.step()
    with torch.no_grad():
        x, _, domain = _domains(2000, generator)
        features = network(x)
    probe = nn.Linear(6, 1)
    probing = torch.optim.Adam(probe.parameters(), 5e-2)
    for _ in range(150):
        probing.zero_grad()
        told(probe(features)[:, 0], domain.float()).backward()
        probing.step()
    x, label, domain = _domains(2000, generator)
    with torch.no_grad():
        features = network(x)
        real = ~domain
        probed = ((probe(features)[:, 0] > 0) == domain).float().mean()
        right = ((task(features)[real, 0] > 0) == (label[real] > 0.5)).float().mean()
    return float(probed), float(right)


def test_with_reversal_a_fresh_classifier_cannot_tell_the_domains_apart_and_without_it_can():
    told_apart, _ = _train(0.0)
    mixed, right = _train(1.0)
    assert told_apart > 0.9
    assert mixed < 0.65
    assert right > 0.9


def test_one_backward_pass_trains_the_discriminators_and_works_against_them():
    torch.manual_seed(0)
    adversary = DomainAdversary(6, 4)
    features = [torch.randn(1, 6, 2, 3, 4, requires_grad=True) for _ in range(2)]
    outputs = [torch.rand(1, 4, 8, 8, 8).softmax(1).requires_grad_() for _ in range(2)]
    plain = adversary(tuple(features), tuple(outputs), -1.0).total
    with_it = torch.autograd.grad(plain, [*features, *outputs])
    loss = adversary(tuple(features), tuple(outputs), 0.1)
    loss.total.backward()
    for x, gradient in zip([*features, *outputs], with_it, strict=True):
        assert float(gradient.abs().max()) > 0
        assert torch.allclose(x.grad, -0.1 * gradient, atol=1e-7)
    assert all(float(p.grad.abs().sum()) > 0 for p in adversary.parameters())
    assert loss.accuracy in (0.0, 0.5, 1.0)
