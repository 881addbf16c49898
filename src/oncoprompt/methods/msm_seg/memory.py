"""The two memory banks of MSM-Seg and their update rule."""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class DualMemory(Generic[Item]):
    """Modality memory: the earlier channels of this slice; slice memory: one fused item for each earlier slice.

    S_{t,<m} keeps at most `channels` (k) items and is emptied when the slice is closed; S_{<t} keeps the last `slices`
    (n). Selection is by recency alone, so any number, order and subset of channels is valid.
    """

    def __init__(self, slices: int, channels: int) -> None:
        self._slices: deque[Item] = deque(maxlen=slices)
        self._channels: deque[Item] = deque(maxlen=channels)

    def read_slices(self) -> tuple[Item, ...]:
        """Items of the earlier slices, nearest first."""
        return tuple(self._slices)

    def read_channels(self) -> tuple[Item, ...]:
        """Items of the earlier channels of the open slice, nearest first."""
        return tuple(self._channels)

    def remember_channel(self, item: Item | None) -> None:
        """Add the item of the channel just segmented, if there is one."""
        if item is not None:
            self._channels.appendleft(item)

    def close_slice(self, item: Item | None) -> None:
        """Add the fused item of the slice, if there is one, and forget its channels."""
        if item is not None:
            self._slices.appendleft(item)
        self._channels.clear()
