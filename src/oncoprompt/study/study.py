"""A study: named channels of one scan session on one grid."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid, reordered
from oncoprompt.study import discover
from oncoprompt.study.channels import COLOURS, accepted_names, in_order, named, split_extension
from oncoprompt.study.dicom import Sizes, is_dicom
from oncoprompt.study.unused import UnusedFile
from oncoprompt.study.volume import Volume, read_volume

Source = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]


@dataclass(frozen=True, eq=False)
class Study:
    """Channels (I, J, K) float32 by name on one grid; `header` is the NIfTI header whose codes outputs repeat.

    `sizes` is "area" for a slice of unknown thickness and "none" for a picture, of which no volume in ml can be told.
    `unused_files` are those beside the channels that look like scans, each with the reason it is not used.

    Raises InputError for no channel, shapes that differ from the grid, values that are not finite, a constant channel
    (one colour of several may be), or a header of another grid.
    """

    channels: dict[str, NDArray[np.float32]]
    grid: Grid
    name: str = "study"
    header: Nifti1Header | None = None
    sizes: Sizes = "volume"
    unused_files: tuple[UnusedFile, ...] = ()

    def __post_init__(self) -> None:
        if not self.channels:
            raise InputError(f"Study '{self.name}' has no channel; accepted names: {accepted_names()}.")
        checked: dict[str, NDArray[np.float32]] = {}
        for given in self.channels:
            channel = named(given)
            if channel in checked:
                raise InputError(f"Study '{self.name}' names channel '{channel}' twice.")
            checked[channel] = _checked(self.channels[given], channel, self.grid, self.name)
        if all(channel in COLOURS and np.ptp(values) == 0 for channel, values in checked.items()):
            raise InputError(f"Picture '{self.name}' is empty: every pixel has one colour. Export it again.")
        if self.header is not None and not np.allclose(self.header.get_best_affine(), self.grid.affine, atol=1e-3):
            raise InputError(f"The header of study '{self.name}' describes another grid than its channels lie on.")
        object.__setattr__(self, "channels", {channel: checked[channel] for channel in in_order(checked)})

    @classmethod
    def read(
        cls,
        source: Source,
        name: str | None = None,
        channel_order: Sequence[str] | None = None,
        unnamed: str | None = None,
    ) -> Study:
        """A study from a folder, a file, or a mapping of channel to file.

        A file is a scan (NIfTI, NRRD, MetaImage, DICOM), a picture, or an .npz file of the MedSAM challenges; a folder
        holds one file a channel, or one DICOM series. `channel_order` names the volumes of a four-dimensional file, and
        `unnamed` the channel of a single scan that tells none. Raises InputError, with a sentence for each way in which
        files can be missing, damaged, ambiguous or not fit each other.
        """
        if channel_order is not None and (
            isinstance(source, Mapping) or (Path(source).is_dir() and not is_dicom(Path(source)))
        ):
            raise InputError(
                "channel_order is for one file of several volumes. Leave it out.",
                in_shell="--channel-order is for one file of several volumes, given with -i. Leave it out.",
            )
        if isinstance(source, Mapping):
            return cls._from_files(discover.in_mapping(source), name)
        path = Path(source)
        if path.is_dir() and not is_dicom(path):
            return cls._from_files(discover.in_folder(path), name)
        volume = read_volume(path)
        stem = name or _stem(path)
        if volume.array.ndim == 4:
            order = list(volume.names) or discover.volume_order(path, volume.array.shape[3], channel_order)
            channels = {channel: volume.array[..., index] for index, channel in enumerate(order)}
            return cls(channels, volume.grid, stem, volume.header, volume.sizes)
        if channel_order is not None:
            return cls({_only(channel_order, path): volume.array}, volume.grid, stem, volume.header, volume.sizes)
        if volume.names:
            return cls({volume.names[0]: volume.array}, volume.grid, stem, volume.header, volume.sizes)
        found = None if is_dicom(path) else discover.in_file(path)
        if found is None and unnamed is not None:
            return cls({unnamed: volume.array}, volume.grid, stem, volume.header, volume.sizes)
        if found is None:
            unnamed_file = f"The name of '{path.name}' does not say which channel it is."
            known = f"or end the file name in one of {accepted_names()}."
            raise InputError(
                f"{unnamed_file} Say it with Study.read({{'t1c': path}}), {known}",
                in_shell=f"{unnamed_file} Say it with --channel t1c={path.name}, {known}",
            )
        return cls(
            {next(iter(found.files)): volume.array}, volume.grid, name or found.name, volume.header, volume.sizes
        )

    @classmethod
    def _from_files(cls, found: discover.Found, name: str | None) -> Study:
        study_name = name or found.name
        volumes: dict[str, Volume] = {}
        for channel in in_order(found.files):
            volume = read_volume(found.files[channel])
            if volume.array.ndim == 4:
                held = f"'{found.files[channel].name}' holds {volume.array.shape[3]} volumes"
                what = f"{held} where channel '{channel}' needs one."
                raise InputError(
                    f"{what} Read it on its own, or give one file a channel.",
                    in_shell=f"{what} Give it alone with -i and --channel-order, or give one file a channel.",
                )
            volumes[channel] = volume
        first = next(iter(volumes.values()))
        channels = _on_one_grid(study_name, volumes)
        sizes = _least_sizes(volumes.values())
        return cls(channels, first.grid, study_name, first.header, sizes, found.unused)

    def channel(self, name: str) -> NDArray[np.float32]:
        """One channel by any accepted spelling; raises InputError with the names there are."""
        if (channel := named(name)) in self.channels:
            return self.channels[channel]
        raise InputError(f"Study '{self.name}' has no channel '{name}'. Found: {', '.join(self.channels)}.")


def _stem(path: Path) -> str:
    if path.is_dir():
        return path.resolve().name
    parts = split_extension(path.name)
    return parts[0] if parts is not None else path.stem


def _least_sizes(volumes: Iterable[Volume]) -> Sizes:
    """What all volumes tell of their sizes."""
    told = {volume.sizes for volume in volumes}
    return "none" if "none" in told else "area" if "area" in told else "volume"


def _only(channel_order: Sequence[str], path: Path) -> str:
    if len(channel_order) != 1:
        raise InputError(f"'{path.name}' holds one volume, but {len(channel_order)} channels are named for it.")
    return channel_order[0]


def _on_one_grid(study: str, volumes: Mapping[str, Volume]) -> dict[str, NDArray[np.float32]]:
    """The channels on the grid of the first one; raises InputError where they hold other voxels."""
    first, reference = next(iter(volumes.items()))
    channels: dict[str, NDArray[np.float32]] = {}
    for channel, volume in volumes.items():
        array = reordered(volume.array, volume.grid, reference.grid)
        if array is None:
            raise InputError(
                f"Channels '{first}' and '{channel}' of study '{study}' lie on different grids: "
                f"{reference.grid.difference(volume.grid)} first."
            )
        channels[channel] = np.asarray(array, dtype=np.float32)
    return channels


def _checked(array: NDArray[np.generic], channel: str, grid: Grid, study: str) -> NDArray[np.float32]:
    if array.shape != grid.shape:
        raise InputError(f"Channel '{channel}' of study '{study}' has shape {array.shape}, its grid {grid.shape}.")
    if array.dtype.kind not in "biuf":
        raise InputError(f"Channel '{channel}' of study '{study}' has type {array.dtype}; give real numbers.")
    values = np.ascontiguousarray(array, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    # NaN and infinities reach the extremes, so healthy volumes pay for no second look.
    if not np.isfinite(low) or not np.isfinite(high):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise InputError(
            f"Channel '{channel}' of study '{study}' holds {bad} values that are NaN or infinite; replace them first."
        )
    if low == high and channel not in COLOURS:
        raise InputError(
            f"Channel '{channel}' of study '{study}' is empty: every voxel is {low:g}. Leave it out or export it again."
        )
    return values
