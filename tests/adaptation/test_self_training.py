"""A mean teacher's confident labels carry a classifier over a shift; absurd labels are refused."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oncoprompt.adaptation.self_training import PseudoLabels, StrongAugmentation, VolumeLimits, mean_teacher
from oncoprompt.errors import InputError


def test_the_teacher_follows_the_student_by_its_decay_and_is_never_trained():
    student = nn.Linear(2, 2)
    teacher = mean_teacher(student, 0.9)
    teacher.update_parameters(student)
    first = student.weight.detach().clone()
    with torch.no_grad():
        student.weight.add_(1.0)
    teacher.update_parameters(student)
    assert torch.allclose(teacher.module.weight, first + 0.1)
    assert not any(p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_never_or_wrongly_moves_is_refused(decay):
    with pytest.raises(InputError, match="decay"):
        mean_teacher(nn.Linear(1, 1), decay)


def test_labels_are_confident_on_both_sides_of_a_half():
    probabilities = torch.tensor([0.02, 0.3, 0.6, 0.95])[None, None]
    labels = PseudoLabels.of(probabilities, 0.9)
    assert labels.regions.flatten().tolist() == [0, 0, 1, 1]
    assert labels.confident.flatten().tolist() == [True, False, False, True]


def test_only_confident_voxels_teach():
    labels = PseudoLabels.of(torch.tensor([0.01, 0.4, 0.6, 0.99]).view(1, 1, 4, 1, 1))
    logits = torch.zeros(1, 1, 4, 1, 1, requires_grad=True)
    labels.loss(logits).backward()
    gradient = logits.grad.flatten()
    assert gradient[0] > 0
    assert gradient[3] < 0
    assert gradient[1] == gradient[2] == 0


def test_the_loss_is_zero_for_agreement_and_for_labels_nowhere_confident():
    truth = (torch.rand(1, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    sure = PseudoLabels(truth, torch.ones_like(truth, dtype=torch.bool))
    assert float(sure.loss(40 * truth - 20)) == pytest.approx(0, abs=1e-5)
    nowhere = PseudoLabels(truth, torch.zeros_like(truth, dtype=torch.bool))
    assert float(nowhere.loss(torch.randn(1, 3, 4, 4, 4))) == 0


@pytest.mark.parametrize(
    ("side", "spacing", "fine"),
    [
        (30, (1.0, 1.0, 1.0), True),
        (4, (1.0, 1.0, 1.0), False),
        (4, (3.0, 3.0, 3.0), True),
        (80, (1.0, 1.0, 1.0), False),
    ],
)
def test_volumes_that_no_tumour_has_are_refused(side, spacing, fine):
    assert VolumeLimits().plausible(torch.ones(side, side, side), spacing) is fine


def test_a_volume_three_times_that_of_before_is_refused():
    earlier = torch.zeros(10, 10)
    earlier[:3] = 1
    now = torch.zeros(10, 10)
    for rows, fine in ((1, True), (3, True), (9, True), (10, False), (0, False)):
        now[:rows] = 1
        now[rows:] = 0
        assert VolumeLimits().steady(now, earlier) is fine
    assert not VolumeLimits().steady(torch.zeros(10, 10), torch.zeros(10, 10))


def _rotated(angle: float, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two clouds of points, one a class, turned about the origin."""
    label = torch.rand(count, generator=generator) > 0.5
    x = 0.45 * torch.randn(count, 2, generator=generator)
    x[:, 0] += 1.5 * (2 * label - 1)
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return x @ turn, label.float()


def _accuracy(network: nn.Module, x: Tensor, label: Tensor) -> float:
    with torch.no_grad():
        return float(((network(x)[:, 0] > 0) == (label > 0.5)).float().mean())


def _trained(with_teacher: bool) -> tuple[nn.Module, float]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    student = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    optimiser = torch.optim.Adam(student.parameters(), 5e-3)
    told = nn.functional.binary_cross_entropy_with_logits
    teacher: torch.optim.swa_utils.AveragedModel | None = None
    unlabelled, _ = _rotated(1.25, 600, generator)
    for step in range(700):
        x, label = _rotated(0.0, 128, generator)
        loss = told(student(x)[:, 0], label)
        if step == 200:
            teacher = mean_teacher(student, 0.95)
        if with_teacher and teacher is not None:
            teacher.update_parameters(student)
            drawn = unlabelled[torch.randint(600, (128,), generator=generator)]
            with torch.no_grad():
                labels = PseudoLabels.of(torch.sigmoid(teacher(drawn))[:, :, None], 0.9)
            seen = drawn + 0.3 * torch.randn(drawn.shape, generator=generator)
            loss = loss + labels.loss(student(seen)[:, :, None])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    target, truth = _rotated(1.25, 4000, generator)
    return student, _accuracy(student, target, truth)


def test_self_training_raises_the_accuracy_on_a_domain_that_has_no_labels():
    _, before = _trained(with_teacher=False)
    _, after = _trained(with_teacher=True)
    assert before < 0.9
    assert after > before + 0.08


def test_an_augmentation_changes_intensities_the_same_way_every_time_it_is_applied():
    images = torch.randn(4, 16, 24, 8, generator=torch.Generator().manual_seed(0))
    first, second = (StrongAugmentation.random(np.random.default_rng(5), 4) for _ in range(2))
    out = first.apply(images)
    assert torch.equal(out, second.apply(images))
    assert torch.isfinite(out).all()
    assert float((out - images).abs().mean()) > 0.1


def test_labels_are_mirrored_with_the_images():
    draws = [StrongAugmentation.random(np.random.default_rng(seed), 1) for seed in range(8)]
    assert {draw.mirrored for draw in draws} == {True, False}
    blob = torch.zeros(1, 16, 16, 16)
    blob[:, 6:10, 6:10, 1:5] = 8.0
    for draw in draws:
        seen, label = draw.apply(blob), draw.mirror(blob) > 0
        outside = seen[~label].mean()
        assert float(seen[label].mean()) > float(outside) + 1.0
