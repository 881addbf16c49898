"""Items made ahead of the training step by worker processes, in a fixed order from any starting index."""

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from oncoprompt.training.config import DataSection

Item = TypeVar("Item")
_ENDLESS = 2**31
_NICENESS = 5


class ItemSource(Protocol):
    """Training items as a pure function of their index."""

    def item(self, index: int) -> Any:
        """Make item `index`; the same index always gives the same item."""
        ...


@dataclasses.dataclass(frozen=True)
class Fed:
    """One item with its index and the seconds it took to make, or what went wrong instead."""

    index: int
    item: Any
    seconds: float
    problem: str | None = None


class _From(Dataset[Fed]):
    """Items `first`, `first + every`, ... without end, as a map-style data set."""

    def __init__(self, items: ItemSource, first: int, every: int) -> None:
        self._items = items
        self._first = first
        self._every = every

    def __len__(self) -> int:
        return (_ENDLESS - self._first) // self._every

    def __getitem__(self, offset: int) -> Fed:
        began = time.perf_counter()
        index = self._first + self._every * offset
        try:
            item, problem = self._items.item(index), None
        # An item is a function of its index: raised, the error would end the run, and every run resumed from it.
        except Exception as error:
            item, problem = None, f"item {index} cannot be made ({type(error).__name__}: {error})"
        return Fed(index, item, time.perf_counter() - began, problem)


def feed(items: ItemSource, first: int, every: int, data: DataSection) -> Iterator[Fed]:
    """Yield items from index `first` on, one of `every` (the number of processes that share them), in order."""
    loader: DataLoader[Fed] = DataLoader(
        _From(items, first, every),
        batch_size=None,
        num_workers=data.workers,
        prefetch_factor=data.prefetch if data.workers else None,
        worker_init_fn=_start_worker,
        # Without its own generator the loader draws from the global one.
        generator=torch.Generator().manual_seed(first),
    )
    return iter(loader)


def to_device(item: Item, device: torch.device) -> Item:
    """Copy of a dataclass with every tensor in it moved to `device`; anything else is returned as it is."""
    if isinstance(item, Tensor):
        return cast(Item, item.to(device, non_blocking=True))
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        moved = {member.name: to_device(getattr(item, member.name), device) for member in dataclasses.fields(item)}
        return cast(Item, dataclasses.replace(item, **moved))
    return item


def _start_worker(_worker: int) -> None:
    torch.set_num_threads(1)
    os.nice(_NICENESS)
    # The main process decides when to stop: a worker killed first would turn a clean stop into an error.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
