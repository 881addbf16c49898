"""What one run of `oncoprompt segment` is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from oncoprompt.cli.given import about, check_device, check_model, check_readable, check_schema
from oncoprompt.cli.prompting import Asked
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.geometry import Grid

_NO_SCANS = (".png", ".json", ".html", ".md", ".csv", ".txt")
"""What may lie in a folder of scans and is not read."""

_COMPRESSION = 100
"""Label maps and probabilities become much smaller; a disk that is refused would not have held them."""


@dataclass(frozen=True)
class SliceOptions:
    """Options that only models of slices have."""

    plane: str | None = None
    channel: str | None = None
    window: str | None = None
    propagate: bool = True


@dataclass(frozen=True)
class Request:
    """The options of the verb; ``schema`` is None where none was given."""

    source: Path | dict[str, Path]
    asked: Asked
    out: Path
    overlay: Path | None
    model: str
    schema: str | None
    device: str
    probabilities: bool
    slices: SliceOptions
    channel_order: tuple[str, ...] | None = None

    @cached_property
    def scans(self) -> list[Path]:
        """The files that are read: the scans named, or all of a folder, deeper ones too, that are no masks by name."""
        from oncoprompt.study.channels import is_result, split_extension

        given = list(self.source.values()) if isinstance(self.source, dict) else [self.source]
        files = [path for path in given if not path.is_dir()]
        below = [file for path in given if path.is_dir() for file in path.rglob("*")]
        files += [file for file in below if file.suffix.lower() not in _NO_SCANS]
        stems = {file: (split_extension(file.name) or [file.stem])[0] for file in files}
        return [file for file, stem in stems.items() if not is_result(stem)]

    @property
    def files_read(self) -> list[Path]:
        """The scans, and the mask of the anatomy."""
        return self.scans if self.asked.anatomy is None else [*self.scans, self.asked.anatomy]

    def check(self) -> None:
        """Raise `InputError` for what can be refused before torch is imported and a scan is read."""
        if isinstance(self.source, dict):
            for name, file in self.source.items():
                check_readable(file, f"--channel {name}")
        else:
            check_readable(self.source, "--input")
        self.asked.check()
        check_model(self.model, bool(self.asked.words), self.asked.anatomy is not None)
        check_device(self.device)
        check_schema(self.schema)
        if self.overlay is not None and self.overlay.suffix.lower() != ".png":
            raise InputError(f"--overlay '{self.overlay.name}' must end in .png.")
        places = {"--output": self.out} | ({} if self.overlay is None else {"--overlay": self.overlay})
        files = {flag: path for flag, path in places.items() if path.suffix.lower() in (".nii", ".gz", ".png")}
        for flag, path in files.items():
            if not os.path.isdir(path.absolute().parent):
                raise InputError(f"{flag}: Folder '{path.parent}' does not exist; make it first.")
        from oncoprompt.study.disk import check_room
        from oncoprompt.study.output import check_outputs

        for flag, place in places.items():
            with about(flag):
                check_room(place, 0)
        for flag, path in files.items():
            with about(flag):
                check_outputs([path], self.files_read)

    def check_ready(self) -> None:
        """Raise `InputError` or `WeightsError` for a device or weights that are not there, before a scan is read."""
        from oncoprompt.inference.device import device_named
        from oncoprompt.methods.registry import check_weights

        with about("--device"):
            device_named(self.device)
        with about("--model"):
            check_weights(self.model)

    def check_room(self, label_map: Path, grid: Grid, maps: int) -> None:
        """Raise `InputError` where the disk has no room for the label map and so many probability maps."""
        from oncoprompt.study.disk import check_room

        compressed = label_map.suffix.lower() != ".nii"
        voxels = prod(grid.shape) * (1 + 4 * maps * self.probabilities)
        check_room(label_map, voxels // _COMPRESSION if compressed else voxels)

    def check_no_slice_options(self) -> None:
        """Raise `InputError` for options of models of slices, which the model asked for does not have."""
        if self.slices != SliceOptions():
            raise InputError(
                f"--on, --plane, --window and --no-propagate are for models of slices, not '{self.model}'."
            )


def source_of(inputs: Sequence[Path], channels: Sequence[str]) -> Path | dict[str, Path]:
    """The study's folder or file, or the file of each channel named; raises `InputError` for both and for neither."""
    if bool(inputs) == bool(channels):
        raise InputError("Give the study either as -i FOLDER or as --channel NAME=FILE, one for each channel.")
    if len(inputs) > 1:
        raise InputError(
            f"-i was given {len(inputs)} times; one study is segmented at a time. Run the command once for each, or "
            "give the files of one study with --channel NAME=FILE."
        )
    if inputs:
        return inputs[0]
    files: dict[str, Path] = {}
    for given in channels:
        name, separator, file = given.partition("=")
        if not (name and separator and file):
            raise InputError(f"--channel takes NAME=FILE, such as t1c=scan.nii.gz. Found: '{given}'.")
        if name in files:
            raise InputError(f"--channel names '{name}' twice.")
        files[name] = Path(file)
    return files
