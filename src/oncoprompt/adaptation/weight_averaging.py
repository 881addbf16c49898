"""Weight averaging: a fine-tuned network pulled back towards the one it came from."""

from collections.abc import Mapping

import torch
from torch import Tensor

from oncoprompt.errors import InputError


def average_weights(
    synthetic: Mapping[str, Tensor], fine_tuned: Mapping[str, Tensor], share: float = 0.5
) -> dict[str, Tensor]:
    """``theta = (1 - a) theta_synthetic + a theta_fine_tuned`` of two state dicts, a = share.

    Averages are computed in float32 and have the types of `synthetic`; entries that are no floating-point numbers
    (counters) are those of the nearer network. Raises `InputError` for a share outside [0, 1] and for state dicts of
    different networks.
    """
    if not 0.0 <= share <= 1.0:
        raise InputError(f"The share of the fine-tuned weights is {share}. It must be in [0, 1].")
    odd = sorted(set(synthetic) ^ set(fine_tuned))
    if odd:
        raise InputError(
            f"Only weights of one network can be averaged. {len(odd)} names are in one of the two only, "
            f"for example '{odd[0]}'."
        )
    for name, value in synthetic.items():
        if value.shape != fine_tuned[name].shape:
            raise InputError(
                f"Only weights of one network can be averaged. '{name}' is {tuple(value.shape)} in one "
                f"and {tuple(fine_tuned[name].shape)} in the other."
            )
    return {name: _average(value, fine_tuned[name], share) for name, value in synthetic.items()}


def _average(first: Tensor, second: Tensor, share: float) -> Tensor:
    second = second.to(first.device)
    if not first.is_floating_point():
        return (first if share < 0.5 else second).clone()
    return torch.lerp(first.float(), second.float(), share).to(first.dtype)
