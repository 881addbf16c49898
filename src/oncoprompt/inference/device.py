"""The processor or accelerator a person asks for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oncoprompt.errors import InputError

if TYPE_CHECKING:
    import torch


def device_named(name: str) -> torch.device:
    """The device of that name; "auto" is an accelerator where there is one. Raises InputError where it is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"There is no device '{name}'. Use auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"Device '{name}' is not on this machine. Use auto or cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise InputError(f"Device '{name}' is not on this machine, whose last is cuda:{last}.")
    return device
