"""HU as TAGS compact is shown them."""

from torch import Tensor

LOW_HU, HIGH_HU = -150.0, 250.0


def standardise_ct(hu: Tensor) -> Tensor:
    """(HU - 50) / 100, clipped to -150..250 HU; any shape. All soft tissue with every contrast phase lies within."""
    return hu.clamp(LOW_HU, HIGH_HU).sub(50.0).div(100.0)
