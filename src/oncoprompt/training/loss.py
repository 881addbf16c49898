"""What a loss is: a scalar and its named parts, from a function or from a module that is trained with the model."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn


class Loss(Protocol):
    """A scalar to minimise and the named parts it is made of."""

    @property
    def total(self) -> Tensor: ...

    @property
    def parts(self) -> Mapping[str, float | Tensor]: ...


LossFunction = Callable[[nn.Module, Any], Loss]


class TrainedLoss(nn.Module):
    """A loss with parameters or a memory of its own: trained with the model, kept in the state, never exported.

    Its buffers are restored, like the model's, when a step is skipped.
    """

    def forward(self, model: nn.Module, item: Any) -> Loss:
        """The loss of one item, as any loss function's."""
        raise NotImplementedError

    def before_step(self, fraction: float) -> None:
        """Told the completed fraction of the run before every step."""

    def after_step(self, model: nn.Module) -> None:
        """Told the model after every step that changed it."""
