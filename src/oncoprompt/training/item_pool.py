"""Training items drawn once and kept on disk, so that many runs can read the same ones."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.study.whole_file import write_whole
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.items import TrainingItem
from oncoprompt.training.tensor_file import read_tensor_file, tensor_file

_ENDING = ".safetensors"


def write_pool(items: ItemSource, folder: Path, count: int) -> None:
    """Write items 0 to ``count`` - 1, one file an item, each whole or not at all; an item that is there is kept.

    Images and maps are rounded to half floats, masks stay uint8, and maps without a prompt are left out. Give every
    source a folder of its own. Raises InputError where a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder of a pool of items cannot be made: '{folder}' ({error.strerror}).") from error
    for index in range(count):
        path = folder / f"item-{index:06d}{_ENDING}"
        if not path.is_file():
            write_whole(path, _packed(items.item(index)))


@dataclass(frozen=True)
class PooledItems:
    """The items of a folder in the order of their names, again from the start after the last.

    Raises InputError for a folder without items and for a damaged file.
    """

    folder: Path

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError(
                f"'{self.folder}' holds no pool of training items (item-*{_ENDING}). Draw one "
                "first, or leave data.pool out."
            )

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """Files of the items."""
        return tuple(sorted(self.folder.glob(f"item-*{_ENDING}")))

    def item(self, index: int) -> TrainingItem:
        """Item ``index`` modulo the number of items."""
        path = self.paths[index % len(self.paths)]
        try:
            tensors, roles = read_tensor_file(path, "roles")
        except InputError as error:
            raise InputError(f"Item '{path.name}' of the pool is damaged. Delete it and draw it again.") from error
        images = tensors["images"].float()
        shape = images.shape[1:]
        return TrainingItem(
            images=images,
            roles=tuple(roles),
            regions=tensors["regions"],
            box=_map(tensors, "box", (1, *shape)),
            clicks=_map(tensors, "clicks", (2, *shape)),
        )


def _packed(item: TrainingItem) -> bytes:
    tensors = {"images": item.images.half(), "regions": item.regions}
    tensors |= {name: value.half() for name, value in (("box", item.box), ("clicks", item.clicks)) if value.any()}
    return tensor_file(tensors, "roles", item.roles)


def _map(tensors: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    return tensors[name].float() if name in tensors else torch.zeros(shape)
