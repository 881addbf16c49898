"""The state of a run in a file small enough to travel: a sixth of `state.pt`, to go on on another machine."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.study.whole_file import write_whole
from oncoprompt.training.checkpoint import Progress, load_state, save_state
from oncoprompt.training.tensor_file import read_tensor_file, tensor_file

_AVERAGE, _SECOND, _FACTS = "average.", "second.", "facts"
_LEVELS = 255
_LEAST = 1e-30


def pack_state(state_file: Path, out: Path) -> None:
    """Write the averaged weights (float16) and the optimiser's second moments (8 bits, logarithmic) of a state.

    What goes on from there starts from the averaged weights, with first moments of zero. Raises InputError as
    `load_state` does.
    """
    state = load_state(state_file)
    tensors = {f"{_AVERAGE}{name}": _half(value) for name, value in state["average"].items()}
    ranges: dict[str, tuple[float, float, float]] = {}
    for number, moments in state["optimiser"]["state"].items():
        levels = moments["exp_avg_sq"].float().clamp_min(_LEAST).log2()
        low, high = float(levels.min()), float(levels.max())
        scaled = (levels - low) / max(high - low, 1e-6) * _LEVELS
        tensors[f"{_SECOND}{number}"] = scaled.round().to(torch.uint8)
        ranges[str(number)] = (low, high, float(moments["step"]))
    facts = {
        "progress": state["progress"],
        "config": state["config"],
        "groups": state["optimiser"]["param_groups"],
        "ranges": ranges,
    }
    write_whole(out, tensor_file(tensors, _FACTS, facts))


def unpack_state(packed: Path, state_file: Path) -> None:
    """Write the state that `pack_state` packed, for `fit` to resume from; raises InputError for a damaged file."""
    try:
        tensors, facts = read_tensor_file(packed, _FACTS)
    except InputError as error:
        raise InputError(f"Packed training state {error}") from error
    average = {
        name.removeprefix(_AVERAGE): value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
        if name.startswith(_AVERAGE)
    }
    moments = {int(number): _moments(tensors[f"{_SECOND}{number}"], *told) for number, told in facts["ranges"].items()}
    parts = {
        "model": average,
        "average": average,
        "optimiser": {"state": moments, "param_groups": facts["groups"]},
        "loss": {},
    }
    save_state(state_file, parts, Progress(**facts["progress"]), facts["config"])


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _moments(levels: Tensor, low: float, high: float, step: float) -> dict[str, Tensor]:
    second = (levels.float() / _LEVELS * (high - low) + low).exp2()
    return {"step": torch.tensor(step), "exp_avg": torch.zeros_like(second), "exp_avg_sq": second}
