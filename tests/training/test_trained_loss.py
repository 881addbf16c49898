"""A loss with parameters of its own: trained, kept, restored, never exported."""

import signal
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from oncoprompt.errors import InputError
from oncoprompt.training.fit import fit
from oncoprompt.training.loss import TrainedLoss
from training.test_fit import StopsAt
from training.toy import ToyItems, ToyLoss, losses, toy_config, toy_loss, toy_model


@dataclass(frozen=True)
class Seen:
    """What a loss was told."""

    fractions: list[float]
    steps: list[int]


class Scaled(TrainedLoss):
    """Squared error of the prediction times a learnt gain, with a count of items in a buffer."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, 1))
        self.register_buffer("count", torch.zeros(()))
        self.seen = Seen([], [])

    def forward(self, model: nn.Module, item: Any) -> ToyLoss:
        self.count += 1
        total = (self.gain * model(item.inputs) - item.target).square().mean()
        return ToyLoss(total, {"error": float(total.detach())})

    def before_step(self, fraction: float) -> None:
        self.seen.fractions.append(fraction)

    def after_step(self, model: nn.Module) -> None:
        self.seen.steps.append(len(self.seen.fractions))


def test_its_parameters_are_trained_and_kept_but_not_exported(tmp_path):
    loss = Scaled()
    fit(toy_config(), toy_model(), ToyItems(), loss, tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert float(loss.gain.detach()) != 1.0
    assert torch.equal(state["loss"]["gain"], loss.gain.detach())
    assert set(load_file(tmp_path / "msm-seg-compact.safetensors")) == set(toy_model().state_dict())


def test_it_is_told_the_fraction_before_and_the_model_after_every_step(tmp_path):
    loss = Scaled()
    fit(toy_config(), toy_model(), ToyItems(), loss, tmp_path)
    assert loss.seen.fractions == pytest.approx([step / 12 for step in range(12)])
    assert loss.seen.steps == list(range(1, 13))


def test_a_resumed_run_goes_on_with_its_parameters_to_the_bit(tmp_path):
    whole, first, second = Scaled(), Scaled(), Scaled()
    fit(toy_config(), toy_model(), ToyItems(), whole, tmp_path / "whole")
    fit(toy_config(), toy_model(), StopsAt(9, signal.SIGTERM), first, tmp_path / "parts")
    fit(toy_config(), toy_model(), ToyItems(), second, tmp_path / "parts", resume=tmp_path / "parts" / "state.pt")
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert torch.equal(whole.gain, second.gain)
    assert float(whole.count) == float(second.count) == 24


def test_a_skipped_step_leaves_its_buffers_as_they_were(tmp_path):
    loss = Scaled()
    done = fit(toy_config(), toy_model(), ToyItems(broken=frozenset({5})), loss, tmp_path)
    assert done.skipped == 1
    assert float(loss.count) == 24
    assert len(loss.seen.fractions) == len(loss.seen.steps) + 1


@pytest.mark.parametrize(("first", "second"), [(Scaled(), toy_loss), (toy_loss, Scaled())])
def test_a_state_with_another_loss_is_refused(tmp_path, first, second):
    fit(toy_config(), toy_model(), ToyItems(), first, tmp_path)
    with pytest.raises(InputError, match="does not fit"):
        fit(toy_config(), toy_model(), ToyItems(), second, tmp_path, resume=tmp_path / "state.pt")
