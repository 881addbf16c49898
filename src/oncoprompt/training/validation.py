"""When a run looks at whole volumes, and what it asks of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from oncoprompt.errors import InputError
from oncoprompt.training.checkpoint import Progress

Validate = Callable[[nn.Module], Mapping[str, float]]
"""Mean Dice of each region that a network reaches on cases that it is not trained on."""


@dataclass(frozen=True)
class ValidationSection:
    """`[validation]`: after so many steps or minutes of training, Dice on whole volumes; the best weights are kept.

    Cases are those of `cohort` (a folder or manifest in `layout`, labels in `schema`), else the part `part` of
    data.split, else synthetic studies of `seed`, which training does not see; `count` of them at most. The network is
    asked with one box, each side moved by up to `jitter` of its length, `draws` times, or with none where `box` is
    false.
    """

    every_steps: int | None = None
    every_minutes: float | None = None
    cohort: str | None = None
    layout: str | None = None
    schema: str | None = None
    part: str = "validation"
    count: int = 8
    seed: int = 1_000_003
    box: bool = True
    jitter: float = 0.1
    draws: int = 1

    def __post_init__(self) -> None:
        """Check the ranges; raises `InputError`."""
        for name, value, least in (
            ("every_steps", self.every_steps, 1),
            ("every_minutes", self.every_minutes, 1e-6),
            ("count", self.count, 1),
            ("seed", self.seed, 0),
            ("jitter", self.jitter, 0.0),
            ("draws", self.draws, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"Training configuration: validation.{name} is {value}. It must be at least {least}.")

    @property
    def wanted(self) -> bool:
        """Whether the run validates at all."""
        return self.every_steps is not None or self.every_minutes is not None

    def due(self, progress: Progress, complete: bool) -> bool:
        """Whether the weights are to be looked at now; those of a `complete` run are."""
        if not self.wanted or progress.step == progress.validated_step:
            return False
        steps, seconds = progress.step - progress.validated_step, progress.elapsed_s - progress.validated_s
        return (
            complete
            or (self.every_steps is not None and steps >= self.every_steps)
            or (self.every_minutes is not None and seconds >= 60.0 * self.every_minutes)
        )
