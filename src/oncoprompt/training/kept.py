"""What a source of items keeps in memory, and the order in which it goes through its cases."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by number, made when they are asked for; the last ``most`` that were asked for stay."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[int, Value] = OrderedDict()

    def get(self, number: int, make: Callable[[], Value]) -> Value:
        """The value of a number, made where it is not kept; what `make` raises goes on."""
        if number not in self._values:
            self._values[number] = make()
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        self._values.move_to_end(number)
        return self._values[number]


@lru_cache(maxsize=4)
def case_order(count: int, seed: int, time: int) -> NDArray[np.int64]:
    """The order of ``count`` cases the ``time``-th time round: every one once before any is seen again."""
    return np.random.default_rng([seed, 1, time]).permutation(count)
