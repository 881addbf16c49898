"""Averages of weights lie between their end points, and do better than either outside of both domains."""

import pytest
import torch

from oncoprompt.adaptation.weight_averaging import average_weights
from oncoprompt.errors import InputError


def _state(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2, 3), value), "count": torch.tensor(int(value))}


def test_the_ends_are_the_networks_themselves():
    for share, end in ((0.0, _state(1.0)), (1.0, _state(5.0))):
        out = average_weights(_state(1.0), _state(5.0), share)
        assert all(torch.equal(out[name], end[name]) for name in end)


def test_between_the_ends_weights_are_interpolated_in_their_own_type():
    first = {"weight": torch.tensor([1.0, 2.0], dtype=torch.float16)}
    out = average_weights(first, {"weight": torch.tensor([2.0, 6.0])}, 0.25)["weight"]
    assert out.dtype == torch.float16
    assert out.tolist() == [1.25, 3.0]


def test_averaging_changes_neither_of_the_two():
    first, second = _state(1.0), _state(5.0)
    average_weights(first, second, 0.0)["weight"].add_(1.0)
    average_weights(first, second, 0.0)["count"].add_(1)
    assert first["weight"][0, 0] == 1
    assert first["count"] == 1
    assert second["weight"][0, 0] == 5


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"weight": torch.zeros(2, 3)}, "'count'"),
        ({**_state(1.0), "weight": torch.zeros(3, 2)}, r"'weight' is \(2, 3\)"),
    ],
)
def test_networks_of_other_layers_are_refused_by_name(second, told):
    with pytest.raises(InputError, match=told):
        average_weights(_state(1.0), second)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(InputError, match="share"):
        average_weights(_state(1.0), _state(2.0), share)


def test_fine_tuning_on_few_noisy_cases_is_better_averaged_than_alone_and_than_none_on_unseen_ones():
    """The true weights differ a little from the synthetic ones; twelve noisy cases tell eight weights badly."""
    generator = torch.Generator().manual_seed(0)
    before = alone = averaged = 0.0
    for _ in range(40):
        synthetic = torch.randn(8, 1, generator=generator)
        truth = synthetic + 0.3 * torch.randn(8, 1, generator=generator)
        x = torch.randn(12, 8, generator=generator)
        y = x @ truth + 0.7 * torch.randn(12, 1, generator=generator)
        tuned = synthetic.clone()
        for _ in range(100):
            tuned -= 0.1 * x.T @ (x @ tuned - y) / len(x)
        mean = average_weights({"w": synthetic}, {"w": tuned})["w"]
        # for unseen inputs of unit covariance the expected squared error is the squared distance of the weights
        before += float((synthetic - truth).square().sum())
        alone += float((tuned - truth).square().sum())
        averaged += float((mean - truth).square().sum())
    assert averaged < 0.8 * alone
    assert averaged < 0.8 * before
