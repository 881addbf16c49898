"""What one run of `oncoprompt segment` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oncoprompt.cli.prompting import Asked
from oncoprompt.errors import InputError


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

    @property
    def scans(self) -> list[Path]:
        """The files that are read: the scans named, or those of the folder that are no masks by their names."""
        from oncoprompt.study.channels import is_mask, split_extension

        if isinstance(self.source, dict):
            return list(self.source.values())
        if not self.source.is_dir():
            return [self.source]
        return [file for file in self.source.iterdir() if not is_mask((split_extension(file.name) or [file.stem])[0])]

    @property
    def files_read(self) -> list[Path]:
        """The scans, and the mask of the anatomy."""
        return self.scans if self.asked.anatomy is None else [*self.scans, self.asked.anatomy]

    def check_no_slice_options(self) -> None:
        """Raise `InputError` for options of models of slices, which the model asked for does not have."""
        if self.slices != SliceOptions():
            raise InputError(
                f"--on, --plane, --window and --no-propagate are for models of slices, not '{self.model}'."
            )


def source_of(folder: Path | None, channels: Sequence[str]) -> Path | dict[str, Path]:
    """The study's folder or file, or the file of each channel named; raises `InputError` for both and for neither."""
    if (folder is None) == (not channels):
        raise InputError("Give the study either as -i FOLDER or as --channel NAME=FILE, one for each channel.")
    if folder is not None:
        return folder
    files: dict[str, Path] = {}
    for given in channels:
        name, separator, file = given.partition("=")
        if not (name and separator and file):
            raise InputError(f"--channel takes NAME=FILE, such as t1c=scan.nii.gz. Found: '{given}'.")
        if name in files:
            raise InputError(f"--channel names '{name}' twice.")
        files[name] = Path(file)
    return files
