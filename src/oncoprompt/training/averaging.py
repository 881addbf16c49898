"""Exponential moving average of a model's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Moving average of every floating-point entry of a state dict, other entries copied.

    `average <- d * average + (1 - d) * weights` with `d = min(decay, (1 + step) / (10 + step))`, so that the first
    steps, taken from random weights, are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after optimiser step number `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1.0 - decay)
            else:
                self.values[name].copy_(value)

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Continue from stored averages, on the device of the present ones."""
        for name, value in self.values.items():
            value.copy_(values[name])
